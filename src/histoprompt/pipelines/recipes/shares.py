"""How far workers are: each writes it into a small file of the run, and whoever waits adds up.

Files are what workers on any machine share with the one that waits; nothing goes through the
scheduler for it. One that cannot be read or written now is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from histoprompt.core.task import Progress, Task

# How often a worker writes, and looks whether it is to stop, in seconds.
_LOOK = 0.5
# Which part of a slide is looking at its tiles, where several workers share it.
_LOOKING = 0.9


@dataclass(frozen=True)
class Signals:
    """The files by which a run and its workers tell each other how things are.

    Attributes
    ----------
    folder : Path
        Of the run.
    name : str
        Of this run: an earlier one may have left files.
    """

    folder: Path
    name: str

    @classmethod
    def at(cls, stop: str) -> Signals | None:
        """Those of a run, by its file `stop`; None where there is none."""
        return None if not stop else cls(Path(stop).parent, Path(stop).name.removeprefix("stop-"))

    @property
    def stop(self) -> Path:
        """Once it is there, workers stop after what they have in hand."""
        return self.folder / f"stop-{self.name}"

    def share(self, unit: str, block: int | None = None) -> Path:
        """How far one unit is, or one block of its tiles."""
        digest = hashlib.sha256(unit.encode()).hexdigest()[:16]
        part = "" if block is None else f"-{block}"
        return self.folder / f"share-{self.name}-{digest}{part}"

    def begin(self) -> None:
        """Take away what earlier runs left; raises OSError."""
        for left in (*self.folder.glob("stop-*"), *self.folder.glob("share-*")):
            left.unlink(missing_ok=True)

    def task(self, unit: str, block: int | None = None) -> Task:
        """A worker's task: it tells how far it is, and is cancelled once the run is stopped."""
        path, last = self.share(unit, block), [float("-inf")]

        def look(progress: Progress) -> None:
            if time.monotonic() - last[0] > _LOOK:
                last[0] = time.monotonic()
                with contextlib.suppress(OSError):
                    path.write_text(f"{progress.share:.4f}", encoding="utf-8")
                if self.stop.exists():
                    task.cancel()

        task = Task(look)
        return task

    def done(self, unit: str, blocks: int = 1) -> float:
        """How much of a unit is finished, in [0, 1]."""
        own = _read(self.share(unit))
        if blocks < 2:
            return own
        looked = sum(_read(self.share(unit, k)) for k in range(blocks)) / blocks
        return max(own, _LOOKING * looked + (1 - _LOOKING) * own)

    def stopped(self) -> bool:
        """Whether workers are to stop."""
        return self.stop.exists()


def _read(path: Path) -> float:
    try:
        return min(1.0, max(0.0, float(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError):
        return 0.0


def told(shares: Sequence[float], finished: int) -> str:
    """How far a run is, in words."""
    working = sum(0 < share < 1 for share in shares)
    return f"{finished:,} of {len(shares):,} slides finished, {working} at work"
