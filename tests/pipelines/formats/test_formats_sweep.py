"""Every format that is written and read gives back what it says it holds."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import shapely
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from histoprompt.core.errors import LabelError
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import ArrayLabels, extent
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import export
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.exchange.params import ImportParams
from histoprompt.pipelines.formats.annotation import Reading, colour_of, numbers_of, whole
from histoprompt.pipelines.formats.catalogue import FORMATS, WRITABLE, file_format, format_of
from histoprompt.pipelines.formats.job import FORMATS as NAMES
from histoprompt.pipelines.formats.job import ExportParams

BOTH = [f.name for f in FORMATS if f.write and f.reads]
# Where an export lies when it is not the folder itself.
FILES = {
    "geojson": "objects.geojson",
    "cellvit": "cells.json",
    "hovernet": "nuclei.json",
    "geoparquet": "objects.parquet",
    "dicom-ann": "annotations.dcm",
    "ome-zarr": "labels.zarr",
    "hovernet-npy": "labels.npy",
    "labels": "labels.ome.tif",
}
some = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def slide():
    image = np.random.default_rng(0).integers(0, 255, (150, 200, 3), dtype=np.uint8)
    return Slide.from_arrays("a slide", image, mpp=0.25)


@pytest.fixture
def picture():
    """Whole objects without holes: two that touch, one over tiles, one of a single pixel."""
    array = np.zeros((150, 200), np.uint32)
    array[10:40, 10:30] = 1
    array[10:40, 30:50] = 2
    rows, cols = np.ogrid[:150, :200]
    array[(rows - 80) ** 2 + (cols - 70) ** 2 < 30**2] = 7
    array[120, 150] = 70_000
    return array


CLASSES = Classes({1: "tumor", 2: "stroma", 70_000: "tumor"}, {"tumor": (200, 0, 0)})


def written(slide, array, out, name, **params):
    params = {"val_share": 0.0, "test_share": 0.0, "tile_size": 64, **params}
    export(
        slide, ArrayLabels(array), out, ExportParams(format=name, **params), Task(), classes=CLASSES
    )
    return out / FILES.get(name, "")


def back(slide, path, **about):
    found = read_incoming(slide, path, Task(), ImportParams(**about))
    whole, place = np.zeros(slide.shape, np.uint32), extent(found.labels)
    whole[place.slices()] = found.labels.read(place)
    return found, whole


def test_the_parameters_know_the_formats_that_are_written():
    assert set(NAMES) == set(WRITABLE)


@pytest.mark.parametrize("name", BOTH)
def test_an_export_is_recognised_by_its_content(slide, picture, tmp_path, name):
    place = written(slide, picture, tmp_path / "out", name)
    found = format_of(place)
    # a box is a line of YOLO as a polygon is, and an npy is a label image of its own
    same = {"yolo-box": "yolo-seg"}
    assert found.name == same.get(name, name)


@pytest.mark.parametrize("name", [n for n in BOTH if n != "yolo-box"])
def test_objects_come_back_pixel_by_pixel_with_what_the_format_holds(
    slide, picture, tmp_path, name
):
    found, labels = back(slide, written(slide, picture, tmp_path / "out", name), format=name)
    np.testing.assert_array_equal(labels > 0, picture > 0)
    for old in (1, 2, 7, 70_000):
        new = np.unique(labels[picture == old])
        assert len(new) == 1, "an object came back as several"
        assert (labels == new[0]).sum() == (picture == old).sum()
        if "ids" in found.format.holds:
            assert new[0] == old
        none = "" if found.format.unclassed else CLASSES.default
        assert found.classes.of(int(new[0])) == CLASSES.names.get(old, none)
    if "colours" in found.format.holds:
        assert found.classes.colours["tumor"] == (200, 0, 0)


@some
@given(
    hnp.arrays(
        np.uint32,
        st.tuples(st.integers(3, 40), st.integers(3, 40)),
        elements=st.sampled_from((0, 0, 1, 2, 9)),
    ).filter(np.any),
    st.sampled_from([f.name for f in FORMATS if f.write and f.reads and "holes" in f.holds]),
)
def test_any_picture_comes_back_from_formats_that_hold_holes(tmp_path_factory, array, name):
    image = np.full((*array.shape, 3), 200, np.uint8)
    slide = Slide.from_arrays("a slide", image, mpp=0.25)
    out = tmp_path_factory.mktemp("sweep") / "out"
    params = ExportParams(format=name, tile_size=32, val_share=0, test_share=0)
    export(slide, ArrayLabels(array), out, params, Task())
    _, labels = back(slide, out / FILES.get(name, ""), format=name)
    np.testing.assert_array_equal(labels, array)


def test_boxes_come_back_as_the_smallest_boxes_around_objects(slide, picture, tmp_path):
    place = written(slide, picture, tmp_path / "out", "yolo-box", tile_size=200)
    _, labels = back(slide, place, format="yolo-box")
    assert (labels[51:110, 41:100] > 0).all(), "the disc of radius 30 about (80, 70)"
    assert not labels[51:110, 39:41].any()
    assert (labels[10:40, 10:50] > 0).all()


def test_a_trainer_finds_what_it_needs_in_a_yolo_folder(slide, picture, tmp_path):
    place = written(slide, picture, tmp_path / "out", "yolo-seg")
    data = yaml.safe_load((place / "data.yaml").read_text())
    assert data["names"] == {0: "nucleus", 1: "stroma", 2: "tumor"}
    images = sorted((place / data["train"]).glob("*.png"))
    assert len(images) == 5
    for image in images:
        label = place / "labels" / image.relative_to(place / "images").with_suffix(".txt")
        for line in label.read_text().splitlines():
            kind, *values = line.split()
            assert int(kind) in data["names"]
            assert len(values) >= 6
            assert all(0 <= float(v) <= 1 for v in values)


def test_opencv_contours_of_other_programs_cover_the_pixels_they_were_drawn_around(slide, tmp_path):
    # what cv2.findContours gives for rows 10 ... 19, columns 20 ... 39: centres of the corners
    contour = [[20, 10], [20, 19], [39, 19], [39, 10]]
    (tmp_path / "n.json").write_text(
        json.dumps({"mag": 40, "nuc": {"5": {"contour": contour, "type": 2}}})
    )
    found, labels = back(slide, tmp_path / "n.json")
    assert found.format.name == "hovernet"
    assert found.classes.of(5) == "type 2"
    expected = np.zeros((150, 200), bool)
    expected[10:20, 20:40] = True
    np.testing.assert_array_equal(labels == 5, expected)


def test_a_pickled_table_of_arrays_is_read_and_one_that_runs_code_is_not(slide, tmp_path):
    instances = np.zeros((150, 200), np.int32)
    instances[:10, :10], instances[50:60, :10] = 3, 4
    types = np.where(instances == 3, 1, 2) * (instances > 0)
    table = {"inst_map": instances, "type_map": types}
    np.save(tmp_path / "good.npy", table, allow_pickle=True)
    found, labels = back(slide, tmp_path / "good.npy")
    np.testing.assert_array_equal(labels, instances)
    assert found.classes.names == {3: "type 1", 4: "type 2"}

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    header = (tmp_path / "good.npy").read_bytes()
    header = header[: header.index(b"\n") + 1]
    (tmp_path / "evil.npy").write_bytes(header + pickle.dumps({"inst_map": Evil()}))
    with pytest.raises(LabelError, match="read safely"):
        back(slide, tmp_path / "evil.npy")
    assert not (tmp_path / "ran").exists()


def test_objects_that_cannot_be_used_are_named_and_the_others_come_in(slide, tmp_path):
    square = [[[5, 5], [25, 5], [25, 25], [5, 25], [5, 5]]]
    bow = [[[50, 10], [90, 50], [90, 10], [50, 50], [50, 10]]]  # crosses itself: two triangles
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": square},
            "properties": {"classification": {"name": "tumor"}},
        },
        {"type": "Feature", "geometry": None, "properties": None},
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": bow}},
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[1, 1], [float("nan"), 2], [3, 3]]]},
        },
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[900, 1], [950, 1], [950, 9], [900, 1]]],
            },
        },
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 4]}},
    ]
    path = tmp_path / "q.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found, labels = back(slide, path)
    assert (found.outside, found.repaired, found.points, len(found.problems)) == (1, 1, 1, 2)
    assert any("feature 2" in line for line in found.problems)
    assert (labels == 1).sum() == 400
    # two triangles of base 40 and height 20 that meet in the middle: 800 px, less rounding
    assert abs((labels == 2).sum() - 800) <= 45
    with pytest.raises(LabelError, match=r"feature 2.*Nothing was imported"):
        back(slide, path, strict=True)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.csv", "", "is empty"),
        ("names.csv", "a,b\n1,2\n", "needs x and y"),
        ("broken.xml", "<Annotations><Ann", "not readable XML"),
        ("none.geojson", '{"type": "FeatureCollection", "features": []}', "no object"),
        ("list.json", '{"nuc": [1, 2]}', "no table of nuclei"),
        ("cells.json", '{"cells": 3, "type_map": {}}', "no list of cells"),
        ("text.docx", "words", "of no format"),
    ],
)
def test_files_that_are_not_what_they_seem_are_refused_in_one_line(
    slide, tmp_path, name, content, told
):
    (tmp_path / name).write_text(content)
    with pytest.raises(LabelError, match=told) as caught:
        back(slide, tmp_path / name)
    assert "\n" not in str(caught.value)


def test_the_place_and_scale_of_a_file_are_minded(slide, tmp_path):
    Image.fromarray(np.full((10, 20), 3, np.uint16)).save(tmp_path / "part.png")
    with pytest.raises(LabelError, match="10 rows and 20 columns"):
        back(slide, tmp_path / "part.png")
    _, labels = back(slide, tmp_path / "part.png", offset=(30, 40))
    assert (labels[30:40, 40:60] == 3).all()
    assert (labels > 0).sum() == 200
    (tmp_path / "x.xml").write_text(
        "<Annotations><Annotation Id='1' LineColor='255'><Regions><Region Id='4'><Vertices>"
        "<Vertex X='1' Y='2'/><Vertex X='6' Y='2'/><Vertex X='6' Y='4'/><Vertex X='1' Y='4'/>"
        "</Vertices></Region></Regions></Annotation></Annotations>"
    )
    found, labels = back(slide, tmp_path / "x.xml", offset=(100, 0), scale=2.0)
    assert found.format.name == "imagescope"
    assert (labels[104:108, 2:12] == 4).all()
    assert (labels > 0).sum() == 40


def test_asap_and_histomics_shapes_lie_where_they_say(slide, tmp_path):
    points = "".join(
        f"<Coordinate Order='{i}' X='{x}' Y='{y}'/>"
        for i, (x, y) in enumerate([(10, 20), (30, 20), (30, 25), (10, 25)])
    )
    (tmp_path / "a.xml").write_text(
        f"<ASAP_Annotations><Annotations><Annotation Name='n' Type='Polygon' PartOfGroup='tumor'>"
        f"<Coordinates>{points}</Coordinates></Annotation></Annotations><AnnotationGroups>"
        "<Group Name='tumor' Color='#64FE2E'/></AnnotationGroups></ASAP_Annotations>"
    )
    found, labels = back(slide, tmp_path / "a.xml")
    assert found.format.name == "grand-challenge"
    assert (labels[20:25, 10:30] == 1).all()
    assert (labels > 0).sum() == 100
    assert found.classes.colours == {"tumor": (0x64, 0xFE, 0x2E)}
    elements = [
        {
            "type": "rectangle",
            "center": [50, 60, 0],
            "width": 20,
            "height": 10,
            "rotation": 0,
            "group": "a",
            "lineColor": "rgb(1,2,3)",
        },
        {
            "type": "rectangle",
            "center": [120, 60, 0],
            "width": 20,
            "height": 10,
            "rotation": np.pi / 2,
            "group": "b",
        },
        {"type": "polyline", "closed": False, "points": [[1, 1], [2, 2]]},
    ]
    (tmp_path / "h.json").write_text(json.dumps({"annotation": {"elements": elements}}))
    found, labels = back(slide, tmp_path / "h.json")
    assert (labels[55:65, 40:60] == 1).all()
    assert (labels[50:70, 115:125] == 2).all()
    assert (labels > 0).sum() == 400
    assert len(found.problems) == 1


def test_words_of_files_are_read_carefully():
    assert colour_of("rgb(255,0,3)") == (255, 0, 3)
    assert colour_of("#0a0B0c") == (10, 11, 12)
    assert colour_of([1, 2, 300]) is None
    assert colour_of({"a": 1}) is None
    assert [whole(v) for v in ("12", 3.0, True, -1, 2**40, "x", None, "9" * 5000)] == [
        12,
        3,
        0,
        0,
        0,
        0,
        0,
        0,
    ]
    assert numbers_of([{"name": "a", "value": 2}, {"name": "b", "value": float("nan")}]) == {"a": 2}
    with pytest.raises(LabelError, match="no format 'x'"):
        file_format("x")


REAL = {
    "imagescope/TCGA-IZ-8196-01A-01-BS1.xml": ("imagescope", (1000, 1000)),
    "grand-challenge/puma-10-class-nuclei.json": ("grand-challenge", (1024, 1024)),
    "dsa/TCGA-A2-A0YE_annotations.json": ("histomics", (60_000, 70_000)),
    "qupath-export/KI67_3_in_50_run6_light_zone_dark_zone.geojson": ("geojson", (90_000, 90_000)),
    "dsa/sample_contours_df.tsv": ("contour-table", (4600, 4600)),
    "nuclick/test_img.csv": ("points", (512, 512)),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_files_of_real_tools_are_recognised_and_read(shared_data, name):
    kind, size = REAL[name]
    path = shared_data / "annotations" / name
    found = format_of(path)
    assert found.name == kind
    reading = Reading(path, size)
    items = list(found.read(reading))
    # a pencil mark of one or two points may be left out, no more
    assert len(items) >= 10 * len(reading.problems)
    boxes = [p.bounds for item in items for p in item.polygons]
    boxes += [(*item.point, *item.point) for item in items if item.point]
    low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
    assert (low[:2] >= -1).all()
    assert high[2] <= size[1] + 1
    assert high[3] <= size[0] + 1


def test_grand_challenge_outlines_are_of_nuclei(shared_data):
    path = shared_data / "annotations/grand-challenge/puma-10-class-nuclei.json"
    stated = json.loads(path.read_text())["polygons"]
    items = list(format_of(path).read(Reading(path, (1024, 1024))))
    assert {i.class_name for i in items} == {p["name"] for p in stated}
    whole_area = shapely.union_all([p for i in items for p in i.polygons]).area
    assert 0.02 < whole_area / 1024**2 < 0.6
