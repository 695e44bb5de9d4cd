"""Boxes for clicks and scribbles: looked at once, and never at more pixels than needed."""

from __future__ import annotations

import numpy as np

from histoprompt.core.geometry import Box
from histoprompt.core.prompts.prompt import Prompt, Strokes
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.core.slides.slide import Slide
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.pipelines.prompts.box_proposals import SIDE, propose
from truth import nuclei_near


def _overlap(a: Box, b: Box) -> float:
    common = a.intersection(b)
    return 0.0 if common is None else common.area / (a.area + b.area - common.area)


def test_clicks_on_true_nuclei_give_their_boxes_and_share_looks():
    slide, cache = open_slide(sample_file(SLIDE)), EmbeddingCache()
    nuclei = nuclei_near(12)
    found = [propose(slide, Prompt.of_points([n.middle]), cache) for n in nuclei]
    assert np.median([_overlap(f, n.box) for f, n in zip(found, nuclei, strict=True)]) > 0.6
    assert len(cache) < len(nuclei)


def test_a_second_click_nearby_reads_no_pixels():
    slide, cache = open_slide(sample_file(SLIDE)), EmbeddingCache()
    first = propose(slide, Prompt.of_points([[1150, 900]]), cache)
    seen = len(cache)
    assert propose(slide, Prompt.of_points([[1151, 902]]), cache).intersection(first)
    assert len(cache) == seen


def test_a_scribble_across_a_whole_slide_is_looked_at_coarsely():
    pixels = np.full((3000, 4000, 3), 220, np.uint8)
    slide, cache = Slide.from_arrays("flat", [pixels]), EmbeddingCache()
    line = np.array([[100.0, 100.0], [2800.0, 3900.0]])
    box = propose(slide, Prompt(strokes=Strokes((line,), (), 9.0)), cache)
    assert box.covers(Box(110, 110, 2790, 3890))
    assert cache.n_bytes < 40 * SIDE * SIDE * 4


def test_at_the_slides_corner_the_box_stays_on_it():
    rng = np.random.default_rng(0)
    slide = Slide.from_arrays("noise", [rng.integers(0, 255, (90, 70, 3)).astype(np.uint8)])
    box = propose(slide, Prompt.of_points([[0, 69]]), EmbeddingCache())
    assert slide.box.pad(1e-6).covers(box)
    assert box.contains(0, 69)
