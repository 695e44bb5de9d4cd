"""Weights files that are programs: said so before they are loaded, and trusted file by file.

A TorchScript file holds code that runs while it is loaded, with all rights of the user: it can
read, write and delete files. No check of this program can tell what it would do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from histoprompt.core import settings
from histoprompt.core.errors import Remedy, WeightsError
from histoprompt.core.files.records import change_record, read_record
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.weights.digests import file_digest


class UntrustedProgramError(WeightsError):
    """A weights file is a program that nobody has said to trust.

    Attributes
    ----------
    path : Path
        The file.
    """

    def __init__(self, card: ModelCard, path: Path) -> None:
        super().__init__(statement(card, path), remedy=Remedy.TRUST_PROGRAM)
        self.path = path


def statement(card: ModelCard, path: Path) -> str:
    """What has to be said of a file before it is loaded."""
    return (
        f"The weights of {card.title}, {path}, are a program (TorchScript): loading them runs code "
        "that can read, change and delete your files. Load it only if you know who made it."
    )


def program_of(card: ModelCard, weights: Path | None = None) -> Path | None:
    """The file of a model that is a program; None for a model whose weights are tensors alone.

    Parameters
    ----------
    card : ModelCard
    weights : Path, optional
        A file of the user's own.

    Raises
    ------
    ModelError
        If the package of the model is not installed.
    WeightsError
        If the file is not there.
    """
    return registry.program_file(card, weights) if card.program else None


def is_trusted(path: Path, task: Task | None = None) -> bool:
    """Whether the user trusted this very file, by its sha256."""
    return file_digest(path, "sha256", task) in read_record(_table())


def trust(path: Path, task: Task | None = None) -> None:
    """Remember that the user trusts a file.

    Raises
    ------
    ExportError
        If that cannot be written.
    """
    entry = {"file": str(path), "date": datetime.now(UTC).date().isoformat()}
    change_record(_table(), file_digest(path, "sha256", task), entry)


def require(card: ModelCard, path: Path) -> None:
    """Stop where a program would be loaded that the user has not trusted.

    Raises
    ------
    UntrustedProgramError
    """
    if not is_trusted(path):
        raise UntrustedProgramError(card, path)


def _table() -> Path:
    return settings.home() / "trusted_programs.json"
