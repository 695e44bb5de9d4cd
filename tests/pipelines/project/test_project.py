"""Projects: the table of slides in every spelling, states, moved files, bad input."""

import csv
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import ProjectError
from histoprompt.core.geometry import Box
from histoprompt.pipelines.project.check import check_project, filled
from histoprompt.pipelines.project.gather import gathered
from histoprompt.pipelines.project.project import (
    PROJECT_TOML,
    add_slides,
    folder_name,
    is_project,
    new_project,
    open_project,
)
from histoprompt.pipelines.project.qupath import read_qupath
from histoprompt.pipelines.project.relink import relink
from histoprompt.pipelines.project.status import states
from histoprompt.pipelines.project.table import (
    SLIDES_CSV,
    ProjectSlide,
    SlideTable,
    read_slides,
    write_slides,
)


def _picture(path, seed=0, mpp=0.5):
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)
    tifffile.imwrite(
        path, pixels, photometric="rgb", resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


@pytest.fixture
def project(tmp_path):
    for n in range(3):
        _picture(tmp_path / "slides" / f"s{n}.tif", n)
    made = new_project(tmp_path / "study")
    made, notes = add_slides(made, gathered([tmp_path / "slides"]).slides)
    assert notes == []
    return made


def test_a_new_project_knows_its_slides_by_key(project):
    assert [s.id for s in project.slides] == ["s0", "s1", "s2"]
    assert len({s.key for s in project.slides}) == 3
    assert all(len(s.key) == 32 for s in project.slides)
    assert is_project(project.folder)
    assert is_project(project.folder / PROJECT_TOML)
    assert not is_project(project.folder.parent)
    with project.open(project.slides[0]) as slide:
        assert slide.key == project.slides[0].key


def test_the_same_slide_is_taken_once(project, tmp_path):
    shutil.copy(tmp_path / "slides" / "s0.tif", tmp_path / "copy.tif")
    again, notes = add_slides(project, gathered([tmp_path / "copy.tif"]).slides)
    assert len(again) == 3
    assert "it is s0" in notes[0]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tables_of_spreadsheets_are_read(tmp_path, separator, mark):
    size = "0,25" if separator != "," else "0.25"
    rows = [["ID", "Path", "mpp", "grade"], ["a", "a.svs", size, "3"], ["", "", "", ""]]
    text = "\r\n".join(separator.join(row) for row in rows)
    (tmp_path / SLIDES_CSV).write_text(mark + text, encoding="utf-8")
    (slide,) = read_slides(tmp_path / SLIDES_CSV).slides
    assert slide == ProjectSlide("a", "a.svs", 0.25, more={"grade": "3"})


def test_what_pandas_adds_is_kept_in_its_order(project):
    path = project.folder / SLIDES_CSV
    frame = pd.read_csv(path, dtype=str)
    frame["outcome"] = ["=1+1", "died, early", "alive"]
    frame.to_csv(path, index=False)
    table = open_project(project.folder).table
    assert table.column("outcome") == ["=1+1", "died, early", "alive"]
    write_slides(path, table)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-1] == "outcome"
    assert rows[0]["outcome"] == "'=1+1"  # no formula for a spreadsheet
    assert open_project(project.folder).table == table


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,path\na,x\nA,y\n", "lines 2 and 3 have the same id"),
        ("id,path,mpp\na,x,wide\n", "line 2: mpp is 'wide'"),
        ("id,path,mpp\na,x,-1\n", "line 2: mpp"),
        ("id,path,id\na,x,b\n", "twice"),
        ("id,path,Path\na,x,b\n", "twice"),
        ("name,file\na,x\n", "neither a column path nor a column id"),
        ("id,path\n,\n", None),
        ('id,path\n"a\nb",x\n', "line break"),
    ],
)
def test_a_bad_table_is_refused_by_its_line(tmp_path, text, told):
    (tmp_path / SLIDES_CSV).write_text(text, encoding="utf-8")
    if told is None:
        assert len(read_slides(tmp_path / SLIDES_CSV)) == 0
        return
    with pytest.raises(ProjectError, match=told):
        read_slides(tmp_path / SLIDES_CSV)


def test_a_later_project_is_refused(project):
    file = project.folder / PROJECT_TOML
    file.write_text(file.read_text().replace("format = 1", "format = 2"))
    with pytest.raises(ProjectError, match="Update histoprompt"):
        open_project(project.folder)


def test_moved_files_are_found_again_by_what_they_hold(project, tmp_path):
    (tmp_path / "slides" / "s1.tif").rename(tmp_path / "slides" / "other name.tif")
    (tmp_path / "slides").rename(tmp_path / "moved")
    assert all(not s.found for s in states(project))
    (tmp_path / "moved" / "s2.tif").unlink()
    again, moved, missing = relink(project, tmp_path / "moved")
    assert sorted(moved) == ["s0", "s1"]
    assert moved["s1"].endswith("other name.tif")
    assert missing == ["s2"]
    with again.open(again.slide("s1")) as slide:
        assert slide.key == project.slide("s1").key


def test_states_tell_of_committed_objects(project):
    first = project.slides[0]
    with LabelStore.open(store_folder(first.key), (96, 128), first.key) as store:
        store.write(Box(0, 0, 4, 4), np.full((4, 4), 1, np.uint32))
    found = list(states(project))
    assert found[0].objects == 1
    assert found[0].words == ("labelled",)
    assert found[1].words == ()


def test_a_check_names_what_must_be_mended(project, tmp_path):
    _picture(tmp_path / "slides" / "s0.tif", seed=9)  # another slide under the old name
    (tmp_path / "slides" / "s1.tif").unlink()
    _picture(tmp_path / "slides" / "s2.tif", 2, mpp=0.25)
    path = project.folder / SLIDES_CSV
    frame = pd.read_csv(path, dtype=str)
    frame.loc[2, "key"] = ""
    frame["patient"], frame["split"] = ["p", "p", "q"], ["train", "test", "test"]
    frame.to_csv(path, index=False)
    found = check_project(open_project(project.folder))
    told = {p.slide: p.text for p in found}
    assert "another slide" in told["s0"]
    assert "does not exist" in told["s1"]
    assert [p.text for p in found if "Patient p" in p.text]
    assert [p.text for p in found if "Pixel sizes differ" in p.text]
    assert all(s.key for s in filled(open_project(project.folder)).slides)


def test_folders_of_results_differ_for_every_id():
    ids = ["a", "a/b", "a_b", "a:b", "..", ".", "", "ä", "x" * 300, "x" * 301, "con/"]
    folders = [folder_name(one) for one in ids]
    assert len(set(folders)) == len(ids)
    assert all("/" not in f and f not in ("", ".", "..") for f in folders)


def test_the_images_of_a_qupath_project_are_taken_over(shared_data):
    found = read_qupath(shared_data / "annotations" / "qupath-project")
    assert len(found.slides) == 57
    assert found.slides[0].path.startswith("C:/Users/")
    assert found.slides[0].path.endswith("2A_cores_12 (1, x=918, y=1593, w=301, h=301).tif")
    assert found.classes["Tumor"] == (200, 0, 0)


def test_ten_thousand_slides_are_read_and_written(tmp_path):
    slides = [ProjectSlide(f"s{n}", f"{n}.svs", more={"age": str(n % 90)}) for n in range(10_000)]
    write_slides(tmp_path / SLIDES_CSV, SlideTable().with_slides(slides))
    again = read_slides(tmp_path / SLIDES_CSV)
    assert again.slides == tuple(slides)
