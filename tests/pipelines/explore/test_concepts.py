"""Concepts: learnt from marks, struck out, kept as text, and told of each tile."""

from __future__ import annotations

import csv
import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tile_sets import laid

from histoprompt.core.errors import LabelError, ModelError, ParameterError, PromptError
from histoprompt.core.task import Task
from histoprompt.core.tissue.look import FEATURES
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.embedding.tiles import EmbedJob
from histoprompt.pipelines.explore.concepts.apply import tell_tiles, write_told
from histoprompt.pipelines.explore.concepts.concept_file import read_concepts, write_concepts
from histoprompt.pipelines.explore.concepts.fit import MarkedRows, fit_concepts, marked_rows
from histoprompt.pipelines.explore.concepts.measured import MEASURED, measure
from histoprompt.pipelines.explore.concepts.values import Concept, concepts_of, values_of
from histoprompt.pipelines.explore.tile_classes.marks import TileMark

CONCEPTS = (Concept("fat", "fat"), Concept("nuclei"), Concept("red"))
ABOUT = {"encoder": "enc", "digest": "sha256:1", "mpp": "0", "overlap": "1"}


def example(count: int = 90, seed: int = 0):
    """Class `a` has much of the first concept, `c` of the second; the third says nothing."""
    rng = np.random.default_rng(seed)
    kind = np.arange(count) % 3
    values = rng.normal(0, 1, (count, 3))
    values[:, 0] += 4 * (kind == 0)
    values[:, 1] = 100 + 10 * (values[:, 1] + 4 * (kind == 2))
    marked = MarkedRows(np.arange(count), tuple("abc"[k] for k in kind), np.arange(count))
    return values.astype(np.float32), marked, kind


def fitted(strike=(), slides=None, strength=1.0):
    values, marked, _ = example()
    slides = np.zeros(len(values), int) if slides is None else slides
    return fit_concepts(
        values, marked, slides, CONCEPTS, strike=strike, strength=strength, about=ABOUT
    )


def test_coefficients_say_which_concept_tells_which_class():
    model = fitted()
    assert model.classes == ("a", "b", "c")
    assert model.strongest(0, 1)[0][0] == "fat"
    assert model.strongest(2, 1)[0][0] == "nuclei"
    assert np.abs(model.linear.weights[:, 2]).max() < 0.3 * np.abs(model.linear.weights).max()
    assert model.held_out.balanced_accuracy > 0.9
    assert model.held_out == model.with_struck
    assert model.held_out.by == "mark"
    assert fitted(slides=np.arange(90) // 30).held_out.by == "slide"


def test_what_is_struck_out_does_not_decide_and_its_cost_is_told():
    whole, less, idle = fitted(), fitted(["Nuclei"]), fitted(["red"])
    assert [one.name for one in less.concepts] == ["fat", "red"]
    assert less.struck == ("nuclei",)
    assert less.with_struck == whole.held_out
    assert less.held_out.balanced_accuracy < whole.held_out.balanced_accuracy - 0.15
    assert idle.held_out.balanced_accuracy > whole.held_out.balanced_accuracy - 0.05
    with pytest.raises(ParameterError, match=r"no concept 'foo' to strike out.*fat, nuclei, red"):
        fitted(["foo"])
    with pytest.raises(ParameterError, match="All 3 concepts"):
        fitted(["fat", "nuclei", "red"])


def test_chance_is_not_taken_for_knowledge_where_tiles_of_a_mark_are_alike():
    rng = np.random.default_rng(1)
    mark = np.repeat(np.arange(24), 6)
    values = rng.normal(0, 1, (24, 3))[mark] + rng.normal(0, 0.01, (144, 3))
    names = tuple("ab"[k] for k in rng.permutation(np.arange(24) % 2)[mark])
    marked = MarkedRows(np.arange(144), names, mark)
    model = fit_concepts(
        values.astype(np.float32), marked, np.zeros(144, int), CONCEPTS, strike=(),
        strength=100.0, about=ABOUT,
    )  # fmt: skip
    assert model.held_out.balanced_accuracy < 0.75


def test_the_concept_that_decided_is_told(tmp_path):
    model = fitted()
    values, _, kind = example(60, seed=5)
    found = tell_tiles(laid(np.zeros((60, 4))), values, model)
    assert (found.code == kind).mean() > 0.9
    right = found.code == kind
    assert (found.decided[right & (kind == 0)] == 0).mean() > 0.8
    assert (found.decided[right & (kind == 2)] == 1).mean() > 0.8
    assert (found.value[(kind == 0) & (found.decided == 0)] > 0).all()
    for i in range(60):  # by definition: what puts the class furthest ahead of the next one
        scaled = model.scaled(values[i : i + 1])[0]
        logits = model.linear.logits(scaled[None])[0]
        first, second = np.argsort(-logits)[:2]
        ahead = scaled * (model.linear.weights[first] - model.linear.weights[second])
        assert found.decided[i] == (ahead.argmax() if ahead.max() > 0 else -1)
    write_told(tmp_path, found)
    rows = list(csv.DictReader((tmp_path / "tiles.csv").open()))
    names = [one.name for one in model.concepts] + [""]
    assert [r["decided_by"] for r in rows] == [names[k] for k in found.decided]
    assert [r["class"] for r in rows] == [model.classes[k] for k in found.code]
    told = list(csv.DictReader((tmp_path / "concepts.csv").open()))
    assert len(told) == 9
    assert sum(int(r["tiles_decided"]) for r in told) == (found.decided >= 0).sum()
    outlines = json.loads((tmp_path / "regions.geojson").read_text())["features"]
    assert {f["properties"]["classification"]["name"] for f in outlines} == {"a", "b", "c"}


def test_a_tile_that_no_concept_speaks_for_says_so():
    model = fitted()
    values = np.tile(model.middle, (2, 1)).astype(np.float32)
    found = tell_tiles(laid(np.zeros((2, 4)), columns=2), values, model)
    assert (found.decided == -1).all()
    assert (found.lead == 0).all()


def test_concepts_are_text_and_come_back_as_they_were(tmp_path):
    path, model = tmp_path / "c.json", fitted(["red"])
    write_concepts(path, model)
    again = read_concepts(path)
    values, _, _ = example(30, seed=2)
    tiles = laid(np.zeros((30, 4)))
    first, second = (tell_tiles(tiles, values[:, :2], one) for one in (model, again))
    assert (first.probability == second.probability).all()
    assert (again.struck, again.held_out, again.about) == (("red",), model.held_out, ABOUT)
    data = path.read_bytes()
    write_concepts(path, again)
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(format="other"), "no file of concepts"),
        (lambda d: d["concepts"][0].update(spread=0.0), "spread"),
        (lambda d: d["concepts"][1].update(name="aura"), "'aura', which is not known"),
        (lambda d: d["intercepts"].pop("a"), "classes differ"),
        (lambda d: d.pop("struck"), "lacks struck"),
    ],
)
def test_damaged_files_are_refused(change, told, tmp_path):
    path = tmp_path / "c.json"
    write_concepts(path, fitted())
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(LabelError, match=told):
        read_concepts(path)


def test_marks_keep_together_what_was_marked_together():
    tiles = laid(np.zeros((40, 4)))
    marks = (
        TileMark("S1", (0, 0, 100, 300), "fat"),
        TileMark("S1", (100, 0, 101, 1), "gland"),
        TileMark("S1", (100, 900, 101, 901), "Ignore*"),
    )
    marked = marked_rows(marks, tiles, lambda _: 0)
    assert marked.rows.tolist() == [0, 1, 2, 20]
    assert marked.names == ("fat", "fat", "fat", "gland")
    assert marked.groups.tolist() == [0, 0, 0, 1]
    with pytest.raises(LabelError, match="one class, fat"):
        marked_rows(marks[::2], tiles, lambda _: 0)


def test_concepts_have_names_of_their_own():
    found = concepts_of(["nuclei", "fat | adipose"], measured=True)
    assert [one.name for one in found[:3]] == ["nuclei (phrase)", "fat", "white"]
    assert found[1].phrase == "fat | adipose"
    assert len({one.name for one in found}) == len(found) == 2 + len(MEASURED)
    with pytest.raises(ParameterError, match="no concept"):
        concepts_of([], measured=False)
    with pytest.raises(PromptError, match="twice"):
        concepts_of(["fat", "Fat"], measured=True)


def test_colour_and_texture_are_measured():
    tiles = np.full((3, 32, 32, 3), 255, np.uint8)
    tiles[1] = (230, 60, 200)
    tiles[2, ::2] = 40
    found = dict(zip(MEASURED, measure(tiles).T, strict=True))
    assert found["green density"][1] > found["red density"][1] > 0
    assert found["contrast"][2] > 0.5
    assert found["contrast"][1] == pytest.approx(0, abs=1e-5)
    assert found["fine texture"].argmax() == 2
    assert MEASURED[: len(FEATURES)] == FEATURES


class _Slide:
    """White on the left, purple on the right."""

    mpp, name = 1.0, "S1"

    def __init__(self, box):
        self.box = box

    def read(self, box, shape=None):
        picture = np.full((*(shape or (box.height, box.width)), 3), 255, np.uint8)
        if box.c0 >= 100:
            picture[:] = (120, 60, 150)
        return picture, None


def test_values_are_cosines_and_measures_of_the_right_tiles():
    vectors = np.eye(2, len(FEATURES), dtype=np.float32) * 3
    tiles = laid(vectors, columns=2)
    tiles = replace(tiles, slides=(replace(tiles.slides[0], mpp=1.0),))
    job = EmbedJob(ModelManager(device="cpu"), registry.card("vocabulary"))
    concepts = (Concept("white"), Concept("fat", "fat"), Concept("red density"))
    slide = _Slide(tiles.slides[0].grid.region)
    values = values_of(tiles, concepts, job, lambda _: nullcontext(slide), Task())
    assert values[:, 0] == pytest.approx([1, 0])
    assert values[0, 2] == pytest.approx(0, abs=1e-6)
    assert values[1, 2] > 0.2
    assert (np.abs(values[:, 1]) <= 1).all()
    with pytest.raises(PromptError, match="does not know"):
        values_of(tiles, (Concept("x", "wine glass"),), job, lambda _: nullcontext(slide), Task())
    other = SimpleNamespace(card=registry.card("efficientnet-lite0"))
    with pytest.raises(ModelError, match="knows no words"):
        values_of(tiles, concepts, other, lambda _: nullcontext(slide), Task())
