"""The heads trained on labels of one slide: exported, learnt, compared, kept as a model.

Small and short: the shipped network of nuclei goes on for a few steps on what a person labelled or
corrected. Every fifth tile is held out, and tells how the network does there before and after.
"""

from __future__ import annotations

import csv
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.core.errors import LabelError
from histoprompt.core.files.durable import remove
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import LabelSource
from histoprompt.core.metrics import Agreement
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.networks.lite_networks import shipped_heads
from histoprompt.pipelines.exchange.export import ExportParams, export
from histoprompt.training.label_params import LabelTrainingParams

if TYPE_CHECKING:
    from histoprompt.training.run import TrainConfig

# Least tiles: some to learn from and one to check on.
FEWEST_TILES = 3
# Stage whose loss is shown, and what lies in the folder of a training.
_CURVE, _KEPT, _DATA = "nuclei-1.csv", "nuclei-1.ckpt", "data"
# Seconds between two states that are kept; steps between two points of the curve.
_KEEP_S, _REPORT = 15.0, 5


@dataclass(frozen=True)
class LabelTraining:
    """What came of a training.

    Attributes
    ----------
    card_id : str
        Of the model.
    before, after : Agreement
        On the tiles that were held out.
    tiles, held : int
        Exported, and how many of them were held out.
    curve : tuple of (int, float)
        Steps and losses.
    """

    card_id: str
    before: Agreement
    after: Agreement
    tiles: int
    held: int
    curve: tuple[tuple[int, float], ...] = ()

    def __str__(self) -> str:
        return (
            f"On {self.held} of {self.tiles:,} tiles that were held out: F1 {self.before.f1:.3f} "
            f"before, {self.after.f1:.3f} after; cells counted {self.before.bias:+.0%} before, "
            f"{self.after.bias:+.0%} after."
        )

    @property
    def better(self) -> bool:
        """Whether the held-out tiles say so."""
        return self.after.f1 > self.before.f1


def train_on_labels(
    slide: Slide,
    labels: LabelSource,
    params: LabelTrainingParams,
    task: Task,
    *,
    classes: Classes | None = None,
    resume: bool = False,
) -> LabelTraining:
    """Train on the labels of a slide, and keep what comes of it as a model.

    What is labelled in a tile is taken for all there is: a nucleus without a label is background.

    Parameters
    ----------
    slide : Slide
    labels : LabelSource
        Such as a label store or a count.
    params : LabelTrainingParams
    task : Task
        Told of every step. What was learnt before a cancel is kept.
    classes : Classes, optional
        Of the labels.
    resume : bool
        Go on with a training of this name that was broken off, on the labels it began with.

    Raises
    ------
    LabelError
        If there is no label, or too few tiles hold any.
    ExportError, WeightsError
        If files cannot be written, or what was kept cannot go on.
    Cancelled
    """
    from histoprompt.training.run import train  # it brings in torch

    _leave_out_compiler()
    work = params.work
    resume = resume and can_resume(params)
    if not resume:
        remove(work)
    data = work / _DATA
    if not data.is_dir():
        exported = ExportParams(
            "tiles", tile_size=params.tile, mpp=_scale(slide), val_share=0.0, test_share=0.0
        )
        export(slide, labels, data, exported, task.part(0.0, 0.05), classes=classes)
    tiles = len(list(data.glob("*/images/*"))) or len(list(data.glob("images/*")))
    if tiles < FEWEST_TILES:
        raise LabelError(
            f"{tiles:,} tiles of {params.tile} px hold labels, and training needs {FEWEST_TILES} "
            "at least: label nuclei in more places, or choose smaller tiles."
        )
    with shipped_heads() as start:
        outcome = train(_config(params, data, start), task.part(0.05, 1.0), resume=resume)
    assert outcome.before is not None  # it went on from heads
    held = sum(len(one.samples) for one in outcome.held)
    place, curve = params.place, tuple(curve_of(params))
    made = LabelTraining(place.card_id, outcome.before[0], outcome.after[0], tiles, held, curve)
    figures = {"before": asdict(made.before), "after": asdict(made.after)}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    place.describe(f"Trained here on {tiles:,} tiles of {slide.name}. {made}", made=when, **figures)
    remove(work)
    return made


def _leave_out_compiler() -> None:
    """Let torch do without its compiler, which nothing here uses.

    Its optimisers import it, and the LLVM that it brings and the one of the window's OpenGL end the
    process when both are loaded.
    """
    if "triton" not in sys.modules:
        sys.modules["triton"] = None  # type: ignore[assignment] # as if it was not installed


def can_resume(params: LabelTrainingParams) -> bool:
    """Whether a training of this name was broken off and can go on."""
    return (params.work / _KEPT).is_file() and (params.work / _DATA).is_dir()


def curve_of(params: LabelTrainingParams) -> list[tuple[int, float]]:
    """Steps and losses of a training as far as it got; empty before the first report."""
    points: list[tuple[int, float]] = []
    path = params.work / _CURVE
    with suppress(OSError, ValueError, KeyError), path.open(newline="", encoding="utf-8") as file:
        points += [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    return points


def _scale(slide: Slide) -> float:
    """Microns a pixel of the tiles: that of the network, where the slide's own is known."""
    return 0.25 if slide.mpp is not None else 0.0


def _config(params: LabelTrainingParams, data: Path, start: Path) -> TrainConfig:
    """The settings of the training: the network of nuclei learns, that of prompts stays."""
    from histoprompt.training.run import TrainConfig

    config = TrainConfig.going_on([data], params.place.weights, start)
    params.place.weights.parent.mkdir(parents=True, exist_ok=True)
    nuclei = replace(
        config.nuclei,
        steps=params.steps,
        batch=params.batch,
        rate=params.rate,
        report_every=_REPORT,
        keep_every=_KEEP_S,
        seed=params.seed,
    )
    prompts = replace(config.prompts, steps=1, objects=2, rounds=1, rate=1e-9)
    pool = replace(config.pool, variants=params.variants, made=0, empty=params.variants)
    return replace(
        config,
        work=params.work,
        keep=params.keep,
        threads=1,
        seed=params.seed,
        nuclei=nuclei,
        prompts=prompts,
        pool=pool,
    )
