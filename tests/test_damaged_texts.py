"""Every reader of texts, given damage: it reads, or says in one error what is wrong.

The damage is drawn from seeded generators, so a failure comes again; its seed is in the message.
"""

from __future__ import annotations

import json
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely import box as rectangle

from cells_of_classes import clusters
from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import HistopromptError
from histoprompt.core.files.records import read_record
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import read_classes
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.labels.table import scan
from histoprompt.core.labels.tiff import read_labels, write_labels
from histoprompt.core.prompts.file import read_prompts
from histoprompt.core.task import Task
from histoprompt.models.networks.head_files import read_heads
from histoprompt.models.weights.pack_format import opened
from histoprompt.pipelines.audit.plan import field_boxes, plan_audit
from histoprompt.pipelines.classes.classifier_file import read_classifier, write_classifier
from histoprompt.pipelines.classes.labelling import read_labelling
from histoprompt.pipelines.classes.train import Trainer
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.count.audit import Audit, load_audit, save_audit
from histoprompt.pipelines.count.audit_table import _by_place, _made
from histoprompt.pipelines.count.result_folders import free_folder
from histoprompt.pipelines.count.store import CountStore, TileLogHeader
from histoprompt.pipelines.count.store_files import record_type
from histoprompt.pipelines.exchange.own_files import MANIFEST, check_own
from histoprompt.pipelines.formats.cell_files import read_cell_labels, read_cells, write_cells
from histoprompt.pipelines.formats.coco import read_coco
from histoprompt.pipelines.formats.geojson import read_geojson
from histoprompt.pipelines.formats.regions import read_regions
from histoprompt.pipelines.formats.tiles import read_tiles
from histoprompt.pipelines.text.tile_label_file import read_list
from histoprompt.training.run import read_config
from mutations import damaged_bytes, damaged_csv, damaged_json

SEEDS = 150
PROMPTS = {
    "objects": [
        {"id": 1, "box": [20, 20, 60, 60]},
        {"id": 2, "points": [[100, 100], [110, 140]], "labels": [1, 0]},
        {"id": 3, "scribbles": {"positive": [[[130, 90], [132, 115]]], "negative": []}},
    ]
}
REGIONS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[10, 10], [200, 10], [200, 200], [10, 200], [10, 10]],
                    [[50, 50], [60, 50], [60, 60], [50, 50]],
                ],
            },
            "properties": {
                "name": "one",
                "classification": {"name": "T", "color": [1, 2, 3]},
                "metadata": {"histoprompt_id": "5"},
            },
        },
        {
            "type": "Feature",
            "geometry": {
                "type": "GeometryCollection",
                "geometries": [
                    {
                        "type": "MultiPolygon",
                        "coordinates": [[[[210, 210], [300, 210], [300, 300], [210, 210]]]],
                    },
                    {"type": "Point", "coordinates": [1, 2]},
                ],
            },
            "properties": {"classification": {"names": ["x", "y"]}},
        },
    ],
}
TILES = {
    "schema": "histoprompt-tiles/1",
    "provenance": {"slide": {"shape": [300, 300]}},
    "classes": [{"id": 1, "name": "a", "colour": [1, 2, 3]}],
    "tiles": [
        {
            "mask": "m.tif", "box": [0, 0, 8, 8], "valid": [8, 8],
            "objects": [{"id": 1, "class": "a", "cut": False}],
        }
    ],
}  # fmt: skip
COCO = {
    "info": {"slide": {"shape": [300, 300]}},
    "categories": [{"id": 1, "name": "a", "colour": [1, 2, 3]}],
    "images": [{"id": 1, "height": 8, "width": 8, "box": [0, 0, 8, 8], "valid": [8, 8]}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "label": 4,
         "segmentation": [[1, 1, 5, 1, 5, 5]]},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [8, 8],
                                                                    "counts": [9, 3, 52]}},
    ],
}  # fmt: skip
MADE = {
    "slide": "k", "path": "slide.tif", "mpp": 0.25, "region": [0, 0, 400, 400], "complete": True,
    "polygons": [["a", rectangle(0, 0, 50, 50).wkt]], "picked": True,
}  # fmt: skip
GIVEN = {
    "format": 1, "classes": ["a", "b"], "labels": {"101": "a"}, "unsure": [102],
    "rejected": {"103": ["b"]}, "curve": [[4, 0.5, None, 2]],
}  # fmt: skip
CLASSES = "id,class,colour\n" + "".join(f"{i},{'ab'[i % 2]},#00ff0{i % 10}\n" for i in range(1, 9))
MARKS = "row,col,mark,text\n100,64,yes,tumour\n300,192,no,tumour\n"
CONFIG = 'data = ["d"]\nout = "o"\nwork = "w"\nthreads = 1\n[pool]\nmade = 1\n[nuclei]\nsteps = 1\n'


def cells() -> CellTable:
    return clusters({"a": 30, "b": 30})[0]


def reads(read: Callable[[Path], object], name: str, damage: Callable[[random.Random], bytes]):
    return pytest.param(read, name, damage, id=f"{name}-{getattr(read, '__name__', '')}")


def document(read: Callable[[Path], object], name: str, content: Any):
    return reads(read, name, lambda rng: damaged_json(rng, content))


def table(read: Callable[[Path], object], name: str, content: str):
    return reads(read, name, lambda rng: damaged_csv(rng, content))


def in_folder(read: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: read(path.parent)


def toml(rng: random.Random) -> bytes:
    lines = CONFIG.splitlines()
    values = (
        "-1", "0", "nan", "inf", '"x"', "[]", "{}", "true", "9" * 5000, "[[1]]", "2020-01-01",
        "[" * 3000, '"\\u0000"',
    )  # fmt: skip
    names = ("threads", "device", "keep", "seed", "start", "real", "real_mpp", "unknown")
    i = rng.randrange(len(lines))
    if rng.random() < 0.2:
        return damaged_bytes(rng, CONFIG.encode())
    if "=" in lines[i]:
        lines[i] = f"{lines[i].split('=')[0]}= {rng.choice(values)}"
    lines.insert(0, f"{rng.choice(names)} = {rng.choice(values)}")
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("read", "name", "damage"),
    [
        document(read_prompts, "p.json", PROMPTS),
        document(lambda p: read_regions(p, (400, 400)), "r.geojson", REGIONS),
        document(lambda p: read_geojson(p, (400, 400)), "g.geojson", REGIONS),
        document(in_folder(read_tiles), "dataset.json", TILES),
        document(read_coco, "instances.json", COCO),
        document(in_folder(_made), "count.json", MADE),
        document(lambda p: free_folder(p.parent.parent, p.parent.name, "k"), "count.json", MADE),
        document(lambda p: read_labelling(p, cells()), "labels_given.json", GIVEN),
        document(in_folder(check_own), MANIFEST,
                 {"schema": "histoprompt-export/2", "files": {"a": "b"}, "seal": "c"}),
        document(read_record, "pins.json", {"a.pth": {"sha256": "s", "date": "d", "source": "x"}}),
        table(read_classes, "classes.csv", CLASSES),
        table(read_list, "marks.csv", MARKS),
        reads(read_config, "config.toml", toml),
    ],
)  # fmt: skip
def test_damaged_texts_are_read_or_refused(tmp_path, read, name, damage):
    path = tmp_path / name
    for seed in range(SEEDS):
        path.write_bytes(damage(random.Random(seed)))
        _read_or_refused(read, path, seed)


def _read_or_refused(read: Callable[[Path], object], path: Path, seed: int) -> None:
    told = "as it should"
    try:
        read(path)
    except HistopromptError as error:
        told = str(error).strip()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error!r}") from error
    assert 0 < len(told) < 2000, f"seed {seed}"


def test_damaged_tables_of_cells_are_read_or_refused(tmp_path):
    few = cells()
    path, labels = tmp_path / "cells.csv", tmp_path / "labels.csv"
    write_cells(path, few)
    text = "\n".join(path.read_text().splitlines()[:12]) + "\n"
    given = "id,class\n" + "".join(f"{i},big\n" for i in few.id[:5])
    for seed in range(SEEDS):
        path.write_bytes(damaged_csv(random.Random(seed), text))
        labels.write_bytes(damaged_csv(random.Random(seed), given))
        _read_or_refused(read_cells, path, seed)
        _read_or_refused(lambda p: read_cell_labels(p, few), labels, seed)


def test_damaged_audits_are_read_or_refused(tmp_path):
    few = cells()
    plan = plan_audit(few, field_boxes(Box(0, 0, 400, 400), 100), 6, 1)
    audit = Audit(plan, digest="d")
    save_audit(tmp_path, audit)
    kept = json.loads((tmp_path / "audit.json").read_text())
    kept["seen"], kept["marks"] = [[1] * len(plan.classes)], [[1.5, 2, "a"]]
    names = [*plan.classes]
    head = ["row0", "col0", "row1", "col1", *(f"found {n}" for n in names)]
    rows = [
        ",".join(str(int(v)) for v in (*audit.box(k), *audit.found(k), *audit.found(k)))
        for k in range(6)
    ]
    fields = ",".join([*head, *(f"true {n}" for n in names)]) + "\n" + "\n".join(rows) + "\n"
    _by_place_of = tmp_path / "fields.csv"
    for seed in range(SEEDS):
        (tmp_path / "audit.json").write_bytes(damaged_json(random.Random(seed), kept))
        _read_or_refused(lambda p: load_audit(p.parent), tmp_path / "audit.json", seed)
        _by_place_of.write_bytes(damaged_csv(random.Random(seed), fields))
        _read_or_refused(lambda p: _by_place(p, audit), _by_place_of, seed)


def test_damaged_label_images_are_read_or_refused(tmp_path):
    ids = np.kron(np.arange(16, dtype=np.uint32).reshape(4, 4), np.ones((40, 40), np.uint32))
    path = tmp_path / "l.ome.tif"
    write_labels(path, ArrayLabels(ids, (5, 6)), mpp=0.25)
    whole = path.read_bytes()
    # the header's 400 first bytes and the last ones hold the tags; pixels lie between
    for seed in range(SEEDS):
        rng = random.Random(seed)
        raw = bytearray(whole)
        for _ in range(rng.choice([1, 2, 5])):
            raw[rng.choice([rng.randrange(600), rng.randrange(len(raw))]) % len(raw)] = rng.choice(
                [0, 1, 255, rng.randrange(256)]
            )
        path.write_bytes(bytes(raw) if seed % 3 else damaged_bytes(rng, whole))
        _read_or_refused(_scan, path, seed)


def _scan(path: Path) -> None:
    labels = read_labels(path)
    if max(labels.shape) < 2**14:  # what is sound and huge takes its time
        scan(labels, Task())


def _with_header(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    head = json.loads(raw[8 : 8 + length])
    change(head)
    text = json.dumps(head).encode("utf-8", "surrogatepass")
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])


@pytest.mark.parametrize("method", ["logistic", "forest"])
def test_damaged_classifiers_are_read_or_refused(tmp_path, method):
    few, truth = clusters({"a": 30, "b": 30})
    labels = {int(few.id[i]): str(truth[i]) for i in range(40)}
    path = tmp_path / "c.hpc"
    write_classifier(path, Trainer(few, TrainParams(method=method)).fit(labels).classifier)
    whole = path.read_bytes()
    for seed in range(SEEDS):
        rng = random.Random(seed)
        path.write_bytes(whole)
        if seed % 3 == 0:
            path.write_bytes(damaged_bytes(rng, whole))
        else:

            def change(head: dict[str, Any], rng: random.Random = rng) -> None:
                inner = json.loads(head["__metadata__"]["head"])
                head["__metadata__"]["head"] = damaged_json(rng, inner).decode(errors="replace")

            _with_header(path, change)
        _read_or_refused(
            lambda p: read_classifier(p).classify(few.features, few.feature_names), path, seed
        )


def test_damaged_heads_are_read_or_refused(tmp_path):
    import torch
    from safetensors.torch import save

    path = tmp_path / "h.safetensors"
    meta = {"format": "histoprompt-heads-2", "decode": '{"foreground": 0.5, "area": 40}'}
    whole = save({"cells.a": torch.zeros(3).half(), "prompt.b": torch.ones(2).half()}, meta)
    for seed in range(SEEDS):
        rng = random.Random(seed)
        path.write_bytes(damaged_bytes(rng, whole))
        if seed % 3:
            path.write_bytes(whole)

            def change(head: dict[str, Any], rng: random.Random = rng) -> None:
                given = {"foreground": 0.5, "area": 40}
                head["__metadata__"]["decode"] = damaged_json(rng, given).decode(errors="replace")

            _with_header(path, change)
        _read_or_refused(read_heads, path, seed)


def test_damaged_lists_of_packs_are_read_or_refused(tmp_path):
    listed = {
        "format": "histoprompt weights", "version": 1, "made_by": "x",
        "models": [{"id": "a", "title": "A", "licence": "MIT"}],
        "files": [{"place": "a.pth", "n_bytes": 3, "sha256": "sha256:0"}],
    }  # fmt: skip
    path = tmp_path / "p.pack"

    def read(path: Path) -> None:
        with opened(path) as pack:
            pack.models()
            for packed in pack.files().values():
                pack.unpack(packed, tmp_path / "part", Task())

    for seed in range(SEEDS):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("manifest.json", damaged_json(random.Random(seed), listed))
            archive.writestr("files/a.pth", b"abc")
        _read_or_refused(read, path, seed)
    whole = path.read_bytes()
    for seed in range(SEEDS):
        path.write_bytes(damaged_bytes(random.Random(seed), whole))
        _read_or_refused(read, path, seed)


LINES = (
    b'{"tile": [0, 0], "cells": 2, "box": [0, 0, 20, 20], "head": [["f"], ["", "x"]]}\n'
    b'{"tile": [0, 1], "cells": 2, "box": null}\n'
    b'{"tile": [1, 0], "cells": 3, "box": [0, 0, 9, 9]}\n'
)


def test_a_damaged_journal_of_a_count_never_claims_cells_that_are_not_there(tmp_path):
    records = np.zeros(3, record_type(1))
    records["id"] = 1, 2, 3
    region, settings = Box(0, 0, 64, 64), {"tile": 32}
    CountStore(tmp_path / "c", region, settings).close()
    for seed in range(SEEDS):
        (tmp_path / "c" / "cells.bin").write_bytes(records.tobytes())
        (tmp_path / "c" / "tiles.jsonl").write_bytes(damaged_bytes(random.Random(seed), LINES))
        store = CountStore(tmp_path / "c", region, settings)
        store.close()
        assert len(store) in {0, 2, 3}, seed
        assert sum(map(len, store.batches())) == len(store)
        assert (tmp_path / "c" / "cells.bin").stat().st_size <= 3 * records.itemsize
    whole = CountStore(tmp_path / "c", region, settings)
    whole.append((0, 0), records[:1], TileLogHeader(("f",), ("",)), None)
