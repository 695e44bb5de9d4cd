"""What tests of the hand do: boxes and commits on the five nuclei, answers that wait."""

from __future__ import annotations

import threading

import numpy as np

from histoprompt._qt.layers import make as layers
from histoprompt._qt.prompts import segmenting
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask


def gate_of(monkeypatch) -> threading.Event:
    """Answers to finished prompts wait until the event is set."""
    gate, real = threading.Event(), segmenting.segment

    def slowly(slide, objects, job, task):
        gate.wait()
        return real(slide, objects, job, task)

    monkeypatch.setattr(segmenting, "segment", slowly)
    return gate


def boxes(dock: PromptDock, *places: tuple[int, int]) -> None:
    for place in places:
        box = layers.box_vertices(Box.around(*place, 30))
        dock.annotator.prompts.boxes.add_rectangles(box)


def disc(place: tuple[int, int], side: int) -> Mask:
    rr, cc = np.mgrid[:side, :side]
    half = side // 2
    inside = (rr - half) ** 2 + (cc - half) ** 2 <= half**2
    return Mask(inside, Frame(Box.around(*place, side), inside.shape))


def put(dock: PromptDock, place: tuple[int, int], class_name: str = "", side: int = 21) -> int:
    committed = dock.annotator.committed
    (found,), change = committed.commit([disc(place, side)], "keep", {}, class_name)
    committed.show_change(change, "Put there")
    return found


def status(dock: PromptDock) -> str:
    return dock._status.text()
