"""The layers of an audit: the frame of the field to look at, and what is pointed at in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Points, Shapes
from psygnal import Signal

from histoprompt._qt.count.layers import CountLayers
from histoprompt._qt.layers.make import box_vertices, provenance, transform_of
from histoprompt._qt.shell.keys import AUDIT
from histoprompt._qt.shell.shortcuts import bind_keys
from histoprompt.core.cell_table import CellTable
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import cell_colours, colours_of
from histoprompt.pipelines.audit.marks import NOT_A_CELL, AuditMark

FIELD, MARKS = "audit_field", "audit"
_MAGENTA, _RED = "#d81b60", (214, 39, 40)
_NAME = "what"


class AuditLayers:
    """Shows a field and takes points in it.

    Parameters
    ----------
    shown : CountLayers
        Of the count; these layers come and go with its.

    Attributes
    ----------
    changed : Signal(object)
        All points as a tuple of `AuditMark`, in the order they were made.
    """

    changed = Signal(object)

    def __init__(self, shown: CountLayers) -> None:
        self._shown, self._says = shown, ""
        self._colours = cell_colours(())

    def show(
        self, box: Box, marks: Sequence[AuditMark], classes: Sequence[str], cells: CellTable | None
    ) -> None:
        """Frame a field, look at it, and take points in the colours of cells."""
        self._colours = colours_of(CellTable.empty() if cells is None else cells, classes)
        frame, points = self._frame(), self._points()
        frame.data = []
        frame.add_rectangles(
            box_vertices(box), edge_color=_MAGENTA, edge_width=2, face_color="transparent"
        )
        if self._read(points) != tuple(marks):
            with points.events.data.blocker():
                points.data = np.array([(m.row, m.col) for m in marks]).reshape(-1, 2)
            points.features = {_NAME: np.array([m.name for m in marks], object)}
        self._draw(points)
        self.bring(True)
        self._shown.look_at(box.centre, 1.3 * max(box.shape))
        self._shown.viewer.layers.selection.active = points
        points.mode = "add"
        self.say(self._says)

    @property
    def points(self) -> Points | None:
        """The layer that takes points, once a field was shown."""
        found = self._shown.made(MARKS)
        return found if isinstance(found, Points) else None

    def sleep(self) -> None:
        """Take no points for a while; the field stays framed."""
        if self.points is not None:
            self.points.mode = "pan_zoom"

    def bring(self, on: bool) -> None:
        """Show the field that is looked at, or put it away while something else is."""
        frame = self._shown.made(FIELD)
        if isinstance(frame, Shapes) and len(frame.data):
            for layer in (frame, self.points):
                if layer is not None:
                    layer.visible = on
            self._shown.outline(on)

    def hide(self) -> None:
        """Show no field any more, if one was shown."""
        frame, points = self._shown.made(FIELD), self.points
        if frame is None or points is None:
            return
        frame.data = []
        self.sleep()
        self._shown.outline(False)
        self._shown.viewer.layers.selection.active = self._shown.cells

    def say(self, name: str) -> None:
        """Let further points say this: a class, or `NOT_A_CELL`."""
        self._says = name
        points = self._shown.made(MARKS)
        if points is not None:
            points.feature_defaults = {_NAME: [name]}

    def undo(self) -> None:
        """Take the last point away."""
        points = self._shown.made(MARKS)
        if points is not None and len(points.data):
            points.remove([len(points.data) - 1])

    def _on_data(self, event: object) -> None:
        points = self._shown.made(MARKS)
        if points is not None and getattr(event, "action", "") in ("added", "removed", "changed"):
            self._draw(points)
            self.changed.emit(self._read(points))

    def _read(self, points: Points) -> tuple[AuditMark, ...]:
        names = points.features[_NAME]
        return tuple(
            AuditMark(float(r), float(c), str(name))
            for (r, c), name in zip(points.data, names, strict=True)
        )

    def _draw(self, points: Points) -> None:
        """Discs in the colours of classes, red crosses on what is no cell."""
        if not len(points.data):
            return
        colours = {**self._colours, NOT_A_CELL: _RED}
        names = [str(name) for name in points.features[_NAME]]
        points.face_color = np.array([colours.get(name, _RED) for name in names]) / 255
        points.symbol = ["cross" if name == NOT_A_CELL else "disc" for name in names]

    def _frame(self) -> Shapes:
        found = self._shown.made(FIELD)
        if isinstance(found, Shapes):
            return found
        about = provenance(kind="audit")
        made = Shapes(ndim=2, name=FIELD, metadata=about, **transform_of(self._shown.image))
        self._shown.add(made)
        return made

    def _points(self) -> Points:
        found = self._shown.made(MARKS)
        if isinstance(found, Points):
            return found
        made = Points(
            np.empty((0, 2)),
            ndim=2,
            name=MARKS,
            size=14,
            border_color="white",
            border_width=0.1,
            features={_NAME: np.empty(0, object)},
            metadata=provenance(kind="audit"),
            **transform_of(self._shown.image),
        )
        made.events.data.connect(self._on_data)
        bind_keys(made, AUDIT, {"undo": self.undo}.__getitem__)
        self._shown.add(made)
        return made
