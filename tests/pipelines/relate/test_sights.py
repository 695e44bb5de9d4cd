"""Pictures of findings show the part of a slide that the feature or the word is about."""

import csv
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from histoprompt import cli
from histoprompt.core.cell_table import CellTable
from histoprompt.core.geometry import Box
from histoprompt.core.slides.sample import COHORT, sample_folder
from histoprompt.core.task import Task
from histoprompt.pipelines.count.counted_folder import CountedFolder
from histoprompt.pipelines.count.result_folders import COUNT
from histoprompt.pipelines.project.project import open_project
from histoprompt.pipelines.relate.of_index import tiles_in
from histoprompt.pipelines.relate.params import RelateParams
from histoprompt.pipelines.relate.run import relate
from histoprompt.pipelines.relate.seen_in_cells import part_of
from histoprompt.pipelines.relate.seen_in_scenes import SceneSight
from histoprompt.pipelines.relate.sights import Sights
from made_counts import made_cells, write_count


def counted(rng):
    """Lymphocytes around (300, 300), large tumour cells around (1500, 1500), stroma elsewhere."""
    places = [rng.normal(300, 60, (60, 2)), rng.normal(1500, 60, (60, 2)),
              rng.uniform(0, 1800, (300, 2))]  # fmt: skip
    at = np.clip(np.concatenate(places), 0, 1799)
    code = np.repeat([0, 2, 1], [60, 60, 300]).astype(np.int16)
    cells = CellTable(np.arange(1, 421), at[:, 0], at[:, 1], np.where(code == 2, 90.0, 30.0),
                      ("lymphocyte", "stroma", "tumour"), code)  # fmt: skip
    return CountedFolder(cells, 0.5, (), True, "made")


@pytest.mark.parametrize(
    ("feature", "highest", "at"),
    [
        ("lymphocyte per mm2", True, 300),
        ("lymphocyte share", True, 300),
        ("tumour share", True, 1500),
        ("all mean area um2", True, 1500),
        ("lymphocyte to lymphocyte: within 30 um", True, 300),
        ("stroma to tumour: nearest um", False, 1500),
        ("stroma to tumour: within 30 um", True, 1500),
    ],
)
def test_the_part_of_a_feature_of_cells_is_where_they_are(feature, highest, at):
    box = part_of(counted(np.random.default_rng(1)), feature, 400, highest=highest)
    assert (box.height, box.width) == (400, 400)
    assert box.r0 <= at <= box.r1
    assert box.c0 <= at <= box.c1


def test_the_lowest_part_has_cells_and_few_of_the_class():
    of = counted(np.random.default_rng(1))
    box = part_of(of, "lymphocyte share", 400, highest=False)
    rows, cols = of.cells.row, of.cells.col
    inside = (rows >= box.r0) & (rows < box.r1) & (cols >= box.c0) & (cols < box.c1)
    assert inside.sum() >= 5
    assert (of.cells.code[inside] == 0).sum() == 0
    assert part_of(of, "something else", 400, highest=True) is None
    assert part_of(of, "mitosis per mm2", 400, highest=True) is None


def test_the_tile_of_a_scene_is_its_most_typical_one_and_of_lowest_another_scene(tmp_path):
    (tmp_path / "project.toml").write_text('format = 1\nname = "study"\n')
    (tmp_path / "slides.csv").write_text("id,patient\ns,P\n")
    with (tmp_path / "scenes.csv").open("w") as file:
        file.write("slide,scene,name,margin,tiles,mm2\ns,1,necrosis,,2,1\n")
    with (tmp_path / "tiles.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["slide", "row0", "col0", "row1", "col1", "scene", "name", "x", "y"])
        for k, (name, x) in enumerate([("necrosis", 0), ("necrosis", 5), ("necrosis", 6),
                                       ("stroma", 20), ("fat", 30), ("stroma", 21)]):  # fmt: skip
            write.writerow(["s", 0, 10 * k, 10, 10 * k + 10, 1, name, x, 0])
    sight = SceneSight.of(open_project(tmp_path))
    assert sight.tile("s", "necrosis", highest=True) == Box(0, 10, 10, 20)
    assert sight.tile("s", "necrosis", highest=False) in (Box(0, 30, 10, 40), Box(0, 50, 10, 60))
    assert sight.tile("s", "mucus", highest=True) is None
    (tmp_path / "tiles.csv").write_text("slide\ns\n")  # none of scenes
    assert SceneSight.of(open_project(tmp_path)) is None


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """The made cohort with what an encoder saw of its tiles."""
    folder = tmp_path_factory.mktemp("indexed")
    patch = pytest.MonkeyPatch()
    patch.setenv("HISTOPROMPT_HOME", str(folder / "home"))
    shutil.copytree(sample_folder() / COHORT, folder / "study")
    assert cli.main(["index", str(folder / "study")]) == 0
    yield folder / "study"
    patch.undo()


def test_what_an_encoder_saw_is_related_and_shown(indexed, capsys):
    asked = ["relate", str(indexed), "--permutations", "400", "--no-model", "--pictures", "2"]
    assert cli.main([*asked, "--features", "tiles", "--against", "response", "--out",
                     str(indexed / "tiles")]) == 0  # fmt: skip
    names = set(pd.read_csv(indexed / "tiles" / "relate.csv")["feature"])
    assert {"tiles PC1 mean", "tiles PC1 sd"} <= names
    assert cli.main([
        *asked, "--features", "embedding", "--against", "response,reports", "--reports",
        str(indexed / "reports.csv"), "--words", "2", "--compared", "both", "--out",
        str(indexed / "embedding"),
    ]) == 0  # fmt: skip
    table = pd.read_csv(indexed / "embedding" / "relate.csv")
    assert "embedding PC1" in set(table["feature"])
    ways = [t for t in table["test"] if t.startswith("retrieval")]
    assert sorted(ways) == [
        "retrieval by sentences, image to report", "retrieval by sentences, report to image",
        "retrieval, image to report", "retrieval, report to image",
    ]  # fmt: skip
    # every one has its p: of permutations of the whole, at least 1,000 of them
    assert table[table["test"].isin(ways)]["p"].min() >= 1 / 1001
    page = (indexed / "embedding" / "report.html").read_text()
    assert page.count("the tile that goes most with it<") == 2 * (3 + 2)  # findings, words
    assert page.count("data:image/jpeg") == 4 * (3 + 2)
    # page one: the site is told from them, however many components they are
    assert '<td>site</td><td class="n"><b>100%</b></td>' in page
    # reports and images of this study do belong together
    assert (table[table["test"].isin(ways)]["effect"] > 0.3).all()
    assert re.search(r"<br>words: [a-z]+", page)
    assert "the densest tissue" not in page


def test_counts_of_slides_show_where_their_cells_are(indexed):
    project, rng = open_project(indexed), np.random.default_rng(3)
    for slide in project.slides:
        cells = made_cells(rng, int(rng.integers(30, 90)), 80)
        small = replace(cells, row=cells.row * 0.44, col=cells.col * 0.44)  # slides are 448 wide
        write_count(project.results(slide) / COUNT, small, regions=False)
    out = indexed / "counts"
    assert cli.main(["relate", str(indexed), "--features", "counts", "--against", "response",
                     "--permutations", "200", "--no-model", "--pictures", "1", "--out",
                     str(out)]) == 0  # fmt: skip
    page = (out / "report.html").read_text()
    assert page.count("<br>where it is highest") == page.count("<br>where it is lowest") == 3
    assert page.count("data:image/jpeg") == 6
    assert "the densest tissue" not in page


def test_the_tile_of_a_feature_lies_along_what_patients_tell_and_is_not_learnt_from_itself(indexed):
    params = RelateParams(features="embedding", against=("response",), model=False)
    study = relate(open_project(indexed), params, Task()).study
    sights = Sights(open_project(indexed), study, params)
    values = study.values[:, 0]
    tiles = sights.tiles(Task())
    slide, box, vector = tiles.best(3, values, highest=True)
    assert slide == study.slides[3][0]
    along = tiles.direction(values, 3)
    part = tiles.parts[slide]
    scores = tiles_in(part, tiles.space) @ along
    assert tuple(part.boxes[int(scores.argmax())]) == tuple(box)
    assert vector @ along == pytest.approx(scores.max(), rel=1e-4)
    changed = values.copy()
    changed[3] += 100
    assert tiles.direction(changed, 3) == pytest.approx(along)
    assert not np.allclose(tiles.direction(changed), tiles.direction(values))
    # the patients' own means lie along it as their values do
    assert np.corrcoef(tiles.means @ tiles.direction(values), values)[0, 1] > 0.8
