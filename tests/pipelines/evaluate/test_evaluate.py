"""Evaluations: figures that are right, tables and pictures of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import fakes
from histoprompt.core.errors import LabelError, ModelError, PromptError
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.evaluate.nuclei import bench_nuclei
from histoprompt.pipelines.evaluate.prompts import PromptBench, bench_prompts
from histoprompt.pipelines.evaluate.report import Report, write_report
from histoprompt.pipelines.evaluate.text import (
    TEMPLATES,
    bench_text,
    class_vectors,
    classes_in,
    read_templates,
)
from histoprompt.pipelines.prompts.segment import SegmentJob

CELLS = replace(fakes.CARD, id="fake-cells", role="cells", accepts=frozenset(), mpp=0.25)
TEXT = replace(fakes.CARD, id="fake-text", role="text", accepts=frozenset())


@dataclass(frozen=True, eq=False)
class Made:
    """A labelled image in memory."""

    name: str
    labels: np.ndarray
    group: str = ""

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Bright where there is nothing, else as dark as the label."""
        grey = np.where(self.labels > 0, 60 + self.labels, 240).astype(np.uint8)
        return np.stack([grey] * 3, -1), self.labels


def ellipses(seed: int = 0) -> np.ndarray:
    rows, cols = np.ogrid[:96, :96]
    labels = np.zeros((96, 96), np.int32)
    centres = np.random.default_rng(seed).permutation([(20, 20), (20, 70), (70, 22), (68, 66)])
    for value, (r, c) in enumerate(centres, start=1):
        labels[((rows - r) / 11) ** 2 + ((cols - c) / 8) ** 2 <= 1] = value
    return labels


class FromPixels:
    """Finds every cell of a `Made` image, but for as many as it is told to miss."""

    def __init__(self, missed: int = 0) -> None:
        self.missed = missed
        self.shapes: list[tuple[int, ...]] = []

    def segment(self, image: np.ndarray) -> np.ndarray:
        self.shapes.append(image.shape)
        labels = np.where(image[..., 0] < 200, image[..., 0].astype(np.int32) - 60, 0)
        return np.where(labels > self.missed, labels - self.missed, 0).astype(np.int32)


class Reader:
    """Knows red from blue, in pictures and in words."""

    logit_scale = 10.0

    def embed_images(self, tiles: np.ndarray) -> np.ndarray:
        mean = tiles.reshape(len(tiles), -1, 3).mean(1) + 1
        return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        rows = [[float("red" in t) + 0.01, 0.01, float("blue" in t) + 0.01] for t in texts]
        found = np.array(rows, np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def manager_of(model: Any) -> ModelManager:
    return ModelManager(device="cpu", budget_mib=1000, load=lambda *_: model)


def cell(report: Report, row: str, column: str) -> Any:
    (found,) = [r for r in report.rows if r[0] == row]
    return found[report.columns.index(column)]


# ---------------------------------------------------------------------- prompts


def prompts(card: ModelCard = fakes.CARD, **params: int) -> Report:
    job = SegmentJob(manager_of(fakes.FakeSegmenter(card)), EmbeddingCache(1 << 24), card)
    images = [Made("one", ellipses()), Made("two", ellipses(1))]
    return bench_prompts(images, job, Task(), PromptBench(**params))


def test_a_model_that_draws_ellipses_is_good_at_boxes_of_ellipses() -> None:
    report = prompts(objects=3, clicks=4)
    assert cell(report, "box", "n") == 6
    assert cell(report, "box", "mean IoU") > 0.7
    assert cell(report, "1 click", "mean IoU") < cell(report, "box", "mean IoU")
    assert cell(report, "3 clicks", "mean IoU") >= cell(report, "1 click", "mean IoU")
    assert "6 objects of 2 images" in report.setting


def test_clicks_needed_are_counted_and_failures_told() -> None:
    report = prompts(objects=2, clicks=4)
    needed = [cell(report, f"NoC@{goal}", "clicks needed") for goal in (80, 85, 90)]
    assert needed == sorted(needed)
    assert all(1 <= n <= 4 for n in needed)
    assert cell(report, "NoC@90", "share failed") == 1.0, "disks never make an ellipse"


def test_what_a_model_for_boxes_gets_instead_is_told() -> None:
    report = prompts(fakes.BOX_ONLY, objects=2)
    names = [row[0] for row in report.rows]
    assert names == ["box", "scribble (made a box)", "1 click (made a box)"]
    assert cell(report, "1 click (made a box)", "mean IoU") > 0.4


def test_the_same_seed_asks_the_same() -> None:
    assert prompts(objects=2, clicks=2) == prompts(objects=2, clicks=2)


def test_images_without_objects_are_refused() -> None:
    job = SegmentJob(manager_of(fakes.FakeSegmenter()), EmbeddingCache(1 << 20), fakes.CARD)
    with pytest.raises(LabelError, match="No image has an object"):
        bench_prompts([Made("empty", np.zeros((40, 40), np.int32))], job, Task())


# ---------------------------------------------------------------------- nuclei


def test_a_perfect_model_is_perfect_and_one_that_misses_is_not() -> None:
    images = [Made("one", ellipses(), "a"), Made("two", ellipses(1), "b")]
    perfect = bench_nuclei(images, CELLS, manager_of(FromPixels()), Task())
    for column in ("F1@.5", "PQ", "AJI"):
        assert cell(perfect, "all", column) == 1.0
    assert cell(perfect, "all", "count bias") == 0.0
    missing = bench_nuclei(images, CELLS, manager_of(FromPixels(missed=1)), Task())
    assert cell(missing, "all", "nuclei") == 8
    assert cell(missing, "all", "found") == 6
    assert cell(missing, "all", "count bias") == -0.25
    assert cell(missing, "a", "F1@.5") == pytest.approx(6 / 7, abs=1e-3)


def test_images_are_brought_to_the_models_scale_and_labels_back() -> None:
    model = FromPixels()
    made = Made("coarse", ellipses())
    report = bench_nuclei([made], CELLS, manager_of(model), Task(), mpp=0.5)
    assert model.shapes == [(192, 192, 3)]
    assert cell(report, "all", "nuclei") == 4
    assert "0.5 um/px" in report.setting


@pytest.mark.parametrize("card", [fakes.CARD, TEXT], ids=lambda c: c.id)
def test_a_model_of_another_role_is_refused(card: ModelCard) -> None:
    with pytest.raises(ModelError, match=f"{card.id} has the role {card.role}"):
        bench_nuclei([Made("one", ellipses())], card, manager_of(FromPixels()), Task())


# ---------------------------------------------------------------------- texts


def painted(folder: Path, name: str, colours: Sequence[tuple[int, int, int]]) -> None:
    (folder / name).mkdir(parents=True)
    for i, colour in enumerate(colours):
        Image.new("RGB", (20, 20), colour).save(folder / name / f"{i}.png")


def test_tiles_are_named_by_words(tmp_path: Path) -> None:
    painted(tmp_path, "red_tissue", [(200, 0, 0), (90, 10, 20), (0, 0, 255)])
    painted(tmp_path, "blue", [(0, 0, 250)])
    classes = classes_in(tmp_path)
    assert list(classes) == ["blue", "red tissue"]
    report = bench_text(classes, TEXT, manager_of(Reader()), Task())
    assert cell(report, "red tissue", "recall") == pytest.approx(2 / 3, abs=1e-3)
    assert cell(report, "red tissue", "precision") == 1.0
    assert cell(report, "blue", "called so") == 2
    macro = (2 / 3 + 0.8) / 2
    assert cell(report, "mean of classes", "F1") == pytest.approx(macro, abs=1e-3)
    assert "Accuracy 0.750" in report.setting
    assert "most frequent class would give an accuracy of 0.750" in report.setting


def test_a_class_is_the_mean_of_its_sentences() -> None:
    vectors = class_vectors(Reader(), ["red", "blue"], TEMPLATES)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    assert (vectors @ Reader().embed_texts(["red", "blue"]).T).argmax(1).tolist() == [0, 1]


def test_one_class_is_nothing_to_choose_from(tmp_path: Path) -> None:
    painted(tmp_path, "red", [(255, 0, 0)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabelError, match="holds 1 classes"):
        classes_in(tmp_path)
    with pytest.raises(LabelError, match="holds 0 classes"):
        classes_in(tmp_path / "nowhere")


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    painted(tmp_path, "red", [(255, 0, 0)])
    painted(tmp_path, "blue", [(0, 0, 255)])
    (tmp_path / "red" / "0.png").write_text("no picture")
    with pytest.raises(LabelError, match=r"red/0\.png cannot be read as an image"):
        bench_text(classes_in(tmp_path), TEXT, manager_of(Reader()), Task())


def test_templates_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "templates.txt"
    path.write_text("a slide of {}\n\n{} under the microscope\n")
    assert read_templates(path) == ("a slide of {}", "{} under the microscope")
    assert read_templates(None) is TEMPLATES
    for text, message in (("a slide", "must hold {} once"), ("", "holds no templates")):
        path.write_text(text)
        with pytest.raises(PromptError, match=message):
            read_templates(path)
    with pytest.raises(PromptError, match="cannot be read"):
        read_templates(tmp_path / "none.txt")


# ---------------------------------------------------------------------- files


REPORT = Report(
    "Title & co",
    "How.",
    ("what", "n", "good", "bad"),
    (("a", 3, 0.5, None), ("b < c", 4, None, 0.25), ("d", 1, None, None)),
    ("good", "bad"),
)


def test_a_report_becomes_a_table_and_a_picture(tmp_path: Path) -> None:
    paths = write_report(REPORT, tmp_path / "out", "mine")
    assert [p.name for p in paths] == ["mine.csv", "mine.md", "mine.svg"]
    with paths[0].open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["what", "n", "good", "bad"]
    assert rows[1] == ["a", "3", "0.5", ""]
    assert "| b < c | 4 |  | 0.250 |" in paths[1].read_text()
    tree = ET.fromstring(paths[2].read_text())
    texts = [e.text for e in tree.iter() if e.tag.endswith("text")]
    assert {"Title & co", "a", "b < c", "0.500", "0.250"} <= set(texts)
    assert "d" not in texts, "a row without figures is not drawn"


def test_bars_are_as_long_as_their_figures() -> None:
    tree = ET.fromstring(replace(REPORT, rows=(("a", 1, 1.0, 0.5),)).svg())
    widths = [e.get("width") for e in tree.iter() if e.tag.endswith("rect")][3:]
    assert widths == ["420", "210"]


def test_a_long_name_does_not_reach_into_its_bars() -> None:
    name = "colorectal adenocarcinoma epithelium"
    tree = ET.fromstring(replace(REPORT, rows=((name, 1, 1.0, 0.5),)).svg())
    bar = [e for e in tree.iter() if e.tag.endswith("rect")][3]
    assert int(bar.get("x")) >= 8 + 7 * len(name)
