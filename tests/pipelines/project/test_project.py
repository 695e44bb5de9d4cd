"""Projects: the table of slides in every spelling, states, moved files, bad input."""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.core.errors import ProjectError
from histoprompt.core.geometry import Box
from histoprompt.pipelines.overview.status import states
from histoprompt.pipelines.project.check import check_project, filled
from histoprompt.pipelines.project.classes import give_classes, keep_classes, project_classes
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
    with pytest.raises(ProjectError, match="nowhere is no folder"):
        relink(project, tmp_path / "nowhere")
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
    assert {one.name: one.colour for one in found.classes}["Tumor"] == (200, 0, 0)


def test_classes_of_a_qupath_project_are_given_to_slides_that_have_none(project, tmp_path):
    quiet = tmp_path / "qupath"
    (quiet / "classifiers").mkdir(parents=True)
    image = {"imageName": "s0", "serverBuilder": {"uri": (tmp_path / "slides" / "s0.tif").as_uri()}}
    (quiet / "project.qpproj").write_text(json.dumps({"images": [image]}))
    rows = [{"name": "Tumor", "color": [200, 0, 0]}, {"name": "Stroma", "colorRGB": -6895466}]
    (quiet / "classifiers" / "classes.json").write_text(json.dumps({"pathClasses": rows}))
    assert main(["project", "new", str(tmp_path / "other"), "--slides", str(quiet)]) == 0
    kept = project_classes(tmp_path / "other")
    assert [(c.name, c.colour) for c in kept] == [
        ("Tumor", (200, 0, 0)),
        ("Stroma", (150, 200, 150)),
    ]
    assert keep_classes(tmp_path / "other", kept) == 0
    made = open_project(tmp_path / "other")
    with made.open(made.slides[0]) as slide:
        assert give_classes(made.folder, slide)
        assert not give_classes(made.folder, slide)
        with LabelStore.open(store_folder(slide.key), slide.shape, slide.key) as store:
            assert [c.name for c in store.class_list()] == ["Tumor", "Stroma"]


def test_bad_input_is_told_in_a_line_and_nothing_is_lost(project, tmp_path, capsys):
    """One slide under two names, a missing file, a project that is none."""
    table = project.folder / SLIDES_CSV
    frame = pd.read_csv(table, dtype=str)
    frame.loc[1, "path"] = frame.loc[0, "path"]
    frame.loc[1, "key"] = ""
    frame.loc[2, "path"] = "gone.tif"
    frame.to_csv(table, index=False)
    before = table.read_bytes()
    assert main(["project", "check", str(project.folder)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert "s1: is the same slide as s0. Keep one of them." in told
    assert [line for line in told if line.startswith("s2:") and "does not exist" in line]
    assert told[-1].startswith("3 slides, 2 problems")
    assert main(["info", str(project.folder)]) == 1
    out, err = capsys.readouterr()
    assert out.count("== s") == 2
    assert "1 of 3 slides failed: s2." in err
    assert main(["project", "summary", str(project.folder)]) == 1
    assert "was counted yet" in capsys.readouterr().err
    assert main(["count", str(tmp_path / "nowhere"), "--out", str(tmp_path / "o")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert table.read_bytes() == before


def test_ten_thousand_slides_are_read_and_written(tmp_path):
    slides = [ProjectSlide(f"s{n}", f"{n}.svs", more={"age": str(n % 90)}) for n in range(10_000)]
    write_slides(tmp_path / SLIDES_CSV, SlideTable().with_slides(slides))
    again = read_slides(tmp_path / SLIDES_CSV)
    assert again.slides == tuple(slides)


def test_one_table_over_all_slides(tmp_path, sample_slide):
    made = new_project(tmp_path / "study")
    slide = ProjectSlide("a", str(sample_slide), more={"grade": "3"})
    made, _ = add_slides(made, [slide])
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        "[[steps]]\nstep = 'count'\n[steps.params]\nsegmenter = 'classical-cells'\n"
        "region = [1200, 1500, 1328, 1628]\n"
    )
    assert main(["run", str(recipe), str(made.folder)]) == 0
    (made.folder / "scenes").mkdir()
    (made.folder / "scenes" / "scenes.csv").write_text(
        "slide,scene,name,tiles,mm2\na,0,tumour,3,0.75\na,1,,1,0.25\n"
    )
    assert main(["project", "summary", str(made.folder)]) == 0
    table = pd.read_csv(made.folder / "summary.csv")
    first = table.iloc[0]
    assert (first["id"], first["grade"], first["count"]) == ("a", 3, 3)
    assert first["qc_tissue"] + first["qc_glass"] == pytest.approx(1, abs=0.2)
    assert first["seconds"] > 0
    assert (first["scene_mm2_tumour"], first["scene_mm2_1"]) == (0.75, 0.25)
    other = pd.read_parquet(made.folder / "summary.parquet")
    assert list(other.columns) == list(table.columns)
