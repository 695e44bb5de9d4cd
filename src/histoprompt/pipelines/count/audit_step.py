"""Drawing the fields of an audit as a step of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from histoprompt.core.errors import ParameterError, RecipeError
from histoprompt.core.parameters import Parameter, check
from histoprompt.pipelines.count.audit_table import FIELDS_CSV, draw_fields
from histoprompt.pipelines.count.result_folders import MADE
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput


@dataclass(frozen=True)
class AuditParams:
    """Which fields a person is to count.

    Attributes
    ----------
    fields : int
    seed : int
        Draws the same fields again.
    """

    fields: Annotated[
        int, Parameter("Fields", "How many fields to look at; 10 to 20 are usual.")
    ] = 15
    seed: Annotated[int, Parameter("Seed", "Draws the same fields again.")] = 0

    def __post_init__(self) -> None:
        check(self)
        if self.fields < 1 or self.seed < 0:
            raise ParameterError(
                f"An audit has at least one field and a seed of 0 or more, not {self.fields} and "
                f"{self.seed}."
            )


def _run(given: StepInput, params: AuditParams, folder: Path) -> StepOutput:
    counted = folder.parent / "count"
    if not (counted / MADE).is_file():
        raise RecipeError(f"{given.slide.name} was not counted: there is nothing to audit.")
    if (counted / FIELDS_CSV).is_file():  # a person may have filled it in
        return StepOutput(f"{FIELDS_CSV} was there and stays as it is")
    audit = draw_fields(counted, params.fields, params.seed, given.slide)
    return StepOutput(f"{audit.plan.fields:,} fields to look at in {FIELDS_CSV}")


def _methods(params: AuditParams) -> str:
    return (
        f"Counts were to be corrected by {params.fields} random fields per slide counted by eye, "
        "with 95 % intervals."
    )


STEP = Step(
    "audit",
    "draws fields of the count to be looked at",
    AuditParams,
    _run,
    lambda _: (),
    _methods,
    after=("count",),
)
