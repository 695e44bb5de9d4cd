"""What the Prompt dock asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from histoprompt.annotations.planes import Plane
from histoprompt.pipelines.prompts.wand import WandParams


@dataclass(frozen=True)
class PromptParams:
    """The rows of the Prompt dock that are not a tool, an image or a model.

    Attributes
    ----------
    rule : "keep" or "overwrite"
        Who gets pixels that two objects claim.
    each_box : bool
        Every box is an object of its own.
    outline : bool
        Nuclei in view are outlined, and a click on one takes it.
    class_name : str
        Class given to committed objects; empty for none.
    plane : "objects" or "regions"
        What is committed, drawn and painted becomes one of these.
    tolerance : float
        How different tissue may look that the wand takes.
    amount : float
        How far objects are expanded, shrunk or smoothed: microns, or pixels where their size is
        unknown.
    """

    rule: Annotated[Literal["keep", "overwrite"], {"label": "Overlap"}] = "keep"
    each_box: Annotated[bool, {"label": "Each box is an object"}] = False
    outline: Annotated[bool, {"label": "Outline nuclei"}] = False
    class_name: Annotated[str, {"label": "Class"}] = ""
    plane: Annotated[Plane, {"label": "Keep as"}] = "objects"
    tolerance: Annotated[float, {"label": "Wand"}] = WandParams.tolerance
    amount: Annotated[float, {"label": "By"}] = 0.5
