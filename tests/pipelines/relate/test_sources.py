"""Features from each place they come from, through the command to findings."""

import csv

import numpy as np
import pandas as pd
import pytest

from histoprompt import cli
from histoprompt.pipelines.count.result_folders import COUNT
from histoprompt.pipelines.project.project import open_project
from made_counts import made_cells, write_count

N = 24


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """24 patients of two sites; responders have more lymphocytes, and beside the tumour."""
    folder = tmp_path_factory.mktemp("sources") / "study"
    folder.mkdir()
    (folder / "project.toml").write_text('format = 1\nname = "study"\n')
    rng = np.random.default_rng(4)
    yes = np.array([i // 2 % 2 for i in range(N)])
    with (folder / "slides.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["id", "patient", "site", "response"])
        write.writerows([f"s{i}", f"P{i}", "AB"[i % 2], ["no", "yes"][yes[i]]] for i in range(N))
    project = open_project(folder)
    for i, slide in enumerate(project.slides):
        cells = made_cells(rng, int(rng.normal(40 + 30 * yes[i], 5)), 80, near=0.8 * yes[i])
        regions = i != 5  # one slide was counted as a whole
        write_count(project.results(slide) / COUNT, cells, regions, complete=i != 7)
    with (folder / "scenes.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["slide", "scene", "name", "margin", "tiles", "mm2"])
        for i in range(N):
            share = rng.uniform(0.1, 0.3) + 0.4 * yes[i]
            write.writerow([f"s{i}", 1, "necrosis", "", 10, f"{share:.4f}"])
            write.writerow([f"s{i}", 2, "stroma", "", 10, f"{1 - share:.4f}"])
    return folder


def relate(study, features, *more):
    out = study / "out" / features
    asked = ["--features", features, "--against", "response", "--permutations", "400"]
    return cli.main(["relate", str(study), *asked, "--no-model", "--out", str(out), *more]), out


def test_counts_of_slides_and_of_their_regions_are_features(study, capsys):
    status, out = relate(study, "counts")
    assert status == 0
    assert "Left out: 1 slide counted in part only" in capsys.readouterr().err
    table = pd.read_csv(out / "relate.csv").set_index("feature")
    assert (table["n"] <= N - 1).all()  # the slide that was counted in part is left out
    names = set(table.index)
    for name in ("lymphocyte per mm2", "lymphocyte share", "tumour mean area um2",
                 "tumour to lymphocyte: within 30 um", "lymphocyte to tumour: nearest um",
                 "left | lymphocyte per mm2", "right | lymphocyte to tumour: L - r at 30 um",
                 "left | tumour sd of area um2"):  # fmt: skip
        assert name in names, name
    assert table.loc["lymphocyte per mm2", "survives"] == "yes"
    assert table.loc["lymphocyte to tumour: nearest um", "high"] < 0  # nearer in responders
    assert table.loc["left | lymphocyte per mm2", "n"] == N - 2
    # each number is what was counted: lymphocytes over a quarter of a square millimetre
    cases = pd.read_csv(out / "cases.csv").set_index("patient")
    project = open_project(study)
    counts = pd.read_csv(project.results(project.slides[0]) / COUNT / "counts.csv")
    line = counts[(counts["region"] == "all") & (counts["class"] == "lymphocyte")]
    assert cases.loc["P0", "lymphocyte per mm2"] == pytest.approx(line["count"].item() * 4)
    left = counts[(counts["region"] == "left") & (counts["class"] == "lymphocyte")]
    assert cases.loc["P0", "left | lymphocyte per mm2"] == pytest.approx(left["count"].item() * 8)


def test_shares_of_scenes_are_features(study):
    status, out = relate(study, "scenes")
    assert status == 0
    table = pd.read_csv(out / "relate.csv").set_index("feature")
    assert table.loc["necrosis", "survives"] == "yes"
    assert table.loc["necrosis", "low"] > 0
    assert table.loc["stroma", "high"] < 0
    cases = pd.read_csv(out / "cases.csv")
    assert (cases["necrosis"] + cases["stroma"]).to_numpy() == pytest.approx(1, abs=1e-4)


def test_features_that_are_not_there_are_one_line(study, tmp_path, capsys):
    for features, said in (("tiles", "No slide of study is indexed with"),
                           ("embedding", "No slide of study is indexed with"),
                           ("nothing", "There are no features nothing")):  # fmt: skip
        assert relate(study, features)[0] == 1
        told = capsys.readouterr().err
        assert said in told
        assert len(told.strip().splitlines()) == 1
