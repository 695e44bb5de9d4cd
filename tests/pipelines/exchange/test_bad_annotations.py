"""Every reader of outlines meets the same faults: each is named, and the rest comes in."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.contours import Outline, fill
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.exchange.params import ImportParams
from histoprompt.pipelines.formats.catalogue import FORMATS

SHAPE = (150, 200)
GOOD = [(10, 10), (30, 10), (30, 30), (10, 30)]
OTHER = [(50, 50), (70, 50), (70, 70), (50, 70)]
BOW = [(100, 10), (140, 50), (140, 10), (100, 50)]
NAN = [(140, 50), (100, math.nan), (140, 10)]
FAR = [(900, 10), (950, 10), (950, 40)]


@pytest.fixture
def slide():
    return Slide.from_arrays("a slide", np.full((*SHAPE, 3), 200, np.uint8), mpp=0.25)


def geojson(folder, items):
    features = []
    for ring, label in items:
        metadata = {} if label is None else {"histoprompt_id": str(label)}
        geometry = None
        if ring is not None:
            geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        about = {"metadata": metadata, "classification": {"name": "a"}}
        features.append({"type": "Feature", "geometry": geometry, "properties": about})
    return dumped(folder / "f.geojson", {"type": "FeatureCollection", "features": features})


def cellvit(folder, items):
    cells = [None if r is None else {"contour": centres(r), "type": 1} for r, _ in items]
    return dumped(folder / "f.json", {"type_map": {"1": "a"}, "cells": cells})


def hovernet(folder, items):
    nuclei = [
        (str(i if label is None else label), r and {"contour": centres(r), "type": 1})
        for i, (r, label) in enumerate(items, start=1)
    ]
    rows = ",".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in nuclei)  # keys may repeat
    path = folder / "f.json"
    path.write_text('{"mag": null, "nuc": {' + rows + '}, "type_names": {"1": "a"}}')
    return path


def grand_challenge(folder, items):
    polygons = [r and {"name": "a", "path_points": [[*p, 0.5] for p in r]} for r, _ in items]
    return dumped(folder / "f.json", {"type": "Multiple polygons", "polygons": polygons})


def imagescope(folder, items):
    rows = []
    for ring, label in items:
        corners = "".join(f"<Vertex X='{x}' Y='{y}'/>" for x, y in ring or ())
        name = "" if label is None else f" Id='{label}'"
        rows.append(f"<Region{name}><Vertices>{corners}</Vertices></Region>")
    path = folder / "f.xml"
    path.write_text(
        f"<Annotations><Annotation Id='1' Name='a'><Regions>{''.join(rows)}</Regions></Annotation>"
        "</Annotations>"
    )
    return path


def histomics(folder, items):
    elements = [
        r and {"type": "polyline", "closed": True, "points": [[*p, 0] for p in r], "group": "a"}
        for r, _ in items
    ]
    return dumped(folder / "f.json", {"annotation": {"elements": elements}})


def coco(folder, items):
    rows = []
    for i, (ring, label) in enumerate(items, start=1):
        flat = ring and [[v for point in ring for v in point]]
        rows.append(
            {"id": i if label is None else label, "image_id": 1, "category_id": 1,
             "segmentation": flat}
        )  # fmt: skip
    images = [{"id": 1, "file_name": "x.png", "height": SHAPE[0], "width": SHAPE[1]}]
    content = {"images": images, "categories": [{"id": 1, "name": "a"}], "annotations": rows}
    return dumped(folder / "f.json", content)


def geoparquet(folder, items):
    made = [r and (shapely.Polygon(r) if len(r) > 2 else shapely.LineString(r)) for r, _ in items]
    shapes = [None if shape is None else shapely.to_wkb(shape) for shape in made]
    ids = pa.array([i if n is None else n for i, (_, n) in enumerate(items, 1)], pa.int64())
    table = pa.table({"id": ids, "class": ["a"] * len(items), "geometry": shapes})
    pq.write_table(table, folder / "f.parquet")
    return folder / "f.parquet"


def yolo(folder, items):
    root = folder / "set"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    Image.new("RGB", SHAPE[::-1]).save(root / "images" / "x.png")
    lines = []
    for ring, _ in items:
        shares = [(x / SHAPE[1], y / SHAPE[0]) for x, y in ring or ()]
        lines.append(" ".join(["0", *(f"{v:.6f}" for point in shares for v in point)]))
    (root / "labels" / "x.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("names: [a]\n")
    return root


def points(folder, items):
    rows = [f"{r[0][0]},{r[0][1]},a,{'' if n is None else n}" if r else ",," for r, n in items]
    path = folder / "f.csv"
    path.write_text("\n".join(["x,y,class,id", *rows]))
    return path


def contour_table(folder, items):
    rows = []
    for ring, _ in items:
        xy = zip(*centres(ring), strict=True) if ring else ("", "")
        rows.append("\t".join(["a", *(",".join(map(str, axis)) for axis in xy)]))
    path = folder / "f.tsv"
    path.write_text("\n".join(["group\tcoords_x\tcoords_y", *rows]))
    return path


def centres(ring):
    return [(x - 0.5, y - 0.5) for x, y in ring]


def dumped(path, content):
    path.write_text(json.dumps(content))
    return path


MAKERS = {
    "geojson": geojson,
    "cellvit": cellvit,
    "hovernet": hovernet,
    "grand-challenge": grand_challenge,
    "imagescope": imagescope,
    "histomics": histomics,
    "coco": coco,
    "geoparquet": geoparquet,
    "yolo-seg": yolo,
    "contour-table": contour_table,
    "points": points,
}
OUTLINES = [n for n in MAKERS if n != "points"]
WITH_IDS = [f.name for f in FORMATS if f.name in OUTLINES and "ids" in f.holds]


def read(slide, path, name, **about):
    return read_incoming(slide, path, Task(), ImportParams(format=name, **about))


def test_every_reader_of_outlines_is_tried():
    read_here = {f.name for f in FORMATS if f.read}
    # yolo-box is read as yolo-seg is; DICOM has its own test
    assert read_here - {"yolo-box", "dicom-ann"} == set(MAKERS)


@pytest.mark.parametrize("name", OUTLINES)
@pytest.mark.parametrize("bad", [None, NAN, [(100, 10), (120, 20)]], ids=["null", "nan", "line"])
def test_a_bad_object_is_named_and_the_rest_comes_in(slide, tmp_path, name, bad):
    if name == "yolo-seg" and bad and len(bad) == 2:
        pytest.skip("four numbers are a box there")
    path = MAKERS[name](tmp_path, [(GOOD, None), (bad, None), (OTHER, None)])
    found = read(slide, path, name)
    assert found.table.areas.tolist() == [400, 400]
    (line,) = found.problems
    assert any(char in line for char in "23"), f"it names the second object: {line}"
    with pytest.raises(LabelError, match="Nothing was imported"):
        read(slide, path, name, strict=True)


@pytest.mark.parametrize("name", OUTLINES)
def test_an_outline_that_crosses_itself_is_mended_and_told(slide, tmp_path, name):
    path = MAKERS[name](tmp_path, [(GOOD, None), (BOW, None)])
    found = read(slide, path, name)
    assert (found.repaired, len(found.remarks), found.problems) == (1, 1, ())
    # two triangles of base 40 and height 20 that meet in the middle: 800 px, less rounding
    assert abs(int(found.table.areas[1]) - 800) <= 45
    with pytest.raises(LabelError, match="crosses itself"):
        read(slide, path, name, strict=True)


@pytest.mark.parametrize("name", MAKERS)
def test_objects_beyond_the_slide_are_counted(slide, tmp_path, name):
    found = read(slide, MAKERS[name](tmp_path, [(GOOD, None), (FAR, None)]), name)
    assert found.outside == 1
    assert len(found.table) + found.points == 1


@pytest.mark.parametrize("name", WITH_IDS)
@pytest.mark.parametrize("label", [2**40, -3, 0], ids=["large", "negative", "zero"])
def test_an_id_that_cannot_be_kept_is_given_anew_and_told(slide, tmp_path, name, label):
    path = MAKERS[name](tmp_path, [(GOOD, 5), (OTHER, label)])
    found = read(slide, path, name)
    assert found.table.areas.tolist() == [400, 400]
    assert 5 in found.table.ids.tolist()
    assert any(str(label) in line for line in found.remarks)


@pytest.mark.parametrize("name", WITH_IDS)
def test_ids_over_two_to_the_31_are_kept(slide, tmp_path, name):
    found = read(slide, MAKERS[name](tmp_path, [(GOOD, 3_000_000_000)]), name)
    assert found.table.ids.tolist() == [3_000_000_000]
    assert (found.labels.read(Box(10, 10, 30, 30)) == 3_000_000_000).all()


@pytest.mark.parametrize("name", WITH_IDS)
def test_an_id_given_twice_stays_with_the_first_object(slide, tmp_path, name):
    path = MAKERS[name](tmp_path, [(GOOD, 7), (OTHER, 7)])
    found = read(slide, path, name)
    assert found.labels.read(Box(10, 10, 11, 11)).item() == 7
    other = found.labels.read(Box(50, 50, 51, 51)).item()
    assert other not in (0, 7)
    (line,) = found.remarks
    assert "id 7 is that of" in line
    with pytest.raises(LabelError, match="Nothing was imported"):
        read(slide, path, name, strict=True)


@pytest.mark.parametrize("name", [n for n in MAKERS if n not in ("geoparquet", "yolo-seg")])
def test_a_byte_order_mark_does_no_harm(slide, tmp_path, name):
    path = MAKERS[name](tmp_path, [(GOOD, None)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = read_incoming(slide, path, Task())
    assert found.format.name == name
    assert len(found.table) + found.points == 1


@pytest.mark.parametrize("name", MAKERS)
def test_files_without_objects_and_empty_ones_are_refused_in_one_line(slide, tmp_path, name):
    path = MAKERS[name](tmp_path, [])
    with pytest.raises(LabelError) as caught:
        read(slide, path, name)
    assert "\n" not in str(caught.value)
    if path.is_file():
        path.write_bytes(b"")
        with pytest.raises(LabelError):
            read(slide, path, name)


@pytest.mark.parametrize("name", [n for n in MAKERS if n not in ("geoparquet", "yolo-seg")])
def test_a_file_that_breaks_off_is_refused(slide, tmp_path, name):
    path = MAKERS[name](tmp_path, [(GOOD, None), (OTHER, None)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 9])
    if name == "points":
        pytest.skip("a table may end anywhere")
    if name == "contour-table":  # it may end anywhere, but the lists of a row are of one length
        assert len(read(slide, path, name).problems) == 1
        return
    with pytest.raises(LabelError):
        read(slide, path, name)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(3.1, 40), min_size=5, max_size=12),
    st.floats(20.25, 180.25),
    st.floats(20.25, 130.25),
    st.sampled_from(OUTLINES),
)
def test_any_outline_covers_the_pixels_whose_centres_it_encloses(
    tmp_path_factory, radii, x, y, name
):
    turns = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    corners = [(x + r * np.cos(t), y + r * np.sin(t)) for r, t in zip(radii, turns, strict=True)]
    # 1/64 of a pixel, which no format rounds away but YOLO's six digits of a share
    ring = [(round(float(a) * 64) / 64, round(float(b) * 64) / 64) for a, b in corners]
    slide = Slide.from_arrays("a slide", np.full((*SHAPE, 3), 200, np.uint8), mpp=0.25)
    found = read(slide, MAKERS[name](tmp_path_factory.mktemp("any"), [(ring, None)]), name)
    owed = fill([Outline(np.array(ring)[:, ::-1] - 0.5)], Box.of_shape(SHAPE))
    got = found.labels.read(Box.of_shape(SHAPE)) > 0
    allowed = 3 if name == "yolo-seg" else 0
    assert np.count_nonzero(got != owed) <= allowed


def label_tiff(path: Path, array):
    tifffile.imwrite(path, array)
    return path


def label_npy(path: Path, array):
    np.save(path, array)
    return path


@pytest.mark.parametrize("maker", [label_tiff, label_npy])
@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.ones((10, 20), np.uint16), "10 rows and 20 columns"),
        (np.zeros(SHAPE, np.uint16), "no object"),
        (np.full(SHAPE, np.nan, np.float32), "float32|whole"),
        (np.full(SHAPE, -4, np.int32), "-4"),
        (np.full(SHAPE, 2**40, np.int64), "1099511627776"),
    ],
    ids=["size", "empty", "nan", "negative", "large"],
)
def test_images_that_are_no_labels_of_the_slide_are_refused(slide, tmp_path, maker, array, told):
    if maker is label_tiff and array.dtype == np.int64:
        pytest.skip("no TIFF of such numbers is read")
    suffix = ".tif" if maker is label_tiff else ".npy"
    with pytest.raises(LabelError, match=told) as caught:
        read_incoming(slide, maker(tmp_path / f"x{suffix}", array), Task())
    assert "\n" not in str(caught.value)


def test_images_keep_ids_over_two_to_the_31(slide, tmp_path):
    array = np.zeros(SHAPE, np.uint32)
    array[5:9, 5:9] = 4_000_000_000
    found = read_incoming(slide, label_tiff(tmp_path / "x.tif", array), Task())
    assert found.table.ids.tolist() == [4_000_000_000]
