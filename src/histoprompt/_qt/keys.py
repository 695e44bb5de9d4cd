"""The plugin's keys, all of them here.

They are bound to our own layers only, never to the application. Chosen so that no key of napari's
own tools on these layers is taken, except undo and redo, which would otherwise bypass the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from napari.layers import Layer

from histoprompt._qt.annotator import Annotator
from histoprompt._qt.counting import Counting
from histoprompt.pipelines.review import ACCEPT, REJECT, UNSURE_KEY

# key -> (what the annotator does, help)
KEYS = {
    "C": ("commit", "Keep the object in hand and go on to the next"),
    "Shift-C": ("clear", "Forget the prompts and the preview"),
    "N": ("next_candidate", "Show the model's next best mask"),
    "Control-Z": ("undo", "Take back the last prompt, then the last edit of labels"),
    "Control-Shift-Z": ("redo", "Do again what was taken back"),
}
# On the layer of counted cells: the answer to the cell that is offered.
REVIEW_KEYS = {
    ACCEPT: "The offered cell is of the class proposed",
    REJECT: "It is not",
    UNSURE_KEY: "It cannot be told",
}
# On the layers that have an inside and an outside; on Shapes T draws a path.
TOGGLE = "T"

# On the layer of marked tiles.
MARK_KEYS = {
    "Y": ("mark_yes", "The tile under the pointer belongs to the text"),
    "N": ("mark_no", "The tile under the pointer does not"),
    "T": ("toggle", "Switch what a click says, yes or no"),
    "Control-Z": ("undo", "Take back the last mark, or regions just committed"),
    "Control-Shift-Z": ("redo", "Put back the mark that was taken back"),
}


def bind_marks(layer: Layer, marking: object) -> None:
    """Bind the keys of the layer of marks to those who serve it."""
    for key, (name, _) in MARK_KEYS.items():
        _bind(layer, key, getattr(marking, name))


def bind_audit(layer: Layer, undo: Callable[[], object]) -> None:
    """Bind the key of the layer of an audit: take the last point away."""
    _bind(layer, "Control-Z", undo)


def bind_keys(annotator: Annotator, toggle: Callable[[], object]) -> None:
    """Bind the keys to an annotator's layers."""
    for layer in annotator.own_layers:
        for key, (name, _) in KEYS.items():
            _bind(layer, key, getattr(annotator, name))
    for layer in (annotator.prompts.points, annotator.prompts.scribbles):
        _bind(layer, TOGGLE, toggle)


def bind_count_keys(layer: Layer, answer: Callable[[str], object], counting: Counting) -> None:
    """Bind the keys of the review to the layer of counted cells."""
    for key in REVIEW_KEYS:
        _bind(layer, key.upper(), partial(answer, key))
    _bind(layer, "Control-Z", counting.classes.undo)
    _bind(layer, "Control-Shift-Z", counting.classes.redo)


def _bind(layer: Layer, key: str, action: Callable[[], object]) -> None:
    def pressed(_: Any) -> Iterator[None] | None:
        action()
        return None

    layer.bind_key(key, pressed, overwrite=True)
