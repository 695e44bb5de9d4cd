"""Colours of committed objects."""

from __future__ import annotations

import numpy as np
from napari.layers import Image

from histoprompt._qt.layers.make import make_current
from histoprompt._qt.prompts.object_colours import colormap_of
from histoprompt.core.geometry import Box, Frame


def test_a_committed_object_does_not_look_as_if_it_were_still_in_hand(qapp):
    image = Image(np.zeros((20, 20, 3), np.uint8), rgb=True)
    in_hand = make_current(image, Frame(Box(0, 0, 20, 20), (20, 20))).get_color(1)[:3]
    colours = colormap_of(())
    colours.show(dict.fromkeys(range(1, 30), ""), "")
    committed = colours.map(np.arange(1, 30))[:, :3]
    assert np.abs(committed - in_hand).max(axis=1).min() > 0.2
