"""The made cohort: a whole study to try things on, made again from its seed."""

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from histoprompt import cli
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import COHORT, sample_folder
from histoprompt.core.task import Task
from histoprompt.pipelines.project.project import open_project
from histoprompt.pipelines.relate.params import RelateParams
from histoprompt.pipelines.relate.write import relate_into

FOLDER = sample_folder() / COHORT


def test_it_is_small_and_whole():
    files = [p for p in FOLDER.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 1_600_000
    project = open_project(FOLDER)
    assert len(project) == 20
    assert all(project.has_file(s) for s in project.slides)
    with open_slide(project.place(project.slides[3])) as slide:
        assert slide.mpp == pytest.approx(0.5)
        picture = slide.read(slide.box, (112, 112))[0]
    # blue is a nucleus, pink is not; glass there is none
    assert picture[..., 0].std() > 10


def test_it_is_made_again_and_larger_on_demand(tmp_path):
    script = sample_folder() / "make_cohort.py"
    run = [sys.executable, str(script), "--out"]
    subprocess.run([*run, str(tmp_path / "same")], check=True)
    for name in ("slides.csv", "reports.csv", "project.toml", "fields.toml"):
        assert (tmp_path / "same" / name).read_bytes() == (FOLDER / name).read_bytes()
    more = ["--patients", "24", "--sites", "3", "--slides", "2"]
    subprocess.run([*run, str(tmp_path / "more"), *more], check=True)
    project = open_project(tmp_path / "more")
    assert len(project) == 48
    assert len({s.patient for s in project.slides}) == 24
    assert len({s.site for s in project.slides}) == 3


def test_what_was_planted_is_found_and_the_trap_is_not_stepped_into(tmp_path):
    params = RelateParams(
        features=str(FOLDER / "features.csv"), against=("response", "grade", "reports"),
        reports=FOLDER / "reports.csv", fields=FOLDER / "fields.toml", permutations=400,
    )  # fmt: skip
    found, notes = relate_into(open_project(FOLDER), params, tmp_path / "out", Task())
    assert notes == ()
    alive = {(f.tested.feature, f.tested.column) for f in found.surviving}
    assert ("lymphocyte per mm2", "response") in alive
    colours = {"mean red", "mean green", "mean blue"}
    assert not {(f, c) for f, c in alive if f in colours and c in ("grade", "response")}
    probe = found.guard.probes[0]
    assert (probe.what, probe.accuracy) == ("site", 1.0)
    # what most people do steps into it
    table = pd.read_csv(FOLDER / "features.csv").merge(
        pd.read_csv(FOLDER / "slides.csv"), left_on="slide", right_on="id"
    )
    naive = table[["mean red", "mean blue", "grade"]].corr("spearman")["grade"].abs()
    assert np.max(naive[:2]) > 0.3
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 12
    assert "images/P01.tif" in page


def test_what_an_encoder_saw_is_related_once_slides_are_indexed(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    study = shutil.copytree(FOLDER, tmp_path / "study")
    relate = ["relate", str(study), "--against", "response", "--permutations", "300", "--out"]
    assert cli.main([*relate, str(tmp_path / "no"), "--features", "embedding"]) == 1
    assert "Index its slides first." in capsys.readouterr().err
    assert cli.main(["index", str(study)]) == 0
    for what, names in (("embedding", "embedding PC1"), ("tiles", "tiles PC1 sd")):
        assert cli.main([*relate, str(tmp_path / what), "--features", what]) == 0
        table = pd.read_csv(tmp_path / what / "relate.csv")
        assert names in set(table["feature"])
        assert (table["n"] == 20).all()
    cases = pd.read_csv(tmp_path / "embedding" / "cases.csv")
    parts = cases[[c for c in cases if c.startswith("embedding PC")]].to_numpy()
    # components are not correlated, and the first tells most
    together = np.corrcoef(parts.T) - np.eye(parts.shape[1])
    assert np.abs(together).max() < 1e-3
    assert (np.diff(parts.std(axis=0)) <= 1e-9).all()
