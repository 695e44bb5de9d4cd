"""The network of two layers finds a tie that is not linear."""

import numpy as np

from histoprompt.core.task import Task
from histoprompt.pipelines.align.judge import recalls
from histoprompt.pipelines.align.maps import ImageFeatures, ridge, scores
from histoprompt.training.contrastive import contrastive


def test_it_finds_what_no_line_finds():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(900, 6))
    texts = np.abs(images[:, :4]) + 0.05 * rng.normal(size=(900, 4))
    train, test = slice(0, 800), slice(800, 900)
    adapter = contrastive(Task(), epochs=40)(images[train], texts[train])
    line = ridge(ImageFeatures(images[train], np.arange(800) % 4), texts[train])
    found = [
        recalls(scores(one, images[test], texts[test]), np.arange(100))["match"]
        for one in (adapter, line)
    ]
    assert found[0] > 0.85
    assert found[1] < 0.65
    again = contrastive(Task(), epochs=40)(images[train], texts[train])
    assert np.array_equal(again.image_map, adapter.image_map)
