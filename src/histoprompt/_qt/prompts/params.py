"""What the Prompt dock asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from histoprompt.annotations.planes import Plane
from histoprompt.core.parameters import Parameter, check
from histoprompt.pipelines.objects.reshape import AMOUNT
from histoprompt.pipelines.objects.wand import REACH, WandParams


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

    rule: Annotated[
        Literal["keep", "overwrite"],
        Parameter(
            "Overlap",
            "Who gets pixels that two objects claim.",
            offers=(("keep what is there", "keep"), ("overwrite what is there", "overwrite")),
        ),
    ] = "keep"
    each_box: Annotated[
        bool, Parameter("Each box is an object", "Otherwise all boxes are prompts of one object.")
    ] = False
    outline: Annotated[
        bool,
        Parameter("Outline nuclei", "Find the nuclei in view ahead; a click on one takes it."),
    ] = False
    class_name: Annotated[str, Parameter("Class", "Given to committed objects.")] = ""
    plane: Annotated[
        Plane, Parameter("Keep as", "What is committed, drawn and painted becomes one of these.")
    ] = "objects"
    tolerance: Annotated[float, REACH] = WandParams.tolerance
    amount: Annotated[float, AMOUNT] = 0.5

    def __post_init__(self) -> None:
        check(self)
