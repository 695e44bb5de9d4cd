"""Whether the files of a store are as they should be; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from histoprompt.annotations.sums import UNKNOWN

if TYPE_CHECKING:
    from histoprompt.annotations.engine import Engine


@dataclass(frozen=True)
class StoreVerification:
    """What was found.

    Attributes
    ----------
    chunks : int
        Files of labels there should be, at all levels.
    labels : int
        Files of level 0 that are lost, damaged or too many.
    display : int
        The same of the coarser levels, which are made from level 0.
    records : int
        Whole records of the journal.
    damaged : int
        Places of the journal that cannot be read.
    """

    chunks: int
    labels: int
    display: int
    records: int
    damaged: int

    @property
    def fine(self) -> bool:
        """Whether nothing is damaged."""
        return not (self.labels or self.display or self.damaged)


def verify(engine: Engine) -> StoreVerification:
    """Read every chunk file and every record of the journal of a store."""
    expected, there = engine.chunks.expected, dict(engine.chunks.on_disk(sums=True))
    names = expected.keys() | there.keys()
    wrong = [
        name
        for name in names
        if expected.get(name) not in (there.get(name), UNKNOWN)  # is made again when it is read
    ]
    labels = sum(name[0] == 0 for name in wrong)
    records = [r is not None for r in engine.journal.salvage(0, engine.journal.end)]
    whole = sum(records)
    return StoreVerification(
        len(expected), labels, len(wrong) - labels, whole, len(records) - whole
    )
