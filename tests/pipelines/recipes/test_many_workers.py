"""One, two and more workers, killed ones, full disks: the files of results are the same bytes."""

from __future__ import annotations

import errno
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import dask
import pytest

import http_server
import killing
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.pipelines.cells.find import ModelCells
from histoprompt.pipelines.count import store as count_store
from histoprompt.pipelines.count.step import CountParams
from histoprompt.pipelines.embedding.tiles import BATCH
from histoprompt.pipelines.recipes import engines
from histoprompt.pipelines.recipes.engines import Scheduler, _client, parse_scheduler
from histoprompt.pipelines.recipes.recipe import RecipeStep, made_recipe, write_recipe
from histoprompt.pipelines.recipes.run import run_recipe
from histoprompt.pipelines.recipes.shares import Signals
from histoprompt.pipelines.recipes.unit import Unit, look_at_block, run_unit
from histoprompt.pipelines.text.step import ScoreStepParams
from two_colours import Colours

COUNT = CountParams(segmenter="classical-cells", tile=killing.TILE, region=killing.REGION)
RECIPE = made_recipe((RecipeStep("count", COUNT),))


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    return killing.make_slides(tmp_path_factory.mktemp("slides"), 2)


def units(slides, out, **more):
    return [Unit(p.stem, str(p), str(out / p.stem), "", **more) for p in slides]


@pytest.fixture(scope="module")
def serial(slides, tmp_path_factory):
    """What one process makes of the slides, and the digests of its files."""
    out = tmp_path_factory.mktemp("serial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        ran = run_recipe(RECIPE, units(slides, out), out, Scheduler("here"), Task())
    assert [r.state for r in ran.results] == ["done", "done"], ran.results
    found = killing.digests(out)
    assert {"s0/count/cells.csv", "s1/count/cells.geojson", "s1/count/labels.tif"} <= set(found)
    tables = (out / slide.stem / "count" / "cells.csv" for slide in slides)
    assert all(len(table.read_text().splitlines()) > 4 for table in tables)
    return found


def test_blocks_of_one_slide_that_others_looked_at_give_the_same_bytes(
    slides, serial, tmp_path, monkeypatch
):
    recipe = str(write_recipe(tmp_path, RECIPE))
    (unit,) = [replace(u, recipe=recipe, blocks=2) for u in units(slides[:1], tmp_path)]
    for block in (1, 0):
        look_at_block(unit, block)
    ahead = sorted((tmp_path / "s0" / "count" / ".ahead").glob("*/*.npz"))
    assert len(ahead) == 2
    ahead[1].write_bytes(ahead[1].read_bytes()[:-40])  # a damaged one is looked at again
    looked, find = [], ModelCells.find

    def counted(*args):
        looked.append(1)
        return find(*args)

    monkeypatch.setattr(ModelCells, "find", counted)
    assert run_unit(unit).state == "done"
    assert len(looked) == 1
    made = killing.digests(tmp_path)
    assert {n: d for n, d in made.items() if n.startswith("s0/")} == {
        n: d for n, d in serial.items() if n.startswith("s0/")
    }
    assert not (tmp_path / "s0" / "count" / ".ahead").exists()


def test_tiles_scored_in_blocks_give_the_same_bytes(tmp_path, monkeypatch):
    """Each block is looked at by another machine, whose cache nobody else has."""
    monkeypatch.setattr(registry, "_ZOO", (*registry._ZOO, ("two_colours", "CARD")))
    registry._known_cards.cache_clear()
    seen, embed = [], Colours.embed_images

    def counted(model, tiles):
        seen.append(len(tiles))
        return embed(model, tiles)

    monkeypatch.setattr(Colours, "embed_images", counted)
    (slide,) = killing.make_slides(tmp_path / "slides", 1, (384, 448))
    params = ScoreStepParams(
        texts=("pink", "purple"), contrasts=("glass",), model="colours", scales=(1.0, 2.0)
    )
    recipe = str(write_recipe(tmp_path, made_recipe((RecipeStep("score", params),))))
    one, shared = (Unit("s", str(slide), str(tmp_path / n / "s"), recipe) for n in "ab")
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "serial"))
    assert run_unit(one).state == "done"
    tiles, shared = sum(seen), replace(shared, blocks=3)
    seen.clear()
    for block in (2, 0, 1):
        monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / f"machine-{block}"))
        look_at_block(shared, block)
    assert sum(seen) == tiles
    ahead = sorted((tmp_path / "b" / "s" / "score" / ".ahead").glob("*/*.npz"))
    ahead[1].write_bytes(ahead[1].read_bytes()[:-40])  # a damaged one is looked at again
    seen.clear()
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "last"))
    assert run_unit(shared).state == "done"
    assert 0 < sum(seen) <= BATCH
    assert killing.digests(tmp_path / "a") == killing.digests(tmp_path / "b")
    registry._known_cards.cache_clear()


def test_no_slide_waits_beside_an_idle_worker(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "_elsewhere", killing.held)
    names = [f"s{n}" for n in range(9)]
    given = [Unit(name, "", str(tmp_path / name), "") for name in names]

    def in_hand(dask_scheduler):
        workers = [len(worker.processing) for worker in dask_scheduler.workers.values()]
        return sorted(workers), len(dask_scheduler.queued)

    with _client(Scheduler("local", 2)) as client:
        work = engines._Work(client)
        futures = work.begin(given)
        for unit in given[:6]:
            Path(unit.folder).mkdir()
            (Path(unit.folder) / "go").touch()
        client.gather(futures[:6])
        # of the three that are left a worker has one each, and one waits for whoever is free first
        assert client.run_on_scheduler(in_hand) == ([1, 1], 1)
        for unit in given[6:]:
            Path(unit.folder).mkdir()
            (Path(unit.folder) / "go").touch()
        assert [r.name for r in client.gather(futures)] == names


def test_a_killed_worker_and_a_killed_scheduler(slides, serial, tmp_path):
    recipe, out = write_recipe(tmp_path / "r", RECIPE), tmp_path / "out"
    dice, killed = random.Random(4), killing.Killed()
    words = killing.command(recipe, slides, out, "--scheduler", "local:2", "--blocks", "2")
    while not (killed.workers and killed.schedulers):
        if not killing.run_and_kill(words, out, dice, killed, 1.0):
            shutil.rmtree(out)
    assert killing.finish(words) == 0
    there = killing.digests(out)
    there.pop("recipe.toml")
    assert there == {n: d for n, d in serial.items() if n != "recipe.toml"}


@pytest.mark.parametrize("what", ["disk", "mount"])
def test_a_full_disk_or_a_lost_mount_sets_one_slide_aside(
    slides, serial, tmp_path, monkeypatch, what
):
    """The others finish; once there is room the same command ends the work, byte for byte."""
    bad = tmp_path / "s0"
    fault = OSError(errno.ENOSPC if what == "disk" else errno.ESTALE, "gone", str(bad))
    with monkeypatch.context() as patch:
        if what == "disk":
            whole = count_store.append

            def append(path, data):
                if bad in path.parents:
                    raise OSError(errno.ENOSPC, "No space left on device", str(path))
                whole(path, data)

            patch.setattr(count_store, "append", append)
        else:
            read = lost_reader(slides[0], fault)
            patch.setattr("histoprompt.core.slides.slide.Slide.read", read)
        ran = run_recipe(RECIPE, units(slides, tmp_path), tmp_path, Scheduler("here"), Task())
    assert [r.state for r in ran.results] == ["failed", "done"]
    assert ran.failed[0].fault
    summary = (tmp_path / "summary.csv").read_text()
    assert "failed" in summary
    assert json.loads((tmp_path / "run.json").read_text())[0]["state"] == "failed"
    ran = run_recipe(RECIPE, units(slides, tmp_path), tmp_path, Scheduler("here"), Task())
    assert [r.state for r in ran.results] == ["done", "done"]
    assert killing.digests(tmp_path) == serial


def lost_reader(path, fault):
    """`Slide.read`, which fails for one slide as a file on a lost disk does."""
    whole = Slide.read

    def read(slide, *args, **more):
        if slide.path == str(path):
            raise fault
        return whole(slide, *args, **more)

    return read


@pytest.fixture(scope="module")
def cluster():
    """Four workers of a real Dask cluster that somebody started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        with _client(Scheduler("local", 4)) as client:
            yield client


def test_a_full_disk_and_a_lost_mount_on_workers_of_a_cluster(slides, serial, tmp_path, cluster):
    """Each of four workers has a slide; the system refuses what one of them writes.

    Another worker does that slide. A fifth slide is on a server that goes away while it is read: it
    is set aside, and done when the server is back. In the end the files are those of one
    process.
    """
    profiles = cluster.run(lambda: dask.config.get("distributed.worker.profile.enabled"))
    assert list(profiles.values()) == [False] * 4, "they do not spend their time on watching"
    limit = _limit_files()
    address = parse_scheduler(cluster.scheduler.address)
    asked = [u for out in ("a", "b") for u in units(slides, tmp_path / out)]
    asked = [replace(u, name=f"{Path(u.folder).parent.name}-{u.name}") for u in asked]
    with http_server.running() as server:
        remote = server.files["/s.tif"] = http_server.File(slides[0].read_bytes())
        far = Unit("far", f"{server.url}/s.tif", str(tmp_path / "far"), "")
        open_slide(far.path).close()
        remote.cuts = [len(remote.content)] * (len(server.ranges()) - 1) + [0] * 1000
        cluster.run(limit, 20_000, workers=list(cluster.nthreads())[:1])
        ran = run_recipe(RECIPE, [*asked, far], tmp_path, address, Task())
        assert [r.state for r in ran.results] == ["done"] * 4 + ["failed"], ran.results
        told = [note for r in ran.results for note in r.notes if "second time" in note]
        assert [("no room to write" in note) for note in told] == [True], ran.results
        assert far.path in ran.failed[0].fault
        assert "failed" in (tmp_path / "summary.csv").read_text()
        remote.cuts = []
        cluster.run(limit, -1)
        ran = run_recipe(RECIPE, [*asked, far], tmp_path, address, Task())
    assert not ran.failed
    for out in ("a", "b"):
        there = killing.digests(tmp_path / out)
        assert there == {n: d for n, d in serial.items() if n != "recipe.toml"}
    cells = (tmp_path / "far" / "count" / "cells.csv").read_bytes()
    assert cells == (tmp_path / "a" / "s0" / "count" / "cells.csv").read_bytes()


def _limit_files():
    """What lets a process write no larger files than so many bytes; -1 for any."""

    def limit(size):  # sent to workers, which do not know this module
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))

    return limit


def test_workers_tell_how_far_they_are_and_are_stopped(tmp_path):
    signals = Signals(tmp_path, "x")
    signals.begin()
    task = signals.task("a")
    task.step(1, 4)
    assert signals.done("a") == 0.25
    signals.task("b", 0).step(1, 2)
    signals.task("b", 1).step(2, 2)
    assert signals.done("b", 2) == pytest.approx(0.9 * 0.75)
    signals.share("a").write_text("nonsense")
    assert signals.done("a") == 0
    signals.stop.touch()
    stopped = signals.task("c")
    stopped.step(0, 4)
    assert stopped.cancelled
    unit = Unit("u", "nowhere.svs", str(tmp_path / "u"), "", stop=str(signals.stop))
    assert run_unit(unit).state == "stopped"
    assert Signals.at("") is None
    assert Signals.at(str(signals.stop)) == signals
