"""What an export refuses, and that nothing is lost or half-written when it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from histoprompt.core.errors import Cancelled, ExportError, LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.labels import contours
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import ArrayLabels, SparseLabels
from histoprompt.core.labels.tiff import read_labels, write_labels
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Progress, Task
from histoprompt.pipelines.exchange.export import FORMATS, ExportParams, export
from histoprompt.pipelines.formats.tiles import read_tiles


@pytest.fixture
def slide() -> Slide:
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    return Slide.from_arrays("specimen 7", image, mpp=0.5)


@pytest.fixture
def labels() -> ArrayLabels:
    array = np.zeros((200, 300), np.uint32)
    for i in range(40):
        r, c = divmod(i, 8)
        array[r * 40 : r * 40 + 20, c * 37 : c * 37 + 25] = i + 1
    return ArrayLabels(array)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


#: One array holds the whole of "hovernet-npy", which refuses a slide of this size.
FOR_SLIDES = tuple(name for name in FORMATS if name != "hovernet-npy")


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_report_tells_what_was_written(tmp_path, slide, labels, fmt):
    classes = Classes({1: "tumor", 2: "tumor"})
    params = ExportParams(format=fmt, tile_size=64, default_class="cell")
    report = export(slide, labels, tmp_path / "out", params, Task(), classes=classes)
    assert report.objects == 40
    assert report.by_class == {"tumor": 2, "cell": 38}
    assert report.paths
    assert all(path.exists() for path in report.paths)
    assert str(report).startswith("40 objects")
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("fmt", FORMATS)
def test_progress_is_reported_and_ends_whole(tmp_path, slide, labels, fmt):
    seen: list[Progress] = []
    export(slide, labels, tmp_path / "out", ExportParams(format=fmt), Task(seen.append))
    assert all(p.done <= p.total for p in seen)
    assert len({p.text for p in seen}) >= 3
    assert seen[-1].done == seen[-1].total


# -- the place ------------------------------------------------------------------------------------


def test_an_earlier_export_is_replaced_whatever_its_format(tmp_path, slide, labels):
    out = tmp_path / "out"
    export(slide, labels, out, ExportParams(format="tiles", tile_size=64), Task())
    export(slide, labels, out, ExportParams(format="geojson"), Task())
    assert sorted(os.listdir(out)) == ["export.json", "objects.geojson"]
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_with_other_files_is_refused(tmp_path, slide, labels):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ExportError, match=r"1 file .* thesis\.txt"):
        export(slide, labels, tmp_path, ExportParams(), Task())
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_an_earlier_export_to_which_somebody_added_is_refused(tmp_path, slide, labels):
    out = tmp_path / "out"
    export(slide, labels, out, ExportParams(format="tiles"), Task())
    (out / "images" / "mine.png").touch()
    with pytest.raises(ExportError, match=r"images/mine\.png"):
        export(slide, labels, out, ExportParams(format="tiles"), Task())
    assert (out / "images" / "mine.png").exists()


def test_a_folder_of_another_program_with_the_same_file_name_is_refused(tmp_path, slide, labels):
    (tmp_path / "export.json").write_text(json.dumps({"schema": "other", "files": []}))
    with pytest.raises(ExportError, match=r"export\.json"):
        export(slide, labels, tmp_path, ExportParams(), Task())


def test_a_file_in_the_place_is_refused(tmp_path, slide, labels):
    (tmp_path / "out").touch()
    with pytest.raises(ExportError, match="is a file"):
        export(slide, labels, tmp_path / "out", ExportParams(), Task())


def test_an_unwritable_folder_is_named(tmp_path, slide, labels):
    out = tmp_path / "locked" / "out"
    out.parent.mkdir()
    out.parent.chmod(0o555)
    user = os.geteuid()
    if user == 0:  # root may write anywhere
        os.seteuid(65534)
    try:
        with pytest.raises(ExportError, match=r"out may not be written to \(Permission denied\)"):
            export(slide, labels, out, ExportParams(), Task())
    finally:
        os.seteuid(user)
    assert not list(out.parent.iterdir())


# -- failures on the way --------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", FORMATS)
def test_cancel_leaves_the_earlier_export(tmp_path, slide, labels, fmt):
    out = tmp_path / "out"
    export(slide, labels, out, ExportParams(format="tiles"), Task())
    before = everything(out)
    task = Task()
    steps: list[Progress] = []

    def cancel_in_the_middle(progress: Progress) -> None:
        steps.append(progress)
        if progress.text.startswith("Writing") and (progress.done or progress.total == 1):
            task.cancel()

    task.report = cancel_in_the_middle
    with pytest.raises(Cancelled):
        export(slide, labels, out, ExportParams(format=fmt, tile_size=64), task)
    assert steps[-1].text.startswith("Writing")
    assert everything(out) == before
    assert os.listdir(tmp_path) == ["out"]


def test_cancel_from_another_thread(tmp_path, slide):
    big = SparseLabels((200, 300))
    big.paste(np.arange(1, 60_001).reshape(200, 300), Box(0, 0, 200, 300))
    writing = threading.Event()
    task = Task(lambda p: writing.set() if p.text == "Writing outlines" else None)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            export(slide, big, tmp_path / "out", ExportParams(format="geojson"), task)
        except Cancelled as error:
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    writing.wait()
    task.cancel()
    thread.join()
    assert failure
    assert os.listdir(tmp_path) == []


_FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from histoprompt.core.errors import ExportError
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams, export

fmt, out = sys.argv[1:]
noise = np.random.default_rng(0)
slide = Slide.from_arrays("s", noise.integers(0, 255, (300, 300, 3), dtype=np.uint8))
labels = ArrayLabels(noise.integers(0, 900, (300, 300)))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    export(slide, labels, Path(out), ExportParams(format=fmt, tile_size=128), Task())
except ExportError as error:
    print(error)
"""


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_full_disk_leaves_the_earlier_export(tmp_path, slide, labels, fmt):
    out = tmp_path / "out"
    export(slide, labels, out, ExportParams(format="labels"), Task())
    before = everything(out)
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, fmt, str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "There is no room to write" in done.stdout
    assert done.stderr == ""
    assert everything(out) == before
    assert os.listdir(tmp_path) == ["out"]


# -- bad input ------------------------------------------------------------------------------------


def test_labels_of_another_size_are_refused_with_the_numbers(tmp_path, slide):
    small = ArrayLabels(np.ones((120, 90), int))
    with pytest.raises(LabelError, match=r"120 rows and 90 .* specimen 7 has 200 rows and 300"):
        export(slide, small, tmp_path / "out", ExportParams(), Task())
    assert not (tmp_path / "out").exists()


def test_labels_of_a_region_that_reaches_outside_are_refused(tmp_path, slide):
    region = ArrayLabels(np.ones((120, 90), int), (100, 0))
    with pytest.raises(LabelError, match="from row 100 and column 0, which reaches outside"):
        export(slide, region, tmp_path / "out", ExportParams(), Task())


def test_labels_without_objects_are_refused(tmp_path, slide):
    with pytest.raises(LabelError, match="no objects"):
        export(
            slide, ArrayLabels(np.zeros((200, 300), int)), tmp_path / "o", ExportParams(), Task()
        )
    assert not (tmp_path / "o").exists()


def test_classes_of_unknown_ids_are_refused(tmp_path, slide, labels):
    with pytest.raises(LabelError, match=r"1 ids .* 999"):
        export(
            slide, labels, tmp_path / "o", ExportParams(), Task(), classes=Classes({999: "x"})
        )  # fmt: skip
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"format": "yolo"}, "Format is 'yolo'; it must be one of tiles"),
        ({"tile_size": 0}, "Tile side is 0; it must lie between 32 and 8192"),
        ({"empty_share": 1.0}, "Share of empty tiles is 1"),
        ({"mpp": -1.0}, "Pixel size of tiles is -1"),
        ({"val_share": 0.6, "test_share": 0.6}, "more than 1"),
    ],
)
def test_impossible_parameters_are_refused(params, message):
    with pytest.raises(ExportError, match=message):
        ExportParams(**params)


# -- size -----------------------------------------------------------------------------------------


def test_an_object_over_many_blocks_comes_out_whole(tmp_path, monkeypatch):
    """A ring of 2400 px, read by blocks, is one polygon with one hole."""
    monkeypatch.setattr(contours, "_BLOCK", 1000)
    array = np.zeros((2500, 2500), np.uint8)
    array[50:2450, 50:2450] = 1
    array[1000:1500, 1000:1500] = 0
    tifffile.imwrite(tmp_path / "l.tif", array, tile=(512, 512), compression="zlib")
    slide = Slide.from_arrays("big", np.broadcast_to(np.uint8(200), (2500, 2500, 3)), key="big")
    source = read_labels(tmp_path / "l.tif")
    export(slide, source, tmp_path / "o", ExportParams(format="geojson"), Task())
    (feature,) = json.loads((tmp_path / "o" / "objects.geojson").read_text())["features"]
    assert feature["geometry"]["type"] == "Polygon"
    exterior, hole = feature["geometry"]["coordinates"]
    assert sorted(map(tuple, exterior[1:])) == [
        (50, 50), (50, 2450), (2450, 50), (2450, 2450),
    ]  # fmt: skip
    assert len(hole) == 5
    assert feature["properties"]["measurements"] == {"Area px^2": 2400**2 - 500**2}


@pytest.mark.parametrize("fmt", FOR_SLIDES)
def test_memory_stays_flat_on_a_huge_slide(tmp_path, fmt):
    """40,000 x 30,000 level-0 pixels with three objects: 4.8 GB of labels, 3.6 GB of image."""
    shape = (40_000, 30_000)
    slide = Slide.from_arrays("huge", np.broadcast_to(np.uint8(230), (*shape, 3)), key="huge")
    labels = SparseLabels(shape)
    for i, (r, c) in enumerate([(10, 10), (20_000, 15_000), (39_900, 29_900)], start=1):
        labels.paste(np.full((80, 80), i), Box(r, c, r + 80, c + 80))
    write_labels(tmp_path / "l.ome.tif", labels)
    tracemalloc.start()
    with read_labels(tmp_path / "l.ome.tif") as source:
        report = export(slide, source, tmp_path / "o", ExportParams(format=fmt), Task())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.objects == 3
    assert peak < 100 << 20


def test_real_nuclei_come_back_equal(tmp_path, shared_data):
    folder = shared_data / "nuclei" / "dsb2018" / "stained"
    masks = sorted(folder.rglob("*.tif*"))
    masks = [m for m in masks if tifffile.imread(m).ndim == 2][:3]
    assert masks
    for path in masks:
        array = tifffile.imread(path)
        slide = Slide.from_arrays(path.stem, np.zeros((*array.shape, 3), np.uint8), key=path.stem)
        with read_labels(path) as source:
            out = tmp_path / path.stem
            export(slide, source, out, ExportParams(tile_size=100), Task())
        found = read_tiles(out).labels
        np.testing.assert_array_equal(found.read(Box.of_shape(array.shape)), array)
