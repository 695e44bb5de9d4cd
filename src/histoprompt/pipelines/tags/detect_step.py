"""Finding objects with a detector as a step of a recipe."""

from __future__ import annotations

from pathlib import Path

from histoprompt.core.errors import LabelError
from histoprompt.pipelines.recipes.command import option
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput
from histoprompt.pipelines.tags.detect import DetectApplyParams, apply_head
from histoprompt.pipelines.tags.network_file import is_network


def _run(given: StepInput, params: DetectApplyParams, folder: Path) -> StepOutput:
    path = params.detector()
    if is_network(path):
        raise LabelError(
            f"{path} is a network that finds boxes; a recipe takes class heads. Use the command "
            "detect apply."
        )
    counts = apply_head(
        given.slide, given.slide.name, path, folder=folder, manager=given.manager, task=given.task
    )
    told = ", ".join(f"{n} {tag}" for tag, n in counts.items())
    return StepOutput(told, numbers={f"{tag} found": float(n) for tag, n in counts.items()})


def _command(params: DetectApplyParams, slide: str, out: str) -> list[str]:
    return ["detect", "apply", slide, *option("file", str(params.file)), *option("out", out)]


STEP = Step(
    "detect",
    "finds objects with a detector that was learnt from tags",
    DetectApplyParams,
    _run,
    lambda _: (),
    lambda params: (
        f"Objects were found with the detector {params.file.name if params.file else 'of a file'}, "
        "learnt from tags."
    ),
    command=_command,
)
