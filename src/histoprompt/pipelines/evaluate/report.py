"""What an evaluation of a model on a user's data gives: a table, as text and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError, Remedy
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.tables import table_writer
from histoprompt.models.card import ModelCard, Role
from histoprompt.pipelines.evaluate.bars import bars

Cell = str | int | float | None


class Labelled(Protocol):
    """An image with its instances."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def group(self) -> str:
        """What it is reported with; empty for none."""

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """The (h, w, 3) uint8 image and (h, w) int32 labels, 0 for background."""


@dataclass(frozen=True)
class Report:
    """A measured table.

    Attributes
    ----------
    title : str
    setting : str
        How it was measured, in full sentences.
    columns : tuple of str
        The first names the row.
    rows : tuple of tuple
        As long as `columns`; None where there is nothing to say.
    drawn : tuple of str
        Columns of figures in [0, 1] that the picture shows.
    """

    title: str
    setting: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    drawn: tuple[str, ...]

    def markdown(self) -> str:
        """Heading, setting and table."""
        head = [self.columns, tuple("---" for _ in self.columns)]
        lines = [*head, *[tuple(_shown(c) for c in row) for row in self.rows]]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"# {self.title}\n\n{self.setting}\n\n{table}\n"

    def svg(self) -> str:
        """Bars of the columns that are drawn, less rows without any such figure."""
        where = [self.columns.index(name) for name in self.drawn]
        rows = [r for r in self.rows if any(isinstance(r[i], float) for i in where)]
        series = {self.columns[i]: [_figure(r[i]) for r in rows] for i in where}
        return bars(self.title, [str(r[0]) for r in rows], series)


def write_report(report: Report, folder: Path, stem: str) -> tuple[Path, ...]:
    """Write ``stem.csv``, ``stem.md`` and ``stem.svg``, each whole or not at all.

    Raises
    ------
    ExportError
        If a file cannot be written.
    """
    paths = tuple(folder / f"{stem}.{end}" for end in ("csv", "md", "svg"))
    with (
        replacing_file(paths[0]) as part,
        Path(part).open("w", newline="", encoding="utf-8") as file,
    ):
        write = table_writer(file, report.columns, names=report.columns[:1])
        for row in report.rows:
            write("" if cell is None else cell for cell in row)
    for path, text in zip(paths[1:], (report.markdown(), report.svg()), strict=True):
        with replacing_file(path) as part:
            part.write_text(text, encoding="utf-8")
    return paths


def check_role(card: ModelCard, role: Role, purpose: str) -> None:
    """Refuse a model that cannot be measured so.

    Raises
    ------
    ModelError
        If the card has another role.
    """
    if card.role != role:
        raise ModelError(
            f"{card.id} has the role {card.role}, and {purpose} are measured with models of the "
            f"role {role}.",
            remedy=Remedy.MODELS,
        )


def rounded(values: Sequence[float]) -> list[float]:
    """Figures to three places."""
    return [round(float(value), 3) for value in values]


def _figure(cell: Cell) -> float | None:
    return cell if isinstance(cell, float) else None


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    # Counts of clicks are kept to two places.
    return f"{cell:.{2 if cell > 1 else 3}f}" if isinstance(cell, float) else str(cell)
