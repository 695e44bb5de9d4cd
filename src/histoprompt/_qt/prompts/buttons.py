"""The buttons of the Prompt dock: what they are called, and what they say of themselves."""

from __future__ import annotations

from histoprompt.pipelines.objects.reshape import Form

Words = tuple[str, str]
"""What stands on a button, and its tooltip; ``{act}`` stands for the keys of an act."""

TOOLS: dict[str, Words] = {
    "click +": ("Click +", "Click inside the object (right-click: outside, {toggle} switches)"),
    "click -": (
        "Click −",
        "Click what is not part of it ({toggle} switches; Ctrl+click does it once)",
    ),
    "scribble +": ("Scribble +", "Paint inside the object"),
    "scribble -": ("Scribble −", "Paint what is not part of it ({toggle} switches)"),
    "lasso +": ("Lasso +", "Drag around a part of the object: all of it is a scribble inside"),
    "lasso -": ("Lasso −", "Drag around what is not part of it"),
    "box": ("Box", "Drag a box around the object"),
}
ACTIONS: dict[str, Words] = {
    "commit": ("Commit ({commit})", "Keep the object and go on to the next"),
    "clear": ("Clear ({clear})", "Forget the prompts and the preview"),
    "undo": ("Undo", "{undo}: take back what was done last, in any dock"),
    "redo": ("Redo", "{redo}: do again what was taken back"),
    "next_candidate": ("Other mask ({next_candidate})", "The model's next best answer"),
    "find_all": (
        "All nuclei here",
        "Find and commit every nucleus not committed yet: in the drawn box, else in the shapes of "
        "Shapes layers, or the committed regions, whose layer is selected in the list of layers, "
        "else in view",
    ),
}
CORRECTIONS: dict[str, Words] = {
    "paint": (
        "Paint",
        "Each stroke makes an object; Shift+click an object to extend it; [ and ] size the brush",
    ),
    "erase": ("Erase", "Erase from committed objects"),
    "draw": (
        "Draw",
        "Drag around a new object or region, freehand and without a model (P: corner by corner)",
    ),
    "wand": (
        "Wand",
        "Click tissue: what looks like it around the place is taken; with a chosen region it grows",
    ),
    "split": ("Split ({start_split})", "Drag a line through an object to make two of it"),
    "refine": (
        "Refine",
        "Click an object to take it up again and change it ({refine_chosen}: the chosen one; "
        "Alt+click with a tool of prompts)",
    ),
    "merge": ("Merge", "Click objects one after another to join them (or Alt+click)"),
    "delete": ("Delete", "Click objects to remove them (or Ctrl+click)"),
}
LOOKS: tuple[Words, ...] = (
    ("Outlines only ({toggle_outlines})", "Show committed objects as outlines"),
    ("Hide ({hide})", "Hide the committed objects"),
    (
        "All layers",
        "List the layers too that tools draw into and marks are on, in napari's list of layers",
    ),
)
FORMS: dict[Form, Words] = {
    "fill holes": ("Fill holes", "Fill the holes of the chosen object ({fill_holes})"),
    "smooth": ("Smooth ({smooth})", "Smooth the outline of the chosen object; its area stays"),
    "expand": ("Expand ({expand})", "Let the chosen object grow; its neighbours keep their pixels"),
    "shrink": ("Shrink", "Let the chosen object shrink ({shrink})"),
}
