"""Recipes: written and read back, refused where they cannot be, and replayed to the same bytes."""

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from histoprompt import __version__
from histoprompt.core.errors import RecipeError
from histoprompt.core.parameters import fields_of
from histoprompt.core.task import Task
from histoprompt.pipelines.count.step import CountParams
from histoprompt.pipelines.recipes.emit import emit
from histoprompt.pipelines.recipes.engines import Scheduler, _slurm, parse_scheduler
from histoprompt.pipelines.recipes.methods import methods_text
from histoprompt.pipelines.recipes.recipe import (
    RecipeStep,
    completed,
    made_recipe,
    read_recipe,
    recipe_text,
    write_recipe,
)
from histoprompt.pipelines.recipes.run import run_recipe
from histoprompt.pipelines.recipes.schema import described
from histoprompt.pipelines.recipes.step import STEPS, step
from histoprompt.pipelines.recipes.unit import Unit
from histoprompt.pipelines.text.step import ScoreStepParams

COUNT = CountParams(segmenter="classical-cells", region=(1288, 1288, 1416, 1416))


def recipe_of(*steps):
    return made_recipe(tuple(RecipeStep(name, params) for name, params in steps))


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch):
    """Files that hold the time of their making hold the same one; processes inherit it."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture
def recipe():
    export = replace(step("export").params(), format="geojson")
    audit = step("audit").params(fields=2, seed=1)
    score = ScoreStepParams(texts=("nuclei",), region=(1200, 1500, 1712, 2012))
    report = step("report").params()
    return recipe_of(
        ("score", score), ("count", COUNT), ("audit", audit), ("report", report), ("export", export)
    )


def bytes_of(folder):
    """Digests of all files of results; those that hold times or paths are left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.relative_to(folder).parts[0] not in (".run", "run.json", "summary.csv")
        and path.name not in ("writer.json", "writer.lock")
    }


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_written_and_read_back(name, tmp_path):
    params = {"score": lambda: ScoreStepParams(texts=("a", "b|c"))}.get(name, step(name).params)()
    first = {"audit": [("count", COUNT)], "classify": [("count", COUNT)]}
    first["export"] = first["report"] = first["audit"]
    made = recipe_of(*first.get(name, []), (name, params))
    path = write_recipe(tmp_path, made)
    assert read_recipe(path) == made
    assert recipe_text(read_recipe(path)) == path.read_text(encoding="utf-8")
    assert made.steps[-1].step.methods(params).endswith(".")


def test_the_schema_names_every_parameter_with_its_limits():
    schema = json.loads(json.dumps(described()))
    for name in STEPS:
        properties = schema["steps"][name]["params"]["properties"]
        assert list(properties) == [f.name for f in fields_of(step(name).params)]
    fields = schema["steps"]["audit"]["params"]["properties"]["fields"]
    assert (fields["type"], fields["default"]) == ("integer", 15)
    tile = schema["steps"]["count"]["params"]["properties"]["tile"]
    assert (tile["type"], tile["minimum"]) == ("integer", 64)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("format = 2\nhistoprompt = '9.0'\n", "written by histoprompt 9.0"),
        ("format = 1\n", "no steps"),
        ("not toml", "no TOML"),
        ("[[steps]]\nstep = 'dance'\n", "no step 'dance'"),
        ("[[steps]]\nstep = 'count'\n[steps.params]\nspeed = 3\n", "speed is unknown here"),
        ("[[steps]]\nstep = 'count'\n[steps.params]\ntile = 3\n", "Tile side is 3"),
        ("[[steps]]\nstep = 'count'\nsegmenter = 'x'\n", r"segmenter, which.*under \[steps.params"),
        ("models = [{id = 'a', sha = 'b'}]\n[[steps]]\nstep = 'count'\n", "a model has sha"),
        ("step = 'count'\n[[steps]]\nstep = 'count'\n", "r.toml has step, which is unknown"),
        ("[[steps]]\nstep = 'audit'\n", "audit must come after count"),
        ("[[steps]]\nstep = 'count'\n[[steps]]\nstep = 'count'\n", "twice"),
        ("[[steps]]\nstep = 'count'\n[steps.params]\nregion = [3, 2, 1, 0]\n", "four numbers"),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused(tmp_path, text, told):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match=told):
        read_recipe(tmp_path / "r.toml")


def test_other_weights_than_those_of_the_recipe_are_refused(tmp_path, sample_slide):
    made = replace(recipe_of(("count", replace(COUNT, segmenter="histoprompt-cells"))))
    changed = replace(made, models={"histoprompt-cells": "sha256:" + "0" * 64})
    unit = Unit("a", str(sample_slide), str(tmp_path / "a"), "")
    ran = run_recipe(changed, [unit], tmp_path, Scheduler("here"), Task())
    assert "other weights of histoprompt-cells" in ran.failed[0].fault


def test_a_recipe_by_hand_is_completed_by_what_did_it(tmp_path):
    (tmp_path / "r.toml").write_text("[[steps]]\nstep = 'count'\n")
    read = read_recipe(tmp_path / "r.toml")
    assert (read.version, read.models) == ("", {})
    done = completed(read)
    assert done.models["histoprompt-cells"].startswith("sha256:")
    text = methods_text(done)
    assert f"version {__version__}." in text
    assert "weights sha256:" in text
    assert completed(done) == done


def test_what_is_done_is_not_done_again_and_what_changed_is(tmp_path, sample_slide):
    unit = Unit("a", str(sample_slide), str(tmp_path / "a"), "")
    both = recipe_of(("count", COUNT), ("report", step("report").params()))
    run_recipe(both, [unit], tmp_path, Scheduler("here"), Task())
    # without classes or an audit in between, the page is that of the count
    page = (tmp_path / "a" / "report" / "report.html").read_bytes()
    assert page == (tmp_path / "a" / "count" / "report.html").read_bytes()
    table = tmp_path / "a" / "count" / "cells.csv"
    table.write_text("touched")
    run_recipe(recipe_of(("count", COUNT)), [unit], tmp_path, Scheduler("here"), Task())
    assert table.read_text() == "touched"
    smaller = replace(COUNT, region=(1288, 1288, 1388, 1388))
    run_recipe(recipe_of(("count", smaller)), [unit], tmp_path, Scheduler("here"), Task())
    assert table.read_text().startswith("id,")


def test_a_bad_slide_is_set_aside_and_the_others_finish(tmp_path, sample_slide):
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"II*\0 nothing")
    units = [
        Unit(n, str(p), str(tmp_path / "out" / n), "")
        for n, p in (("a", bad), ("b", sample_slide), ("c", tmp_path / "missing.svs"))
    ]
    out = tmp_path / "out"
    ran = run_recipe(recipe_of(("count", COUNT)), units, out, Scheduler("here"), Task())
    assert [r.state for r in ran.results] == ["failed", "done", "failed"]
    text = (out / "summary.csv").read_text()
    assert text.count("\n") == 4
    assert "does not exist" in text


def test_a_cancelled_run_goes_on_and_equals_one_without(tmp_path, sample_slide):
    made = recipe_of(("count", COUNT))
    task = Task()
    task.cancel()
    units = [Unit(n, str(sample_slide), str(tmp_path / "x" / n), "") for n in "ab"]
    stopped = run_recipe(made, units, tmp_path / "x", Scheduler("here"), task)
    assert stopped.stopped
    run_recipe(made, units, tmp_path / "x", Scheduler("here"), Task())
    plain = [Unit(n, str(sample_slide), str(tmp_path / "y" / n), "") for n in "ab"]
    run_recipe(made, plain, tmp_path / "y", Scheduler("here"), Task())
    for folder in ("x", "y"):
        (tmp_path / folder / "summary.csv").unlink()
    assert bytes_of(tmp_path / "x") == bytes_of(tmp_path / "y")


def test_the_script_for_slurm_of_dask_jobqueue(tmp_path):
    """It is made by the package itself, and a shell takes it; no Slurm is needed for that."""
    jobqueue = pytest.importorskip("dask_jobqueue")
    dask = pytest.importorskip("dask")
    profile = {"cores": 2, "memory": "8GB", "queue": "short", "walltime": "04:00:00"}
    with dask.config.set({"jobqueue.histo": {**dask.config.get("jobqueue.slurm"), **profile}}):
        with jobqueue.SLURMCluster(
            config_name="histo", scheduler_options={"dashboard_address": ":0"}
        ) as cluster:
            script = cluster.job_script()
        assert "#SBATCH -p short" in script
        assert "#SBATCH --mem=8G" in script
        assert "distributed.cli.dask_worker" in script or "dask worker" in script
        (tmp_path / "job.sh").write_text(script)
        asked = subprocess.run(["bash", "-n", str(tmp_path / "job.sh")], check=False)
        assert asked.returncode == 0
    with pytest.raises(RecipeError, match="no usable profile 'nowhere'"), _slurm("nowhere"):
        pass


def test_a_second_run_in_the_same_folder_is_refused(tmp_path, sample_slide):
    (tmp_path / ".run").mkdir()
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from histoprompt.core.files.locks import FolderLock\n"
        f"with FolderLock(Path({str(tmp_path / '.run')!r})):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        unit = Unit("a", str(sample_slide), str(tmp_path / "a"), "")
        with pytest.raises(RecipeError, match="Another run works"):
            run_recipe(recipe_of(("count", COUNT)), [unit], tmp_path, Scheduler("here"), Task())
        other.stdin.close()


@pytest.mark.parametrize("text", ["", "local:0", "local:x", "http://a", "slurm", "tcp:/a"])
def test_no_scheduler_is_refused(text):
    with pytest.raises(RecipeError):
        parse_scheduler(text)


def test_a_scheduler_that_is_not_there_is_told(tmp_path, sample_slide, monkeypatch):
    unit = Unit("a", str(sample_slide), str(tmp_path / "a"), "")
    scheduler = parse_scheduler("tcp://127.0.0.1:9")
    with pytest.raises(RecipeError, match="No scheduler answers"):
        run_recipe(recipe_of(("count", COUNT)), [unit], tmp_path, scheduler, Task())


def test_the_methods_name_versions_models_and_slides(recipe):
    text = methods_text(recipe, 12)
    assert "on 12 slides" in text
    assert "classical-cells" in text
    assert "15" not in text
    assert "2 random fields" in text


def test_scripts_for_engines_can_be_run(tmp_path, sample_slide):
    """The script for Slurm is run by a real shell, an array's task at a time."""
    made = recipe_of(("count", COUNT))
    out = tmp_path / "it's out"
    names = ("a", "b c")
    units = [Unit(n, str(sample_slide), str(out / n), "", 0.5 if n == "a" else None) for n in names]
    write_recipe(out, made)
    script = emit("slurm", units, out)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    asked = tmp_path / "bin" / "histoprompt"
    asked.parent.mkdir()
    asked.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$ASKED"\n')
    asked.chmod(0o755)
    for task, more in ((1, ["--mpp", "0.5"]), (2, [])):
        told = tmp_path / f"told-{task}"
        env = {"PATH": f"{asked.parent}:/usr/bin:/bin", "ASKED": str(told)}
        subprocess.run(
            ["bash", str(script)], check=True, env={**env, "SLURM_ARRAY_TASK_ID": str(task)}
        )
        words = ["run", "recipe.toml", str(sample_slide), "--into", str(out / names[task - 1])]
        assert told.read_text().split("\n")[:-1] == [*words, *more]
    snakefile = emit("snakemake", units, out).read_text()
    plain = re.sub(r"(?m)^rule (\w+):$", r"class \1:", snakefile)
    assert "class slide:" in plain
    assert "--into" in plain
