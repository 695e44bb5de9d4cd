"""Sets of annotated images: their scale, how far their outlines can be trusted, what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histoprompt.core.errors import LabelError
from histoprompt.core.files.tables import read_table
from histoprompt.training.data import Annotated, annotated_in


@dataclass(frozen=True)
class SetConfig:
    """A folder of annotated images, see `annotated_in`, and what is known of it.

    Attributes
    ----------
    folder : Path
    mpp : float or None
        Microns per pixel; without it nuclei are taken to have the usual size.
    group : str
        Column of the folder's ``tiles.csv`` that says what belongs together; images of one group
        are never learnt from and checked on. Without it the groups of the folder's ``index.csv``.
    held_out : tuple of str
        Groups, or names of images, kept for choosing.
    silver : bool
        Whether a person drew where nuclei are and no person parted those that touch.
    balance : bool
        Whether the background is no white, so that training balances it at random.
    brown : float
        Share of its fields that are made haematoxylin and DAB.
    weight : float
        How often its fields are drawn beside those of other sets.
    variants : int
        Fields made of each stained image.
    """

    folder: Path
    mpp: float | None = None
    group: str = ""
    held_out: tuple[str, ...] = ()
    silver: bool = False
    balance: bool = False
    brown: float = 0.14
    weight: float = 1.0
    variants: int = 8


def members(config: SetConfig) -> list[Annotated]:
    """The images of a set, each with its group and what is known of it.

    Raises
    ------
    LabelError
        If ``tiles.csv`` is not there though a group is asked for, or does not name an image.
    """
    items = [
        replace(
            i,
            mpp=config.mpp,
            silver=config.silver,
            balance=config.balance,
            brown=config.brown,
        )
        for i in annotated_in(config.folder)
    ]
    if not config.group:
        return items
    groups = _groups(config.folder / "tiles.csv", config.group)
    missing = sorted(i.name for i in items if i.name not in groups)
    if missing:
        raise LabelError(f"{config.folder / 'tiles.csv'} does not name {missing[0]}.")
    return [replace(i, kind="stained", group=groups[i.name]) for i in items]


def parted(items: Sequence[Annotated], held_out: Sequence[str]) -> tuple[list[Annotated], ...]:
    """Images to learn from, and those kept: a whole group each, or images by name."""
    kept = [i for i in items if i.group in held_out or i.name in held_out]
    taken = {id(i) for i in kept}
    return [i for i in items if id(i) not in taken], kept


def _groups(table: Path, column: str) -> dict[str, str]:
    found = read_table(table, "The groups in", LabelError, ("name", column))
    return {row["name"]: row[column] for _, row in found.rows}
