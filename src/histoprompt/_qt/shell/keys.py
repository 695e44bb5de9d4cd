"""Every key and gesture of the plugin on the canvas, in one table.

Keys are those that a person has who has chosen no others, see `shortcuts`; they are bound to our
own layers only. They are chosen so that no key of napari's own tools on these layers is taken,
except undo and redo, which would otherwise bypass the journal. These two are bound to the viewer
too: what was done is taken back whatever layer is selected, unless that layer is a person's own and
has an undo of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from histoprompt._qt.shell.gestures import MODIFIERS
from histoprompt.pipelines.classes.active_learning import ACCEPT, REJECT, UNSURE_KEY

PROMPTS, CLICKS, SCRIBBLES, BOXES = "prompts of an object", "clicks", "scribbles", "boxes"
DRAWN = "drawn by hand"
COMMITTED, MARKED, CELLS, AUDIT = "committed objects", "marked tiles", "counted cells", "audit"
ANYWHERE = "any other layer, or none"

# Classes that a key can be pressed for.
NUMBERS = range(1, 10)

# Which layers serve a group of gestures; their names are those of the modules that make them.
LAYERS: Mapping[str, tuple[str, ...]] = {
    PROMPTS: (
        "regions",
        "committed_objects",
        "nuclei_outlines",
        "drawn_by_hand",
        "current_object",
        "scribbles",
        "prompts",
        "point_prompts",
    ),
    CLICKS: ("point_prompts",),
    SCRIBBLES: ("scribbles",),
    BOXES: ("prompts",),
    DRAWN: ("drawn_by_hand",),
    COMMITTED: ("committed_objects",),
    MARKED: ("tile_marks",),
    CELLS: ("counted_cells",),
    AUDIT: ("audit",),
    ANYWHERE: (),
}


@dataclass(frozen=True)
class Gesture:
    """A key or a mouse gesture.

    Attributes
    ----------
    input : str
        A key in napari's spelling ("Control-Z"), or what the mouse does ("Control-click").
    group : str
        A key of `LAYERS`: which layer must be selected; `ANYWHERE` is bound to the viewer.
    does : str
        For people.
    act : str
        What a key does, for `shortcuts.bind_keys`; the mouse is served by the layers.
    """

    input: str
    group: str
    does: str
    act: str = ""

    @property
    def is_key(self) -> bool:
        """Whether it is a key and no gesture of the mouse."""
        return not self.input.endswith(("click", "drag"))

    @property
    def action(self) -> str:
        """The name of what a key does among napari's actions."""
        return f"histoprompt:{self.act.replace(' ', '_')}"

    @property
    def title(self) -> str:
        """The input as people write it: Ctrl+Z."""
        return titled(self.input)

    @property
    def where(self) -> str:
        """The layers it works on, for people."""
        if self.group == ANYWHERE:
            return ANYWHERE
        names = LAYERS[self.group]
        return "any layer of the Prompt dock" if self.group == PROMPTS else ", ".join(names)


TABLE: tuple[Gesture, ...] = (
    Gesture("C", PROMPTS, "keep the object in hand and go on to the next", "commit"),
    Gesture("Shift-C", PROMPTS, "forget the prompts and the preview", "clear"),
    Gesture("N", PROMPTS, "show the model's next best mask", "next_candidate"),
    Gesture("H", PROMPTS, "hide or show the committed objects", "hide"),
    Gesture("O", PROMPTS, "show committed objects as outlines, or filled", "toggle_outlines"),
    Gesture("Control-Z", PROMPTS, "take back what was done last, in whatever dock", "undo"),
    Gesture("Control-Shift-Z", PROMPTS, "do again what was taken back", "redo"),
    Gesture("K", PROMPTS, "draw a line through an object, which splits it", "start_split"),
    Gesture("T", CLICKS, "switch between inside and outside", "toggle"),
    Gesture("T", SCRIBBLES, "switch between inside and outside", "toggle"),
    Gesture("click", CLICKS, "a click inside or outside the object, as the tool says"),
    Gesture("Control-click", CLICKS, "a click outside the object, once"),
    Gesture("right-click", CLICKS, "the opposite of what the tool says, once"),
    Gesture("Alt-click", CLICKS, "take a committed object up again, to change it"),
    Gesture("Alt-click", SCRIBBLES, "take a committed object up again, to change it"),
    Gesture("Alt-click", BOXES, "take a committed object up again, to change it"),
    Gesture("Alt-click", DRAWN, "take a committed object up again, to change it"),
    Gesture("drag", DRAWN, "a lasso, a new object or a cut, as the tool says"),
    Gesture("click", DRAWN, "with Split: in each half of an object; with Wand: what looks like it"),
    Gesture("drag", SCRIBBLES, "a scribble inside or outside, as the tool says"),
    Gesture("drag", BOXES, "a box around the object"),
    Gesture("Control-click", COMMITTED, "delete the object"),
    Gesture("Alt-click", COMMITTED, "pick an object; the next one is merged with it"),
    Gesture("Shift-click", COMMITTED, "choose the object that painting extends; beside: none"),
    Gesture("click", COMMITTED, "merge, delete or refine, while that button of the dock is down"),
    Gesture("R", COMMITTED, "take the chosen object up again, to change it", "refine_chosen"),
    Gesture("G", COMMITTED, "expand the chosen object", "expand"),
    Gesture("Shift-G", COMMITTED, "shrink the chosen object", "shrink"),
    Gesture("S", COMMITTED, "smooth the chosen object", "smooth"),
    Gesture("Shift-F", COMMITTED, "fill the holes of the chosen object", "fill_holes"),
    Gesture("click", MARKED, "mark the tile as the dock says; once more: unmark it"),
    Gesture("Control-click", MARKED, "mark the tile no, once"),
    Gesture("right-click", MARKED, "mark the opposite of what the dock says, once"),
    Gesture("Y", MARKED, "the tile under the pointer belongs to the text", "mark_yes"),
    Gesture("N", MARKED, "the tile under the pointer does not belong to the text", "mark_no"),
    Gesture("T", MARKED, "switch what a click says, yes or no", "toggle"),
    Gesture("Control-Z", MARKED, "take back what was done last, in whatever dock", "undo"),
    Gesture("Control-Shift-Z", MARKED, "do again what was taken back", "redo"),
    Gesture("click", CELLS, "choose the cell, and its row in the table"),
    Gesture(
        "drag",
        CELLS,
        "with Label cells on: give the cells the class picked; with Split on: part a cell",
    ),
    Gesture("Control-click", CELLS, "delete a cell that is none"),
    Gesture("Shift-click", CELLS, "add a cell that was missed: a model outlines it"),
    Gesture("Alt-click", CELLS, "pick a cell; the next one is merged with it"),
    *(
        Gesture(
            str(n), CELLS, f"the cell offered or chosen is of class {n} in the list", f"class {n}"
        )
        for n in NUMBERS
    ),
    Gesture(ACCEPT.upper(), CELLS, "the offered cell is of the class proposed", "answer yes"),
    Gesture(REJECT.upper(), CELLS, "the offered cell is not of the class proposed", "answer no"),
    Gesture(UNSURE_KEY.upper(), CELLS, "the class of the offered cell cannot be told", "unsure"),
    Gesture("Control-Z", CELLS, "take back what was done last, in whatever dock", "undo"),
    Gesture("Control-Shift-Z", CELLS, "do again what was taken back", "redo"),
    Gesture("click", AUDIT, "say what is there in the field of an audit"),
    Gesture("Control-Z", AUDIT, "take the last point away", "undo"),
    Gesture("Control-Z", ANYWHERE, "take back what was done last, in whatever dock", "undo"),
    Gesture("Control-Shift-Z", ANYWHERE, "do again what was taken back", "redo"),
)


def titled(key: str) -> str:
    """A key in napari's spelling as people write it."""
    for name in MODIFIERS:
        key = key.replace(f"{name}-", f"{name}+")
    return key.replace("Control", "Ctrl")


def markdown() -> str:
    """The table for the documentation."""
    rows = [f"| {g.title} | `{g.where}` | {g.does} |" for g in TABLE]
    return "\n".join(("| key or gesture | on | does |", "| --- | --- | --- |", *rows)) + "\n"
