"""How good regions from words are, and what a few marks add: real tiles by case, and the sample.

The words of the list were set from general knowledge of H&E and looked at on the cases in `SEEN`;
figures are of the case in `HELD_OUT` alone, which has all three classes and was not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from histoprompt.core.geometry import Box
from histoprompt.core.labels.tiff import read_labels
from histoprompt.core.readers.open import open_slide
from histoprompt.core.scores.map import Threshold
from histoprompt.core.slides.sample import REGION_NAMES, REGIONS, SLIDE, sample_file
from histoprompt.models import registry
from histoprompt.models.zoo.vocabulary import VocabularyScorer
from histoprompt.pipelines.embedding.embedding_store import TileVectors
from histoprompt.pipelines.embedding.words import (
    TEMPLATES,
    default_contrasts,
    ensemble,
    probabilities,
    queries,
)
from histoprompt.pipelines.text.calibrate import Calibrator

HELD_OUT, SEEN = "Case-4", ("Case-3", "Case-48", "P9")
CLICKS = (0, 2, 8, 32)
SEEDS = 10
SIDE = 64
TEXTS = {"Viable": "tumour", "Non-Viable-Tumor": "necrosis"}
START = Threshold(0.5, "even odds")


@dataclass(frozen=True, eq=False)
class Tiles:
    """Tiles with their vectors, colour histograms and truth.

    Attributes
    ----------
    vectors : (n, d) float32
    colours : (n, 64) float32
    truth : (n,) str
    test : (n,) bool
        What is reported; marks come from the rest, or on one slide from anywhere but themselves.
    """

    vectors: NDArray[np.float32]
    colours: NDArray[np.float32]
    truth: NDArray[np.str_]
    test: NDArray[np.bool_]


def osteosarcoma(folder: Path, step: int) -> Tiles:
    """Tiles of 64 um of the images, those nearly white left out; every `step`-th."""
    model = VocabularyScorer(registry.card("vocabulary"))
    parts = []
    for path in sorted(folder.glob("*.jpg")):
        name, case = re.match(r"(.*)___(Case-\d+|P9)", path.name).groups()
        image = np.asarray(Image.open(path).convert("RGB"))
        tiles = image.reshape(16, SIDE, 16, SIDE, 3).swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3)
        tiles = tiles[tiles.min(axis=3).mean(axis=(1, 2)) < 225][::step]
        parts.append((tiles, name, case == HELD_OUT))
    stack = np.concatenate([tiles for tiles, _, _ in parts])
    vectors = np.concatenate([model.embed_images(part) for part in np.array_split(stack, 40)])
    truth = np.concatenate([[name] * len(tiles) for tiles, name, _ in parts])
    test = np.concatenate([[held] * len(tiles) for tiles, _, held in parts])
    return Tiles(vectors, histograms(stack), truth, test)


def sample() -> Tiles:
    """Tiles of 64 um around every 16 um of the sample slide, truth at their centre."""
    model, slide = VocabularyScorer(registry.card("vocabulary")), open_slide(sample_file(SLIDE))
    names = json.loads(sample_file(REGION_NAMES).read_text())["regions"]
    by_value = {v: k for k, v in names.items()}
    regions = read_labels(sample_file(REGIONS), origin=(0, 0)).read(slide.box)
    image = slide.read(slide.box, (600, 750))[0]
    stack, truth = [], []
    for r in range(0, 600 - SIDE + 1, 16):
        for c in range(0, 750 - SIDE + 1, 16):
            centre = Box(4 * r + 96, 4 * c + 96, 4 * r + 160, 4 * c + 160)
            name = by_value[int(np.bincount(regions[centre.slices()].ravel()).argmax())]
            if name not in ("glass", "pen"):
                stack.append(image[r : r + SIDE, c : c + SIDE])
                truth.append(name)
    tiles = np.stack(stack)
    return Tiles(
        model.embed_images(tiles), histograms(tiles), np.array(truth), np.ones(len(tiles), bool)
    )


def histograms(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """4 x 4 x 4 colour histograms, as shares."""
    codes = (tiles >> 6).astype(np.int64) @ np.array([16, 4, 1])
    flat = codes.reshape(len(tiles), -1)
    return (
        np.stack([np.bincount(row, minlength=64) for row in flat]).astype(np.float32)
        / flat.shape[1]
    )


def text_scores(vectors: NDArray[np.float32], text: str) -> NDArray[np.float32]:
    """What the pipeline gives a text without contrasts of one's own."""
    model = VocabularyScorer(registry.card("vocabulary"))
    wanted = queries([text])
    rows = [ensemble(model, q, TEMPLATES["plain"]) for q in (*wanted, *default_contrasts(wanted))]
    return probabilities(vectors @ np.stack(rows).T, model.logit_scale, 1)[:, 0]


Result = tuple[float, float, float]
Marks = dict[int, bool]
Fit = Callable[[Marks], tuple[NDArray[np.floating], float]]


def marks_of(truth: NDArray[np.bool_], where: NDArray[np.bool_], count: int, seed: int) -> Marks:
    """Half yes, half no, at random."""
    rng, half = np.random.default_rng(seed), count // 2
    picked = [rng.permutation(np.flatnonzero(where & k))[:half] for k in (truth, ~truth)]
    return {int(i): bool(truth[i]) for i in np.concatenate(picked)}


def result(scores: NDArray[np.floating], cut: float, truth: NDArray[np.bool_]) -> Result:
    """AUROC, balanced accuracy and Dice of what is at or above the cut."""
    inside = scores >= cut
    balanced = (inside[truth].mean() + (~inside[~truth]).mean()) / 2
    dice = 2 * (inside & truth).sum() / max(1, inside.sum() + truth.sum())
    return float(roc_auc_score(truth, scores)), float(balanced), float(dice)


def calibrated(tiles: Tiles, text: str, truth: NDArray[np.bool_]) -> Fit:
    """The pipeline's own way from marks to scores and a threshold."""
    prior = text_scores(tiles.vectors, text)
    calibrator = Calibrator(prior, TileVectors(tiles.vectors, np.arange(len(prior))), START)

    def fit(marks: Marks) -> tuple[NDArray[np.floating], float]:
        found = calibrator.fit(marks)
        return found.scores, found.threshold.value

    return fit


def from_colours(tiles: Tiles) -> Fit:
    """A logistic regression on colour histograms of the marked tiles alone."""

    def fit(marks: Marks) -> tuple[NDArray[np.floating], float]:
        if not marks:
            return np.zeros(len(tiles.truth)), 0.5
        model = LogisticRegression(C=10, class_weight="balanced", max_iter=1000)
        model.fit(tiles.colours[list(marks)], list(marks.values()))
        return model.predict_proba(tiles.colours)[:, 1], 0.5

    return fit


def rows(tiles: Tiles, name: str, text: str) -> Iterator[list[str]]:
    """One line a number of clicks: words with calibration, and the colour histogram."""
    truth = tiles.truth == name
    ways = (calibrated(tiles, text, truth), from_colours(tiles))
    here = tiles.test
    one_slide = bool(here.all())
    for clicks in CLICKS:
        cells = []
        for fit in ways:
            found = []
            for seed in range(SEEDS if clicks else 1):
                marks = marks_of(truth, here if one_slide else ~here, clicks, seed)
                judged = here.copy()
                judged[list(marks)] = False
                scores, cut = fit(marks)
                found.append(result(scores[judged], cut, truth[judged]))
            mean = np.mean(found, axis=0)
            cells += [f"{v:.2f}" for v in mean]
        yield [text, str(clicks), *cells]
    if not one_slide:
        everything = {int(i): bool(truth[i]) for i in np.flatnonzero(~here)}
        scores, cut = from_colours(tiles)(everything)
        best = [f"{v:.2f}" for v in result(scores[here], cut, truth[here])]
        yield [text, f"all {len(everything)}", "-", "-", "-", *best]


def baseline(tiles: Tiles, name: str) -> str:
    """What saying yes everywhere, or no everywhere, would give."""
    share = float((tiles.truth[tiles.test] == name).mean())
    return f"{share:.0%} of the tiles are it: yes everywhere has Dice {2 * share / (1 + share):.2f}"


def elsewhere(tiles: Tiles) -> str:
    """AUROC of the words alone on the cases that were looked at."""
    seen = ~tiles.test
    found = []
    for name, text in TEXTS.items():
        scores = text_scores(tiles.vectors[seen], text)
        found.append(f"{roc_auc_score(tiles.truth[seen] == name, scores):.2f} ({text})")
    return ", ".join(found)
