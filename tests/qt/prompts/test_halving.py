"""With the tool Split, a click in each half of an object makes two of it."""

from __future__ import annotations

import numpy as np
import pytest
from pointer import Pointer

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

pytestmark = pytest.mark.gui


def test_two_clicks_split_an_object_and_undo_joins_it_again(shown_dock, until):
    annotator = shown_dock.annotator
    pointer, store = Pointer(annotator), annotator.store
    array = np.zeros((40, 60), bool)
    array[:, :25] = array[:, 35:] = array[18:22] = True
    mask = Mask(array, Frame(Box(60, 50, 100, 110), array.shape))
    (first,), change = annotator.committed.commit([mask], "keep", {}, "tumour")
    annotator.committed.show_change(change, "Put there")
    before, edits = store.read(store.box), len(store.history())
    annotator.choose("split")
    assert "click in each half" in shown_dock._status.text()
    pointer.click((80, 62))
    until(lambda: f"Object {first} picked" in shown_dock._status.text())
    assert len(store.history()) == edits
    pointer.click((80, 98))
    until(lambda: store.count == 2)
    assert len(store.history()) == edits + 1
    after = store.read(store.box)
    assert np.array_equal(after > 0, before > 0)
    assert after[80, 62] != after[80, 98]
    assert {store.class_of(int(i)) for i in store.ids()} == {"tumour"}
    assert not len(annotator.drawing.layer.data)
    pointer.key("Control-Z")
    assert np.array_equal(store.read(store.box), before)
    # a click beside forgets the first one; a line still cuts
    pointer.click((80, 62))
    until(lambda: f"Object {first} picked" in shown_dock._status.text())
    pointer.click((30, 30))
    until(lambda: "no committed object" in shown_dock._status.text())
    pointer.drag([(50, 80), (110, 80)])
    until(lambda: store.count == 2)
