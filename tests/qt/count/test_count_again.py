"""A count that is let go and made again, in a window that draws all the while."""

from __future__ import annotations

import pytest
from pointer import Pointer, show_with_margin
from qtpy.QtTest import QTest

from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.count.layers import CELLS, CHOSEN
from histoprompt._qt.shell.session import session_of
from histoprompt.pipelines.count.job import CountChoice

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]
_DRAWN_MS = 100


def test_a_count_is_dropped_with_a_chosen_cell_and_counted_again(
    make_napari_viewer, picture, monkeypatch, tmp_path, until
):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    dock = CountDock(viewer)
    viewer.window.add_dock_widget(dock, name="Count")
    slide, choice = dock.session.slide.slide, CountChoice(segmenter="classical-cells")
    for _ in range(3):
        dock.counting.count(slide, choice, slide.box.to_pixels())
        until(lambda: dock._shown is not None and dock._shown.cells is not None)
        show_with_margin(viewer, dock.session.slide.image)
        Pointer(dock._shown).click(dock.counting.place(2))
        assert dock.counting.cell == 2
        assert len(viewer.layers[CHOSEN].data) == 1
        QTest.qWait(_DRAWN_MS)
        dock.counting.drop()
        assert not {CELLS, CHOSEN} & {layer.name for layer in viewer.layers}
        QTest.qWait(_DRAWN_MS)
    session_of(viewer).close()
