"""A count beside another one, after a power cut, on damaged files, and by another program."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dark_discs import WINDOWED, Stop, field_of_discs, table
from five_discs import dark_things
from histoprompt.core.errors import ExportError
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import ModelCells
from histoprompt.pipelines.count.job import CountChoice, count_job
from histoprompt.pipelines.count.key import decoding
from histoprompt.pipelines.count.result_folders import claimed_folder
from histoprompt.pipelines.count.run import UNFINISHED, CountJob
from histoprompt.pipelines.count.slide import count_slide

SLIDE = Slide.from_arrays("few", [field_of_discs((140, 200))], mpp=0.25)
CELLS = 24  # 4 rows and 6 columns of discs


def job() -> CountJob:
    manager = ModelManager("cpu", 100.0, load=dark_things)
    return CountJob(ModelCells(WINDOWED, manager), {"segmenter": "dark"}, 64)


@pytest.fixture
def half(tmp_path) -> Path:
    """A folder with an unfinished count of 5 of 12 tiles."""
    assert count_slide(SLIDE, job(), tmp_path / "o", Stop(5)).done == 5
    return tmp_path / "o"


def right(folder: Path) -> bool:
    """Whether every cell is there once, in the table and in the labels."""
    ids = table(folder).id.tolist()
    drawn = np.unique(tifffile.imread(folder / "labels.tif"))
    return ids == list(range(1, CELLS + 1)) == drawn[1:].tolist()


def test_a_second_count_of_the_same_is_told_who_counts(tmp_path):
    told = []

    def meanwhile(progress):
        if not told:
            with pytest.raises(ExportError) as error:
                count_slide(SLIDE, job(), tmp_path, Task())
            told.append(str(error.value))

    assert count_slide(SLIDE, job(), tmp_path, Task(meanwhile)).complete
    assert f"is being counted into already (process {os.getpid()} on " in told[0]
    assert "\n" not in told[0]
    assert right(tmp_path)


def test_two_slides_of_one_name_at_the_same_moment_take_two_folders(tmp_path):
    start, found = threading.Barrier(8), {}

    def claim(key):
        start.wait()
        found[key] = claimed_folder(tmp_path, "slide", key)

    threads = [threading.Thread(target=claim, args=(f"key {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {"slide", *(f"slide-{n}" for n in range(2, 9))}
    assert {path.name for path in found.values()} == names
    assert claimed_folder(tmp_path, "slide", "key 3") == found["key 3"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"slide": 3}', None])
def test_damaged_settings_of_an_unfinished_count_start_it_anew(half, content):
    path = half / UNFINISHED / "settings.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert claimed_folder(half.parent, "o", SLIDE.key) == half
    counted = count_slide(SLIDE, job(), half, Task())
    assert counted.complete
    assert "started anew" in counted.notes[0]
    assert right(half)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 100_000])
def test_a_damaged_result_is_counted_anew(tmp_path, content):
    count_slide(SLIDE, job(), tmp_path / "o", Task())
    for path in (tmp_path / "o").iterdir():
        path.write_bytes(content)
    assert claimed_folder(tmp_path, "o", SLIDE.key) == tmp_path / "o"
    counted = count_slide(SLIDE, job(), tmp_path / "o", Task())
    assert "count.json that was here was damaged" in counted.notes[0]
    assert right(tmp_path / "o")


@pytest.mark.parametrize(
    "change",
    [
        {"cells": 99_999_999},
        {"cells": -1},
        {"cells": "many"},
        {"tile": [0]},
        {"tile": [0, 0]},
        {"box": [0, 0, 10**6, 10]},
        {"box": 3},
        {"sum": 12},
        {"chunks": {"../../x": [1, 2]}},
        {"chunks": {"0/0": None}},
    ],
)
def test_damaged_lines_of_the_log_are_counted_again(half, change):
    path = half / UNFINISHED / "tiles.jsonl"
    lines = path.read_bytes().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), **change}).encode()
    path.write_bytes(b"\n".join(lines) + b"\n")
    counted = count_slide(SLIDE, job(), half, Task())
    assert counted.complete
    if change != {"chunks": {"0/0": None}}:  # a later line says what that chunk is
        assert "are counted again" in counted.notes[0]
    assert right(half)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cells.bin", b""),
        ("cells.bin", b"x" * 10_000),
        ("labels.zarr/c/0/0", b""),
        ("labels.zarr/c/0/0", b"no labels"),
        ("labels.zarr/c/0/0", None),
        ("labels.zarr/zarr.json", b""),
        ("tiles.jsonl", b"\x00\xff\n"),
        ("tiles.jsonl", None),
    ],
)
def test_damaged_work_of_an_unfinished_count_is_done_again(half, name, content):
    path = half / UNFINISHED / name
    path.unlink() if content is None else path.write_bytes(content)
    assert count_slide(SLIDE, job(), half, Task()).complete
    assert right(half)


def test_what_a_person_put_into_the_work_folder_stays(half):
    (half / UNFINISHED / "notes.txt").write_text("mine")
    (half / UNFINISHED / "folder").mkdir()
    assert count_slide(SLIDE, job(), half, Task()).complete
    assert sorted(os.listdir(half / UNFINISHED)) == ["folder", "notes.txt"]
    assert count_slide(SLIDE, job(), half, Task()).complete
    (half / UNFINISHED / "notes.txt").unlink()
    (half / UNFINISHED / "folder").rmdir()
    count_slide(SLIDE, job(), half, Task())
    assert not (half / UNFINISHED).exists()


def test_a_power_cut_at_any_tile_and_after_the_end(tmp_path, disk):
    """What was counted is counted on, and what is done is whole."""
    folder, tiles = tmp_path / "disk" / "out" / "o", {}

    def watch(progress):
        # a tile reports itself more than once
        new = progress.done in (1, 6) and progress.done not in tiles
        if progress.text.startswith("Counting") and new:
            tiles[progress.done] = disk.cut(tmp_path / f"left {progress.done}") / "out" / "o"

    assert count_slide(SLIDE, job(), folder, Task(watch)).complete
    done = disk.cut(tmp_path / "done") / "out" / "o"
    assert not (done / UNFINISHED).exists()
    assert right(done)
    names = {path.name for path in folder.iterdir()}
    assert {path.name for path in done.iterdir() if path.stat().st_size} == names
    for count, left in tiles.items():
        again = count_slide(SLIDE, job(), left, Task())
        assert again.notes == (f"Went on after {count} tiles that were done before.",)
        assert right(left)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("cells.tile_context.ALGORITHM", 2),
        ("cells.tile_context.HALO_UM", 25.0),
        ("cells.tile_context.TOLERANCE", 0.06),
        ("cells.find.ALGORITHM", 2),
        ("count.store.ALGORITHM", 2),
        ("cells.features.ALGORITHM", 3),
        ("cells.features.RING_UM", 2.5),
    ],
)
def test_a_program_that_counts_otherwise_starts_anew_and_says_so(half, monkeypatch, place, value):
    monkeypatch.setattr(f"histoprompt.pipelines.{place}", value)
    counted = count_slide(SLIDE, job(), half, Task())
    assert "started anew" in counted.notes[0]
    assert right(half)


@pytest.mark.parametrize(
    "place",
    [
        "models.cells.instances.ALGORITHM",
        "models.cells.instances.NECK",
        "pipelines.cells.prompted.ALGORITHM",
        "pipelines.cells.prompted.SAME",
        "pipelines.cells.prompted.LARGEST",
    ],
)
def test_other_decoding_is_another_count(monkeypatch, place):
    choices = [CountChoice(segmenter=s, device="cpu") for s in ("classical-cells", "classical")]
    choices[1] = replace(choices[1], proposer="classical-cells")
    before = [count_job(choice).decoding for choice in choices]
    monkeypatch.setattr(f"histoprompt.{place}", 7)
    after = [count_job(choice).decoding for choice in choices]
    assert before[1] != after[1]
    assert ("models" in place) == (before[0] != after[0])
    assert decoding(WINDOWED) != decoding(replace(WINDOWED, algorithm=2))
