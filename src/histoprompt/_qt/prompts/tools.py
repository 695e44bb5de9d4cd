"""The tool in use: what a click or a stroke on the canvas does for the Prompt dock."""

from __future__ import annotations

from napari.components import ViewerModel

from histoprompt._qt.prompts.committed import CommittedObjects
from histoprompt._qt.prompts.corrections import Corrections, Mode
from histoprompt._qt.prompts.drawing import MODES, Drawing
from histoprompt._qt.prompts.prompt_layers import PromptLayers
from histoprompt.annotations.planes import PLANES, Plane

HINTS = {
    "click +": "Click inside the object; the right button clicks outside.",
    "click -": "Click what is not part of the object; the right button clicks inside.",
    "scribble +": "Paint inside the object.",
    "scribble -": "Paint what is not part of the object.",
    "box": "Drag a box around the object.",
    "lasso +": "Drag around what is part of the object.",
    "lasso -": "Drag around what is not part of the object.",
    "draw": "Drag around a new object or region.",
    "wand": "Click tissue: all around the place that looks like it is taken.",
    "split": "Drag a line through the object, from outside to outside, or click in each half.",
    "erase": "Paint over what is to be erased from committed objects.",
}
_MODES: dict[str, Mode] = {"merge": "merge", "delete": "delete", "refine": "refine"}


class Tools:
    """Chooses tools, and tells which one is in use.

    Parameters
    ----------
    viewer : ViewerModel
    prompts : PromptLayers
    planes : (CommittedObjects, CommittedObjects)
        Committed objects, and regions.
    corrections : Corrections
    drawing : Drawing

    Attributes
    ----------
    plane : "objects" or "regions"
        Where strokes go.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        prompts: PromptLayers,
        planes: tuple[CommittedObjects, CommittedObjects],
        corrections: Corrections,
        drawing: Drawing,
    ) -> None:
        self._viewer, self._prompts = viewer, prompts
        self._planes, self._corrections = planes, corrections
        self._drawing = drawing
        self.plane: Plane = "objects"

    @property
    def tool(self) -> str:
        """What a click or stroke does: a tool of prompts, of `drawing.MODES` or of corrections.

        Empty if clicks go elsewhere.
        """
        layers = [plane.layer for plane in self._planes]
        layer = self._viewer.layers.selection.active
        if layer not in layers:
            return self._prompts.tool or self._drawing.tool
        correcting = layer is layers[0] and layer.mode == "pan_zoom"
        if self._corrections.mode != "off" and correcting:
            return self._corrections.mode
        return str(layer.mode) if layer.mode in ("paint", "erase") else ""

    def choose(self, tool: str) -> str:
        """Let clicks and strokes do this from now on; what to do, or "" where it was said."""
        self._corrections.choose(_MODES.get(tool, "off"))
        if tool in _MODES:
            return ""
        if tool in ("paint", "erase"):
            layer = self._painted.layer
            self._viewer.layers.selection.active = layer
            layer.mode = tool
        elif tool in MODES:
            self._drawing.choose(tool)
        else:
            self._prompts.choose(tool)
        return self._painted.painting if tool == "paint" else HINTS[tool]

    def paint_on(self, plane: Plane) -> None:
        """Let strokes go to a plane; a brush that is in hand goes over to it."""
        before, self.plane = self._painted, plane
        active, mode = self._viewer.layers.selection.active, str(before.layer.mode)
        if self._painted is not before and active is before.layer and mode in ("paint", "erase"):
            self.choose(mode)

    @property
    def _painted(self) -> CommittedObjects:
        return self._planes[PLANES.index(self.plane)]

    def leave_mode(self) -> None:
        """Modes of clicks end when another layer or tool is turned to: no mode stays on unseen."""
        if self._corrections.mode not in ("off", self.tool) and not self._corrections.pressing:
            self._corrections.choose("off")
