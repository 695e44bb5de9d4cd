"""`histoprompt labels` and `histoprompt cache` as a person types them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.core import settings
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.limits import Limits


@pytest.fixture
def slide(monkeypatch, tmp_path):
    """A slide with two objects, in two edits."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, np.full((300, 400, 3), 200, np.uint8), photometric="rgb")
    opened = open_slide(path)
    with LabelStore.open(store_folder(opened.key), opened.shape, opened.key) as store:
        store.write(Box(10, 10, 20, 20), np.full((10, 10), 1))
        store.write(Box(50, 50, 60, 60), np.full((10, 10), 2))
    return path, store.folder


def test_labels_are_told_and_verified(slide, capsys):
    path, folder = slide
    assert main(["labels", "info", str(path)]) == 0
    assert "objects  2" in capsys.readouterr().out
    assert main(["labels", "verify", str(path)]) == 0
    assert "0 of labels, 0 for display and 0 places" in capsys.readouterr().out
    (folder / "labels.zarr/0/c/0/0").write_bytes(b"")
    assert main(["labels", "verify", str(path)]) == 1
    assert "1 of labels" in capsys.readouterr().out
    assert main(["labels", "rebuild", str(path)]) == 0
    said = capsys.readouterr()
    assert "2 objects" in said.out
    assert "replaced-1" in said.err
    assert main(["labels", "verify", str(path)]) == 0


def test_labels_that_are_kept_aside_come_back(slide, capsys):
    path, folder = slide
    journal = folder / "journal.bin"
    journal.write_bytes(journal.read_bytes()[:-10])
    assert main(["labels", "info", str(path)]) == 1  # says to open it for editing
    assert main(["labels", "rebuild", str(path)]) == 0
    assert "1 objects" in capsys.readouterr().out
    assert main(["labels", "restore", str(path), "replaced-1"]) == 0
    assert "2 objects" in capsys.readouterr().out
    assert main(["labels", "restore", str(path), "replaced-7"]) == 1


def test_labels_in_use_and_slides_without_labels_are_one_line(slide, capsys, tmp_path):
    path, folder = slide
    opened = open_slide(path)
    with LabelStore.open(folder, opened.shape, opened.key):
        assert main(["labels", "info", str(path)]) == 0
        assert main(["labels", "rebuild", str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    other = tmp_path / "other.tif"
    tifffile.imwrite(other, np.zeros((30, 40, 3), np.uint8), photometric="rgb")
    assert main(["labels", "info", str(other)]) == 1


def test_history_is_told_and_the_journal_made_smaller(slide, capsys):
    path, _ = slide
    assert main(["labels", "history", str(path), "--last", "1"]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.split()[1] == "paint"
    assert last == "1 of 2 edits"
    assert main(["labels", "compact", str(path), "--keep-edits", "1"]) == 0
    said = capsys.readouterr().out
    assert "1 edits can be undone or done again, 1 no more; 0 were replaced" in said
    assert main(["labels", "history", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 1 edits"
    assert main(["labels", "verify", str(path)]) == 0
    capsys.readouterr()
    assert main(["labels", "info", str(path)]) == 0
    assert "objects  2" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["labels", "compact", str(path), "--keep-edits", "-1"])


def test_classes_are_read_told_and_written_as_qupath_has_them(slide, capsys, tmp_path):
    path, folder = slide
    with LabelStore.open(folder, (300, 400), open_slide(path).key) as store:
        store.set_class([2], "stroma")
    given, written = tmp_path / "given.json", tmp_path / "written.json"
    given.write_text('{"pathClasses": [{"name": "Tumor", "color": [200, 0, 1]}]}')
    assert main(["labels", "classes", str(path), "--read", str(given)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "#c80001  0 objects  0 regions  Tumor"
    assert second.endswith("1 objects  0 regions  stroma")
    assert main(["labels", "classes", str(path), "--write", str(written)]) == 0
    rows = json.loads(written.read_text())["pathClasses"]
    assert [row["name"] for row in rows] == ["Tumor", "stroma"]
    given.write_text("no list")
    assert main(["labels", "classes", str(path), "--read", str(given)]) == 1


def test_both_planes_are_exported_with_the_region_of_each_object(slide, capsys, tmp_path):
    path, folder = slide
    with LabelStore.open(folder, (300, 400), open_slide(path).key) as store:
        regions = store.on("regions")
        regions.write(Box(0, 0, 40, 40), np.full((40, 40), 7))
        regions.set_class([7], "tumour")
        store.write(Box(80, 80, 90, 90), np.full((10, 10), 3))
        store.set_class([3], "Ignore*")
    out = tmp_path / "out"
    asked = ["labels", "export", str(path), "--format", "geojson", "--out", str(out)]
    assert main([*asked, "--object-type", "detection"]) == 0
    assert "2 objects" in capsys.readouterr().out
    features = json.loads((out / "objects.geojson").read_text())["features"]
    told = [(f["properties"]["objectType"], f["properties"]["metadata"]) for f in features]
    assert told == [
        ("annotation", {"histoprompt_id": "7", "histoprompt_plane": "regions"}),
        ("detection", {"histoprompt_id": "1", "histoprompt_region": "7"}),
        ("detection", {"histoprompt_id": "2"}),
    ]
    assert len({f["id"] for f in features}) == 3
    tumour = features[0]["properties"]["classification"]
    assert tumour["name"] == "tumour"
    assert main(["labels", "export", str(path), "--format", "labels", "--out", str(out)]) == 0
    assert "2 objects" in capsys.readouterr().out


def test_what_is_kept_is_told_and_cleared(slide, capsys):
    embeddings = settings.cache_folder() / "tiles" / "slide" / "model.zarr"
    counts = settings.counts_folder()
    for folder in (embeddings, counts / "plain" / ".unfinished", counts / "labelled"):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(1_000_000))
    (counts / "labelled" / "labels_given.json").write_text("{}")
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["embeddings", "1.00", "MB"]
    assert lines[1].split()[:3] == ["counts", "2.00", "MB"]
    assert main(["cache", "clear", "embeddings"]) == 0
    assert capsys.readouterr().out == "1.00 MB removed\n"
    assert main(["cache", "clear", "counts"]) == 0
    assert [p.name for p in counts.iterdir()] == ["labelled"]  # somebody's work
    assert main(["cache", "clear", "counts", "--all"]) == 0
    assert not list(counts.iterdir())


@pytest.mark.parametrize("action", ["info", "verify", "rebuild"])
def test_labels_of_a_slide_over_the_size_limit_are_reached_if_its_size_is_trusted(
    slide, monkeypatch, capsys, action
):
    path, _ = slide
    monkeypatch.setattr(Limits.__init__, "__defaults__", (350, *Limits.__init__.__defaults__[1:]))
    assert main(["labels", action, str(path)]) == 1
    assert "(--trust-size)" in capsys.readouterr().err
    assert main(["labels", action, str(path), "--trust-size"]) == 0
