"""Splits without leaks, the card of a set, AnnData, DICOM annotations, counts and stores."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.core.errors import ExportError, LabelError
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import LABELS, SLIDE, sample_file
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams, export
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.formats.cell_files import read_cells

SLIDE_FILE, LABEL_FILE = str(sample_file(SLIDE)), str(sample_file(LABELS))


@pytest.fixture
def slide():
    image = np.random.default_rng(0).integers(90, 255, (256, 512, 3), dtype=np.uint8)
    return Slide.from_arrays("TCGA-A2-A0YE-01Z", image, mpp=0.5)


@pytest.fixture
def array():
    """A square of 12 pixels in the middle of each tile of 64, but of the last column."""
    out = np.zeros((256, 512), np.uint32)
    for n in range(28):
        r, c = divmod(n, 7)
        out[r * 64 + 20 : r * 64 + 32, c * 64 + 20 : c * 64 + 32] = n + 1
    return out


def tiles_in(folder):
    data = json.loads((folder / "dataset.json").read_text())
    return {(t["box"][0] // 64, t["box"][1] // 64): t["split"] for t in data["tiles"]}


def regions_file(path, boxes):
    features = [
        {
            "type": "Feature",
            "properties": {"name": f"region {i}"},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[c0, r0], [c1, r0], [c1, r1], [c0, r1], [c0, r0]]],
            },
        }
        for i, (r0, c0, r1, c1) in enumerate(boxes)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def exported(slide, array, out, **params):
    params = ExportParams(**{"format": "tiles", "tile_size": 64, **params})
    export(slide, ArrayLabels(array), out, params, Task(), classes=Classes({1: "tumor"}))
    return out


def test_a_patient_is_in_one_set_whichever_slide_it_is(slide, array, tmp_path):
    other = Slide.from_arrays("TCGA-A2-A0YE-02Z", np.full((256, 512, 3), 99, np.uint8), mpp=0.5)
    named = {"split_by": "patient", "val_share": 0.4, "test_share": 0.3}
    first = tiles_in(exported(slide, array, tmp_path / "a", **named))
    second = tiles_in(exported(other, array, tmp_path / "b", **named))
    assert len({*first.values(), *second.values()}) == 1
    found = set()
    for n in range(12):
        out = exported(slide, array, tmp_path / f"p{n}", patient=f"patient {n}", **named)
        found |= set(tiles_in(out).values())
    assert found == {"train", "val", "test"}
    nameless = Slide.from_arrays("x", np.full((256, 512, 3), 99, np.uint8), mpp=0.5)
    with pytest.raises(ExportError, match="whose slide"):
        exported(nameless, array, tmp_path / "c", split_by="patient")


def test_regions_of_two_sets_share_no_tile(slide, array, tmp_path):
    boxes = [(0, 128 * i, 256, 128 * i + 100) for i in range(4)]
    regions = regions_file(tmp_path / "r.geojson", boxes)
    out = exported(
        slide, array, tmp_path / "out", split_by="region", regions=regions, val_share=0.5,
        test_share=0.0,
    )  # fmt: skip
    by_region = {}
    for (_, col), split in tiles_in(out).items():
        by_region.setdefault(col // 2, set()).add(split)
    assert all(len(sets) == 1 for sets in by_region.values())
    assert "Split by region" in (out / "README.md").read_text()
    with pytest.raises(ExportError, match="regions"):
        exported(slide, array, tmp_path / "none", split_by="region")


def test_only_annotated_tiles_lie_wholly_in_regions_with_the_empty_ones_asked_for(
    slide, array, tmp_path
):
    regions = regions_file(tmp_path / "r.geojson", [(0, 384, 256, 512)])
    out = exported(
        slide, array, tmp_path / "out", regions=regions, only_annotated=True, empty_share=0.5
    )
    places = set(tiles_in(out))
    assert {c for _, c in places} <= {6, 7}
    assert {(r, 6) for r in range(4)} <= places
    bare = exported(slide, array, tmp_path / "bare", only_annotated=True, empty_share=0.5)
    assert {c for _, c in tiles_in(bare)} == set(range(7))


def test_the_card_counts_what_the_tiles_hold(slide, array, tmp_path):
    out = exported(slide, array, tmp_path / "out", licence="CC BY 4.0", empty_share=0.125)
    card = (out / "README.md").read_text()
    sets = list(tiles_in(out).values())
    names = [s for s in ("train", "val", "test") if s in sets]
    assert f"| tiles | {' | '.join(str(sets.count(s)) for s in names)} |" in card
    assert "CC BY 4.0" in card
    assert "0.5 µm per pixel" in card
    row = next(line for line in card.splitlines() if line.startswith("| nucleus"))
    assert sum(int(v) for v in row.split("|")[2:-1]) == 27
    yolo = exported(slide, array, tmp_path / "yolo", format="yolo-seg")
    assert yaml.safe_load((yolo / "data.yaml").read_text())["names"] == {0: "nucleus", 1: "tumor"}


def test_anndata_holds_features_classes_and_places(slide, array, tmp_path):
    h5py = pytest.importorskip("h5py")
    out = exported(slide, array, tmp_path / "out", format="anndata")
    with h5py.File(out / "cells.h5ad") as file:
        assert file.attrs["encoding-type"] == "anndata"
        assert file["X"].shape == (28, len(file["var"]["_index"]))
        assert np.isfinite(file["X"][:]).mean() > 0.9
        # cell 1: rows and columns 20 ... 31, so its middle is at 26 pixels from the corner
        np.testing.assert_allclose(file["obsm/spatial"][0], (13.0, 13.0))
        np.testing.assert_allclose(file["obsm/spatial"][1], (13.0 + 32, 13.0))
        np.testing.assert_allclose(file["obs/area_um2"][:], 144 * 0.25)
        kinds = [c.decode() for c in file["obs/class/categories"][:]]
        # -1 is a category that is missing
        assert (kinds, file["obs/class/codes"][:3].tolist()) == (["tumor"], [0, -1, -1])
        assert [i.decode() for i in file["obs/_index"][:2]] == ["1", "2"]


def test_anndata_itself_reads_it(slide, array, tmp_path):
    anndata = pytest.importorskip("anndata")
    out = exported(slide, array, tmp_path / "out", format="anndata")
    data = anndata.read_h5ad(out / "cells.h5ad")
    assert data.shape[0] == 28
    assert data.obs["class"].isna().tolist() == [False] + [True] * 27
    assert data.obs["class"].iloc[0] == "tumor"
    assert data.obsm["spatial"].shape == (28, 2)


def test_ome_zarr_itself_reads_labels(slide, array, tmp_path):
    reader = pytest.importorskip("ome_zarr.reader", reason="ome-zarr is not installed")
    parse_url = pytest.importorskip("ome_zarr.io").parse_url
    out = exported(slide, array, tmp_path / "out", format="ome-zarr")
    node = next(iter(reader.Reader(parse_url(out / "labels.zarr" / "objects"))()))
    np.testing.assert_array_equal(np.asarray(node.data[0]).reshape(array.shape), array)


def test_dicom_annotations_are_those_wsidicom_reads(slide, array, tmp_path):
    graphics = pytest.importorskip("wsidicom.graphical_annotations")
    out = exported(slide, array, tmp_path / "out", format="dicom-ann")
    (instance,) = graphics.AnnotationInstance.open([out / "annotations.dcm"])
    groups = {g.label: g for g in instance.groups}
    assert {name: len(g.annotations) for name, g in groups.items()} == {"tumor": 1, "nucleus": 27}
    corners = {(p.x, p.y) for p in groups["tumor"].annotations[0].geometry.points}
    assert corners == {(20, 20), (32, 20), (32, 32), (20, 32)}
    found = read_incoming(slide, out / "annotations.dcm", Task())
    assert found.format.name == "dicom-ann"
    assert found.table.areas.tolist() == [144] * 28
    (tmp_path / "x.dcm").write_bytes(b"\0" * 128 + b"DICM nothing")
    with pytest.raises(LabelError, match="no DICOM annotations"):
        read_incoming(slide, tmp_path / "x.dcm", Task())


def test_a_count_and_the_committed_objects_are_exported_by_the_command(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    count = tmp_path / "count"
    assert main(["import", SLIDE_FILE, LABEL_FILE, "--into", "count", "--out", str(count)]) == 0
    command = ["export", "--image", SLIDE_FILE, "--format"]
    made = [*command, "geojson", "--labels", str(count), "--out", str(tmp_path / "a")]
    assert main(made) == 0
    features = json.loads((tmp_path / "a" / "objects.geojson").read_text())["features"]
    cells = read_cells(count / "cells.csv")
    classes = {f["properties"].get("classification", {"name": ""})["name"] for f in features}
    assert len(features) == len(cells)
    assert classes == set(cells.class_names)

    assert main([*command, "geojson", "--labels", "store", "--out", str(tmp_path / "b")]) == 1
    capsys.readouterr()
    assert main(["import", SLIDE_FILE, LABEL_FILE]) == 0
    assert main([*command, "labels", "--labels", "store", "--out", str(tmp_path / "b")]) == 0
    with open_slide(SLIDE_FILE) as slide:
        found = read_incoming(slide, tmp_path / "b" / "labels.ome.tif", Task())
        with LabelStore.open(store_folder(slide.key), slide.shape, slide.key) as store:
            assert found.table.ids.tolist() == store.ids().tolist()
