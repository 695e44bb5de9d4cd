"""Every format gives the labels back, and says what its readers elsewhere expect."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import uuid
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools.coco import COCO
from scipy.ndimage import binary_dilation

from histoprompt.core.errors import LabelError, MissingMppError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes, read_classes
from histoprompt.core.labels.sources import ArrayLabels, SparseLabels
from histoprompt.core.labels.tiff import read_labels
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams, export
from histoprompt.pipelines.formats.coco import read_coco
from histoprompt.pipelines.formats.geojson import read_geojson
from histoprompt.pipelines.formats.polygons import without_holes
from histoprompt.pipelines.formats.splits import split_of
from histoprompt.pipelines.formats.tiles import read_tiles

TOUCHING = (0, 0, 0, 1, 2, 65_536, 2**31 - 1)
label_images = hnp.arrays(
    np.uint32,
    st.tuples(st.integers(1, 45), st.integers(1, 45)),
    elements=st.sampled_from(TOUCHING),
    fill=st.sampled_from(TOUCHING),
).filter(np.any)
some = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def slide_of(shape: tuple[int, int], mpp: float | None = 0.25) -> Slide:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    return Slide.from_arrays("a slide", image, mpp=mpp)


def run(labels, out, classes=None, slide=None, **params):
    source = labels if hasattr(labels, "read") else ArrayLabels(labels)
    slide = slide or slide_of(source.shape)
    return export(slide, source, out, ExportParams(**params), Task(), classes=classes)


def whole(labels: SparseLabels) -> np.ndarray:
    return labels.read(Box.of_shape(labels.shape))


@pytest.fixture
def picture() -> np.ndarray:
    """Objects that touch, have holes, are in parts, one pixel large, and cross tiles."""
    array = np.zeros((150, 200), np.uint32)
    array[10:40, 10:30] = 1
    array[10:40, 30:50] = 2
    array[20:30, 15:25] = 0
    array[24:26, 18:20] = 70_000  # in the hole of 1
    array[60:100, 20:120] = 3  # over tiles of 64
    array[60:100, 50:60] = 0  # in two parts
    array[120, 150] = 4
    array[130, 160] = array[131, 161] = 5  # in parts that meet at a corner
    return array


@pytest.fixture
def classes() -> Classes:
    return Classes({1: "tumor", 2: "stroma", 70_000: "tumor"}, {"tumor": (200, 0, 0)})


# -- round trips ----------------------------------------------------------------------------------


@some
@given(labels=label_images)
def test_label_image_round_trip(tmp_path, labels):
    run(labels, tmp_path / "out", format="labels")
    with read_labels(tmp_path / "out" / "labels.ome.tif") as found:
        np.testing.assert_array_equal(found.read(Box.of_shape(labels.shape)), labels)


@some
@given(labels=label_images)
def test_tiles_round_trip(tmp_path, labels):
    run(labels, tmp_path / "out", format="tiles", tile_size=32)
    np.testing.assert_array_equal(whole(read_tiles(tmp_path / "out").labels), labels)


@some
@given(labels=label_images)
def test_coco_round_trip(tmp_path, labels):
    run(labels, tmp_path / "out", format="coco", tile_size=32, block_tiles=1)
    np.testing.assert_array_equal(whole(read_coco(tmp_path / "out").labels), labels)
    polygons = np.zeros_like(labels)
    for path in sorted((tmp_path / "out" / "annotations").glob("polygons_*.json")):
        polygons += whole(read_coco(path).labels)
    np.testing.assert_array_equal(polygons, labels)


@some
@given(labels=label_images)
def test_geojson_round_trip(tmp_path, labels):
    run(labels, tmp_path / "out", format="geojson")
    found = read_geojson(tmp_path / "out" / "objects.geojson", labels.shape)
    np.testing.assert_array_equal(whole(found.labels), labels)


@pytest.mark.parametrize("fmt", ["tiles", "coco", "geojson", "labels"])
def test_labels_of_a_region_keep_their_place_and_classes(tmp_path, picture, classes, fmt):
    slide = slide_of((400, 500))
    source = ArrayLabels(picture, (100, 130))
    run(source, tmp_path / "out", classes, slide, format=fmt, tile_size=64)
    out, expected = tmp_path / "out", np.zeros(slide.shape, np.uint32)
    expected[100:250, 130:330] = picture
    if fmt == "labels":
        found = read_labels(out / "labels.ome.tif")
        assert found.origin == (100, 130)
        np.testing.assert_array_equal(found.read(Box(100, 130, 250, 330)), picture)
        # those without a class stay without one
        assert read_classes(out / "classes.csv").names == {1: "tumor", 2: "stroma", 70_000: "tumor"}
        return
    readers = {"tiles": read_tiles, "coco": read_coco}
    found = (
        read_geojson(out / "objects.geojson", slide.shape)
        if fmt == "geojson"
        else readers[fmt](out)
    )
    np.testing.assert_array_equal(whole(found.labels), expected)
    assert found.classes.colours["tumor"] == (200, 0, 0)
    names = found.classes.names
    assert names == {
        1: "tumor", 2: "stroma", 3: "nucleus", 4: "nucleus", 5: "nucleus", 70_000: "tumor",
    }  # fmt: skip


# -- COCO -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["instances", "polygons"])
def test_pycocotools_reads_the_masks_equal(tmp_path, picture, classes, kind):
    run(picture, tmp_path / "out", classes, format="coco", tile_size=64, test_share=0, val_share=0)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(tmp_path / "out" / "annotations" / f"{kind}_train.json")
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["nucleus", "stroma", "tumor"]
    rebuilt = np.zeros((192, 256), np.uint32)
    for image in coco.loadImgs(coco.getImgIds()):
        r0, c0, r1, c1 = image["box"]
        file = Image.open(tmp_path / "out" / image["file_name"])
        assert file.size == (image["width"], image["height"]) == (64, 64)
        for item in coco.loadAnns(coco.getAnnIds(imgIds=image["id"], iscrowd=False)):
            mask = coco.annToMask(item)
            np.testing.assert_array_equal(
                mask[: r1 - r0, : c1 - c0], picture[r0:r1, c0:c1] == item["label"]
            )
            x, y, w, h = item["bbox"]
            assert Box.of_mask(mask > 0) == Box(y, x, y + h, x + w)
            assert item["area"] == mask.sum()
            rebuilt[r0 : r0 + 64, c0 : c0 + 64] += mask * np.uint32(item["label"])
    np.testing.assert_array_equal(rebuilt[:150, :200], picture)


def test_coco_tells_what_a_tile_cuts(tmp_path, picture):
    run(picture, tmp_path / "out", format="coco", tile_size=64, test_share=0, val_share=0)
    data = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    cut = {item["label"] for item in data["annotations"] if item["cut"]}
    assert cut == {3}


def test_coco_of_other_programs_is_read(tmp_path):
    data = {
        "images": [{"id": 9, "file_name": "a.png", "height": 6, "width": 8}],
        "categories": [{"id": 3, "name": "gland"}],
        "annotations": [
            {"id": 4, "image_id": 9, "category_id": 3, "iscrowd": 0,
             "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]},
            {"id": 5, "image_id": 9, "category_id": 3, "iscrowd": 1,
             "segmentation": {"size": [6, 8], "counts": [40, 2, 6]}},
        ],
    }  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(data))
    found = read_coco(tmp_path / "c.json")
    expected = np.zeros((6, 8), np.uint32)
    expected[1:3, 1:4] = 4
    expected[4:6, 6] = 5
    np.testing.assert_array_equal(whole(found.labels), expected)
    assert found.classes.names == {4: "gland", 5: "gland"}


def test_polygons_with_many_holes_are_cut_into_pieces_without():
    holes = [shapely.box(x, y, x + 1, y + 2) for x in range(2, 30, 3) for y in range(2, 30, 4)]
    polygon = shapely.box(0, 0, 40, 40) - shapely.union_all(holes)
    pieces = without_holes(polygon)
    assert not any(p.interiors for p in pieces)
    assert shapely.union_all(pieces).equals(polygon)
    assert sum(p.area for p in pieces) == polygon.area


# -- GeoJSON --------------------------------------------------------------------------------------


def features(path: Path) -> dict[str, dict]:
    data = json.loads((path / "objects.geojson").read_text(encoding="utf-8"))
    assert data["type"] == "FeatureCollection"
    return {f["properties"]["metadata"]["histoprompt_id"]: f for f in data["features"]}


def test_geojson_is_as_qupath_writes_it(tmp_path, picture, classes):
    run(picture, tmp_path / "out", classes, format="geojson", object_type="detection")
    found = features(tmp_path / "out")
    one = found["1"]
    assert uuid.UUID(one["id"]).version == 5
    assert one["type"] == "Feature"
    assert one["properties"]["objectType"] == "detection"
    assert one["properties"]["classification"] == {"name": "tumor", "color": [200, 0, 0]}
    assert one["properties"]["isLocked"] is False
    assert one["properties"]["measurements"] == {"Area µm^2": (30 * 20 - 100) / 16}
    exterior, hole = one["geometry"]["coordinates"]
    assert exterior[0] == exterior[-1]
    assert sorted(map(tuple, exterior[:-1])) == [(10, 10), (10, 40), (30, 10), (30, 40)]
    assert sorted(map(tuple, hole[:-1])) == [(15, 20), (15, 30), (25, 20), (25, 30)]
    assert found["3"]["geometry"]["type"] == found["5"]["geometry"]["type"] == "MultiPolygon"
    assert len({f["id"] for f in found.values()}) == 6


def test_feature_ids_are_the_same_every_time(tmp_path, picture):
    for name in "ab":
        run(picture, tmp_path / name, format="geojson")
    ids = [[f["id"] for f in features(tmp_path / name).values()] for name in "ab"]
    assert ids[0] == ids[1]


def test_without_a_pixel_size_areas_are_in_pixels(tmp_path, picture):
    slide = slide_of(picture.shape, mpp=None)
    run(picture, tmp_path / "out", slide=slide, format="geojson")
    assert features(tmp_path / "out")["4"]["properties"]["measurements"] == {"Area px^2": 1}


def test_simplified_outlines_stay_within_the_tolerance(tmp_path):
    r, c = np.mgrid[:120, :120]
    disk = ((r - 60) ** 2 + (c - 60) ** 2 < 50**2).astype(np.uint32)
    sizes = []
    for simplify in (0.0, 1.0):
        out = tmp_path / str(simplify)
        run(disk, out, format="geojson", simplify=simplify)
        sizes.append(len(features(out)["1"]["geometry"]["coordinates"][0]))
    back = whole(read_geojson(tmp_path / "1.0" / "objects.geojson", disk.shape).labels)
    near = binary_dilation(disk, iterations=2) & ~binary_dilation(disk == 0, iterations=2)
    assert sizes[1] < sizes[0] / 3
    assert not (back[~binary_dilation(disk, iterations=2)]).any()
    assert back[near & (disk > 0)].all()


def test_geojson_of_qupath_is_read(tmp_path):
    square = [[2, 3], [6, 3], [6, 5], [2, 5], [2, 3]]
    other = [[10, 10], [12, 10], [12, 12], [10, 12], [10, 10]]
    far = [[90, 90], [95, 90], [95, 95], [90, 90]]
    data = [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square]},
         "properties": {"objectType": "annotation",
                        "classification": {"names": ["Tumor", "Positive"], "color": [9, 8, 7]}}},
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}},
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [other]},
         "properties": {"classification": "Stroma", "metadata": {"histoprompt_id": "7"}}},
        {"type": "Feature", "properties": {},
         "geometry": {"type": "GeometryCollection", "geometries": [
             {"type": "MultiPolygon", "coordinates": [[far]]}]}},
    ]  # fmt: skip
    (tmp_path / "q.geojson").write_text(json.dumps(data))
    found = read_geojson(tmp_path / "q.geojson", (20, 20))
    expected = np.zeros((20, 20), np.uint32)
    expected[3:5, 2:6] = 8
    expected[10:12, 10:12] = 7
    np.testing.assert_array_equal(whole(found.labels), expected)
    assert found.classes.names == {8: "Tumor: Positive", 7: "Stroma", 10: "nucleus"}
    assert found.classes.colours == {"Tumor: Positive": (9, 8, 7)}
    assert found.skipped == 1


# -- tiles ----------------------------------------------------------------------------------------


def test_tiles_hold_the_slide_and_its_labels(tmp_path, picture, classes):
    slide = slide_of(picture.shape)
    report = run(picture, tmp_path / "out", classes, slide, format="tiles", tile_size=64)
    data = json.loads((tmp_path / "out" / "dataset.json").read_text())
    image = slide.read(slide.box)[0]
    assert data["mpp"] == 0.25
    assert data["provenance"]["slide"]["key"] == slide.key
    assert [c["name"] for c in data["classes"]] == ["nucleus", "stroma", "tumor"]
    assert len(data["tiles"]) == report.tiles == 6  # of 12: the others hold nothing
    for tile in data["tiles"]:
        r0, c0, r1, c1 = tile["box"]
        h, w = tile["valid"]
        assert (r1 - r0, c1 - c0) == (h, w)
        pixels = np.asarray(Image.open(tmp_path / "out" / tile["image"]))
        ids = tifffile.imread(tmp_path / "out" / tile["mask"])
        assert pixels.shape == (64, 64, 3)
        assert ids.dtype == np.uint32  # one id is above 65535
        np.testing.assert_array_equal(pixels[:h, :w], image[r0:r1, c0:c1])
        np.testing.assert_array_equal(ids[:h, :w], picture[r0:r1, c0:c1])
        assert (pixels[h:] == 255).all()
        assert not ids[:, w:].any()
        assert [o["id"] for o in tile["objects"]] == np.unique(ids[ids > 0]).tolist()
        assert all(o["cut"] == (o["id"] == 3) for o in tile["objects"])


def test_small_ids_make_uint16_masks(tmp_path, picture):
    run(np.minimum(picture, 9), tmp_path / "out", format="tiles")
    (mask,) = (tmp_path / "out" / "masks").iterdir()
    assert tifffile.imread(mask).dtype == np.uint16


def test_tiles_at_another_scale(tmp_path):
    labels = np.zeros((256, 256), np.uint32)
    labels[40:80, 60:100] = 3
    labels[201, 201] = 4  # too small to stay
    slide = slide_of(labels.shape)
    run(labels, tmp_path / "out", slide=slide, format="tiles", tile_size=64, mpp=0.5)
    data = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert data["mpp"] == 0.5
    first = data["tiles"][0]
    assert first["box"] == [0, 0, 128, 128]
    ids = tifffile.imread(tmp_path / "out" / first["mask"])
    np.testing.assert_array_equal(ids, labels[1:128:2, 1:128:2])
    pixels = np.asarray(Image.open(tmp_path / "out" / first["image"]))
    np.testing.assert_array_equal(pixels, slide.read(Box(0, 0, 128, 128), (64, 64))[0])
    back = whole(read_tiles(tmp_path / "out").labels)
    np.testing.assert_array_equal(back == 3, labels == 3)


def test_a_scale_needs_the_slides_pixel_size(tmp_path, picture):
    with pytest.raises(MissingMppError, match="a slide"):
        run(picture, tmp_path / "out", slide=slide_of(picture.shape, None), mpp=0.5)


def test_the_wanted_share_of_tiles_is_empty(tmp_path, picture):
    report = run(picture, tmp_path / "out", format="tiles", tile_size=32, empty_share=0.5)
    data = json.loads((tmp_path / "out" / "dataset.json").read_text())
    empty = [t for t in data["tiles"] if not t["objects"]]
    assert len(empty) == report.tiles / 2
    assert len({(t["row"], t["col"]) for t in data["tiles"]}) == report.tiles
    assert not any(tifffile.imread(tmp_path / "out" / t["mask"]).any() for t in empty)


@settings(max_examples=40)
@given(st.sampled_from("abcdefgh"), st.integers(0, 500), st.integers(0, 500), st.integers(1, 20))
def test_a_block_goes_to_one_set(key, row, col, size):
    params = ExportParams(block_tiles=size, val_share=0.3, test_share=0.3)
    first = (row // size * size, col // size * size)
    assert split_of(key, row, col, params) == split_of(key, *first, params)
    by_slide = ExportParams(split_by="slide", val_share=0.3, test_share=0.3)
    assert split_of(key, row, col, by_slide) == split_of(key, 0, 0, by_slide)


def test_shares_of_the_sets_are_about_those_wanted():
    params = ExportParams(block_tiles=1, val_share=0.2, test_share=0.3)
    found = [split_of("slide", r, c, params) for r in range(50) for c in range(50)]
    assert found.count("val") / 2500 == pytest.approx(0.2, abs=0.03)
    assert found.count("test") / 2500 == pytest.approx(0.3, abs=0.03)


# -- the label image ------------------------------------------------------------------------------


def test_the_label_image_has_a_table_of_classes(tmp_path, picture, classes):
    run(picture, tmp_path / "out", classes, format="labels")
    rows = list(csv.reader((tmp_path / "out" / "classes.csv").open()))
    assert rows[0] == ["id", "class", "colour"]
    assert rows[1] == ["1", "tumor", "#c80000"]
    assert len(rows) == 4  # those of three have no class, and no row
    run(picture, tmp_path / "named", classes, format="labels", default_class="cell")
    rows = list(csv.reader((tmp_path / "named" / "classes.csv").open()))
    assert [row[1] for row in rows[1:]].count("cell") == 3


# -- readers and bad files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reader", "name", "message"),
    [
        (read_tiles, "dataset.json", "is not a dataset of tiles"),
        (read_coco, "annotations/instances_train.json", "is not a COCO file"),
        (lambda p: read_geojson(p / "a.json", (9, 9)), "a.json", "is not a GeoJSON"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, reader, name, message):
    with pytest.raises(LabelError, match=r"cannot be read|There is no"):
        reader(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("{")
    with pytest.raises(LabelError, match="is not JSON"):
        reader(tmp_path)
    path.write_text('{"schema": "other"}')
    with pytest.raises(LabelError, match=message):
        reader(tmp_path)


def test_a_missing_or_damaged_mask_is_named(tmp_path, picture):
    run(picture, tmp_path / "out", format="tiles", tile_size=64)
    mask = next((tmp_path / "out" / "masks").iterdir())
    mask.write_bytes(b"no")
    with pytest.raises(LabelError, match=mask.name):
        read_tiles(tmp_path / "out")
    mask.unlink()
    with pytest.raises(LabelError, match=mask.name):
        read_tiles(tmp_path / "out")


@pytest.mark.parametrize("geometry", [{"type": "Polygon"}, {"type": "Blob"}, 5])
def test_a_feature_without_geometry_is_refused(tmp_path, geometry):
    (tmp_path / "q.json").write_text(json.dumps([{"type": "Feature", "geometry": geometry}]))
    with pytest.raises(LabelError, match="usable geometry"):
        read_geojson(tmp_path / "q.json", (9, 9))
