"""Knowing when the user has finished an edit of a Labels layer."""

from __future__ import annotations

from collections.abc import Callable

from napari.layers import Labels


class EditWatcher:
    """Calls back after each finished stroke, fill or polygon.

    napari announces a stroke after its last dab, but a fill or a single call *before* the pixels
    change. So when nothing has changed yet, the next redraw is taken for the end of the edit.

    Parameters
    ----------
    layer : Labels
    take : callable
        Looks at the layer; returns whether it found anything new.
    """

    def __init__(self, layer: Labels, take: Callable[[], bool]) -> None:
        self._take = take
        self._expected = False
        layer.events.paint.connect(self._on_paint)
        layer.events.set_data.connect(self._on_redraw)
        layer.events.labels_update.connect(self._on_redraw)

    def _on_paint(self, _: object) -> None:
        self._expected = not self._take()

    def _on_redraw(self, _: object) -> None:
        if self._expected:
            self._expected = not self._take()
