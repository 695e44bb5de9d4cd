"""From what a person chose to a job of counting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoprompt.core.cell_table import PROBABILITY
from histoprompt.core.errors import ModelError
from histoprompt.core.stain.ihc import DabClassifier
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.features import FEATURE_NAMES
from histoprompt.pipelines.cells.find import CellSource, ModelCells
from histoprompt.pipelines.cells.prompted import PromptedCells
from histoprompt.pipelines.classes.classifier_file import read_classifier
from histoprompt.pipelines.classes.classifiers import CellClassifier, FewShotClassifier
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

    segmenter: str = "histoprompt-cells"
    weights: Path | None = None
    proposer: str = "histoprompt-cells"
    classifier: Path | None = None
    dab: bool = False
    embedding: bool = False
    tile: int | None = None
    device: str = "auto"


def count_job(choice: CountChoice, manager: ModelManager | None = None) -> CountJob:
    """Find the models and the classifier.

    Raises
    ------
    ModelError
        If a model is unknown, is not installed, or cannot be used for counting.
    WeightsError
        If weights are missing.
    LabelError
        If the classifier cannot be read.
    """
    card = registry.card(choice.segmenter)
    manager = manager or ModelManager(device=choice.device)
    classifier, told = _classifier(choice)
    describe = choice.embedding or not set(_learnt(classifier)) <= {*FEATURE_NAMES, PROBABILITY}
    settings: dict[str, Any] = {"segmenter": card.id, **_weights(card, choice.weights)}
    source: CellSource
    decodings = [decoding(card)]
    if card.role == "cells":
        source = ModelCells(card, manager, choice.weights, describe)
    elif card.role == "prompt":
        proposer = registry.card(choice.proposer)
        _check(proposer.role == "cells", proposer)
        settings |= {"proposer": proposer.id}
        decodings.append(decoding(proposer))
        source = PromptedCells(card, ModelCells(proposer, manager), choice.weights)
    else:
        _check(False, card)
    settings |= {"classifier": told, "embedding": describe, "decoding": decodings}
    return CountJob(source, settings, choice.tile, classifier)


def _learnt(classifier: CellClassifier | None) -> tuple[str, ...]:
    """The features a classifier was trained on; those of a rule such as DAB are always measured."""
    return classifier.feature_names if isinstance(classifier, FewShotClassifier) else ()


def _check(usable: bool, card: ModelCard) -> None:
    if not usable:
        raise ModelError(
            f"{card.id} does not find cells; `histoprompt models list` shows which models have "
            "the role cells or prompt."
        )


def _weights(card: ModelCard, path: Path | None) -> dict[str, str | None]:
    """Which weights a count is made with, by their digest."""
    if card.missing:
        raise ModelError(f"{card.title} is not installed: pip install '{card.missing}'.")
    found = weights.resolve(card, path)
    if found is None:
        return {"weights": None}
    digest = weights.folder_digest if found.is_dir() else weights.file_digest
    return {"weights": digest(found, "sha256")}


def _classifier(choice: CountChoice) -> tuple[CellClassifier | None, str | None]:
    """The classifier, and what it is in words or by its digest."""
    if choice.dab:
        return DabClassifier(), "dab"
    if choice.classifier is None:
        return None, None
    found = read_classifier(choice.classifier)
    return found, weights.file_digest(choice.classifier, "sha256")
