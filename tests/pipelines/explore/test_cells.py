"""Cells of a count are indexed by what their network left, or by crops around them."""

from __future__ import annotations

import csv
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bands import CARD, SIDE, Bands, manager_of, slide_of
from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError, ModelError, ParameterError, PromptError
from histoprompt.core.task import Task
from histoprompt.pipelines.classes.classifier_file import write_classifier
from histoprompt.pipelines.classes.encoded import encoders_of, with_encoders, without_encoders
from histoprompt.pipelines.classes.feature_sets import compared, feature_sets
from histoprompt.pipelines.classes.step import STEP, ClassifyParams
from histoprompt.pipelines.classes.train import Trainer
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.count.job import CountChoice, count_job
from histoprompt.pipelines.explore.anomaly.files import write_unlike
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams
from histoprompt.pipelines.explore.anomaly.run import AnomalyParams, anomalies
from histoprompt.pipelines.explore.building import build_index
from histoprompt.pipelines.explore.cell_places import cell_box
from histoprompt.pipelines.explore.cells import CellIndexParams, index_cells
from histoprompt.pipelines.explore.exact import Bank
from histoprompt.pipelines.explore.from_index import tiles_of
from histoprompt.pipelines.explore.hits import hits_of
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.search import Asker, SearchParams, answered
from histoprompt.pipelines.explore.search_step import open_picture
from histoprompt.pipelines.formats.cell_files import read_cells, write_cells
from histoprompt.pipelines.recipes.step import StepInput

ROWS = (0, 0, 0, 1, 1, 1, 2, 2, 2)


def cells_of(features: bool) -> CellTable:
    """A cell every 12 pixels, whose features tell of its band."""
    rows, cols = (a.ravel() for a in np.mgrid[6 : 9 * SIDE : 12, 6 : 9 * SIDE : 12])
    band = np.array(ROWS)[rows // SIDE]
    noise = np.random.default_rng(1).normal(0, 0.1, (len(rows), 4))
    seen = np.concatenate([np.eye(3)[band], np.zeros((len(rows), 1))], axis=1) + noise
    seen[0] = np.nan
    names = ("area_px", "net_000", "net_001", "net_002") if features else ()
    table = np.concatenate([np.full((len(rows), 1), 9.0), seen[:, :3]], axis=1)
    return CellTable(
        np.arange(1, len(rows) + 1),
        rows.astype(float),
        cols.astype(float),
        np.full(len(rows), 20.0),
        features=table.astype(np.float32) if features else np.zeros((len(rows), 0), np.float32),
        feature_names=names,
    )


@pytest.fixture
def counted(tmp_path) -> Path:
    write_cells(tmp_path / "one" / "cells.csv", cells_of(features=True))
    return tmp_path


def asker_of(params: CellIndexParams, folder: Path) -> Asker:
    slide = slide_of(ROWS, "one")
    manager = manager_of(Bands())
    index = index_cells(slide, params, manager, Task(), stores=folder)
    job = params.embed_job(manager)
    return Asker(Bank(ProjectIndex((index,))), job, lambda _: slide, open_picture)


@pytest.mark.parametrize("encoder", ["histoprompt-cells", CARD.id])
def test_cells_like_those_in_a_box_are_found(counted, tmp_path, encoder):
    params = CellIndexParams(encoder=encoder, cells=counted)
    asker = asker_of(params, tmp_path / "stores")
    index = asker.bank.index.slides[0]
    assert index.of_cells
    assert len(index) == len(index.ids) == 24 * 24 - (encoder == "histoprompt-cells")
    ask = SearchParams(encoder=encoder, cells=counted, like=("104,40,122,58",), top=60, diversity=0)
    hits = hits_of(asker.bank.index, answered(asker, ask, Task()))
    middle = [ROWS[int(hit.box.centre[0]) // SIDE] for hit in hits]
    assert np.mean([band == 1 for band in middle]) > 0.7
    assert all(hit.cell in index.ids for hit in hits)
    assert all(4 < hit.box.height < 16 for hit in hits)


def test_crops_are_looked_at_once(counted, tmp_path):
    slide, model = slide_of(ROWS, "one"), Bands()
    params = CellIndexParams(encoder=CARD.id, cells=counted)
    for _ in range(2):
        index_cells(slide, params, manager_of(model), Task(), stores=tmp_path / "stores")
    assert model.seen == 24 * 24


def test_what_a_count_lacks_is_said(tmp_path):
    write_cells(tmp_path / "cells.csv", cells_of(features=False))
    slide, manager = slide_of(ROWS, "one"), manager_of(Bands())
    params = CellIndexParams(encoder="histoprompt-cells", cells=tmp_path)
    with pytest.raises(LabelError, match="does not carry what its network saw"):
        index_cells(slide, params, manager, Task())
    nowhere = CellIndexParams(encoder=CARD.id, cells=tmp_path / "nowhere")
    with pytest.raises(LabelError):
        index_cells(slide, nowhere, manager, Task())


def test_an_example_of_cells_is_a_box_with_some(counted, tmp_path):
    params = CellIndexParams(encoder="histoprompt-cells", cells=counted)
    asker = asker_of(params, tmp_path / "stores")

    def ask(**more: tuple[str, ...]) -> object:
        return answered(asker, SearchParams(encoder=params.encoder, cells=counted, **more), Task())

    with pytest.raises(PromptError, match="no counted cell"):
        ask(like=("0,330,10,350",))
    with pytest.raises(PromptError, match="no place on a counted slide"):
        ask(like=("picture.png",))
    with pytest.raises(ModelError, match="knows no words"):
        ask(like=("104,40,122,58",), texts=("tumour",))


def test_cells_and_tiles_are_not_mixed(counted, tmp_path):
    slide, manager = slide_of(ROWS, "one"), manager_of(Bands())
    params = CellIndexParams(encoder=CARD.id, cells=counted)
    of_cells = index_cells(slide, params, manager, Task(), stores=tmp_path)
    tiles = build_index(slide, IndexParams(encoder=CARD.id), manager, Task(), stores=tmp_path)
    with pytest.raises(ModelError, match="different kinds of things"):
        ProjectIndex((of_cells, tiles))


def test_the_cell_at_a_place():
    cells = cells_of(features=False)
    box = cell_box(cells, 19.0, 31.0, 0.5)
    assert box is not None
    assert box.contains(18, 30)
    assert box.shape == (11, 11)
    assert cell_box(cells, 19.0, 600.0, 0.5) is None
    assert cell_box(CellTable.empty(), 1.0, 1.0, 0.5) is None


def test_cells_unlike_those_of_a_reference_are_found(counted, tmp_path):
    slide, manager = slide_of(ROWS, "one"), manager_of(Bands())
    params = AnomalyParams(
        encoder="histoprompt-cells", cells=counted, reference=("0,0,192,288",), rate=0.05
    )
    index = index_cells(slide, params.index, manager, Task())
    opener = lambda _: nullcontext(slide)  # noqa: E731
    found, shown = anomalies([index], [], lambda _: False, params, opener=opener, task=Task())
    band = np.array(ROWS)[found.tiles.centres[:, 0].astype(int) // SIDE]
    strange, normal = band == 2, (band < 2) & ~found.inside
    assert found.hit[strange].mean() > 0.9
    assert not normal.any()  # bands 0 and 1 are the reference
    assert found.hit[found.inside].mean() < 0.1
    write_unlike(tmp_path / "out", found, shown)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "cells.csv", "cells.geojson", "report.html",
    ]  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "out" / "cells.csv").open()))
    assert [int(r["id"]) for r in rows] == index.ids.tolist()
    points = json.loads((tmp_path / "out" / "cells.geojson").read_text())["features"]
    assert {int(f["properties"]["metadata"]["cell"]) for f in points} == {
        int(r["id"]) for r in rows if r["hit"] == "1"
    }
    worst = rows[found.hits()[0]]
    assert points[0]["geometry"]["coordinates"] == [
        float(worst["col"]) + 0.5, float(worst["row"]) + 0.5,
    ]  # fmt: skip
    with pytest.raises(ParameterError, match="share of cells"):
        UnlikeParams(rate=1, rate_per="mm2").share(found.tiles)
    with pytest.raises(ModelError, match="is of cells"):
        tiles_of([index])


def test_what_an_encoder_sees_of_cells_stands_beside_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    cells, slide, model = cells_of(features=True), slide_of(ROWS, "one"), Bands()
    cells = replace(cells, row=np.where(cells.id == 5, -9.0, cells.row))
    joined = with_encoders(cells, slide, [CARD.id], manager_of(model), Task())
    assert joined.feature_names == (*cells.feature_names, *(f"{CARD.id}_{k}" for k in range(6)))
    seen = joined.features[:, 4:]
    assert np.isnan(seen[4]).all()  # off the slide
    assert np.isfinite(np.delete(seen, 4, axis=0)).all()
    assert encoders_of(joined.feature_names) == (CARD.id,)
    assert encoders_of(cells.feature_names) == ()
    band = np.array(ROWS)[cells_of(features=True).row.astype(int) // SIDE]
    labels = {int(i): str(band[i - 1]) for i in cells.id[10::40]}
    sets = feature_sets(joined, labels, TrainParams())
    assert [one.name for one in sets] == [CARD.id, "measured", "net", "all together"]
    score = {one.name: one.score.balanced_accuracy for one in sets}
    assert score[CARD.id] > 0.9 > score["measured"]
    assert compared(joined, labels, TrainParams()).startswith(f"Features {CARD.id} (6): balanced")
    assert "one set of features" in compared(joined, {}, TrainParams())


def test_cells_that_are_where_they_were_are_not_looked_at_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    cells, slide, model = cells_of(features=True), slide_of(ROWS, "one"), Bands()
    manager = manager_of(model)
    joined = with_encoders(cells, slide, [CARD.id], manager, Task())
    assert model.seen == len(cells)
    moved = replace(cells, row=np.where(np.isin(cells.id, (7, 9)), cells.row + 3, cells.row))
    again = with_encoders(moved[moved.id != 4], slide, [CARD.id], manager, Task(), before=joined)
    assert model.seen == len(cells) + 2
    whole = with_encoders(moved, slide, [CARD.id], manager_of(Bands()), Task())
    assert np.array_equal(again.features, whole[whole.id != 4].features, equal_nan=True)
    assert without_encoders(again).feature_names == cells.feature_names
    same = with_encoders(moved, slide, [CARD.id], manager, Task(), before=whole)
    assert np.array_equal(same.features, whole.features, equal_nan=True)


def test_a_classifier_on_crops_is_a_step_of_a_recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    cells, slide, model = cells_of(features=False), slide_of(ROWS, "one"), Bands()
    manager = manager_of(model)
    band = np.array(ROWS)[cells.row.astype(int) // SIDE]
    labels = {int(i): "abc"[band[i - 1]] for i in cells.id[5::40]}
    seen = with_encoders(cells, slide, [CARD.id], manager, Task())
    write_classifier(tmp_path / "crops.safetensors", Trainer(seen).fit(labels).classifier)
    write_cells(tmp_path / "out" / "count" / "cells.csv", cells)
    params = ClassifyParams(classifier=tmp_path / "crops.safetensors")
    assert STEP.models(params) == (CARD.id,)
    assert STEP.models(ClassifyParams(classifier=tmp_path / "no.safetensors")) == ()
    folder = tmp_path / "out" / "classify"
    STEP.run(StepInput(slide, folder.parent, manager, Task()), params, folder)
    found = read_cells(folder / "cells.csv")
    assert not any(name.startswith(CARD.id) for name in found.feature_names)
    right = np.array(found.class_names) == np.array(list("abc"))[band]
    assert right.mean() > 0.8
    with pytest.raises(LabelError, match="has also learnt from what bands sees around each cell"):
        count_job(CountChoice(classifier=params.classifier), manager)
