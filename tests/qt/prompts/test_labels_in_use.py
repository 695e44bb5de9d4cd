"""Labels that another window has are shown and not changed; what was mended is told."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

pytestmark = pytest.mark.gui


def square(row, col):
    box = Box(row, col, row + 20, col + 20)
    return Mask(np.ones((20, 20), bool), Frame(box, (20, 20)))


def again(dock):
    """Choose the image once more; returns what the docks were told."""
    session, image = dock.session, dock.annotator.image
    told = []
    session.failed.connect(told.append)
    session.slide.choose(None)
    session.slide.choose(image)
    return told


def test_labels_that_are_edited_elsewhere_are_looked_at(dock):
    slide = dock.annotator.slide
    folder = store_folder(slide.key)
    dock.session.slide.choose(None)
    with LabelStore.open(folder, slide.shape, slide.key) as other:
        other.commit(square(10, 10))
        viewer = dock.session.viewer
        told = []
        dock.session.failed.connect(told.append)
        dock.session.slide.choose(viewer.layers["picture"])
        annotator = dock.annotator
        assert "edited in another window (process" in told[0]
        assert annotator.store.read_only
        assert not annotator.committed.layer.editable
        assert annotator.committed.at(15, 15) == 1
        other.commit(square(50, 50))
        with pytest.raises(LabelStoreError, match="read only"):
            annotator.committed.commit([square(100, 100)], "keep", {})
        annotator.undo()  # says so, and does nothing
        assert "read only" in dock._status.text()
    assert again(dock) == []
    assert dock.annotator.store.count == 2
    assert dock.annotator.committed.layer.editable


@pytest.mark.parametrize("name", ["labels.zarr/0/c/0/0", "labels.zarr/0/zarr.json", "store.json"])
def test_damaged_labels_are_mended_and_it_is_told(dock, name):
    dock.annotator.committed.commit([square(10, 10)], "keep", {})
    folder = dock.annotator.store.folder
    image = dock.annotator.image
    dock.session.slide.choose(None)
    (folder / name).write_bytes(b"")
    told = []
    dock.session.failed.connect(told.append)
    dock.session.slide.choose(image)
    assert len(told) == 1
    assert "again" in told[0]
    assert dock._status.text() == told[0]
    assert dock.annotator.committed.at(15, 15) == 1
