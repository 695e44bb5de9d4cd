"""What each model was measured to take, remembered between runs."""

from __future__ import annotations

import contextlib
import json
import math
import threading
from dataclasses import dataclass
from pathlib import Path

from histoprompt.core.errors import ExportError, ModelError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import FEW_BYTES, read_json
from histoprompt.models.card import ModelCard
from histoprompt.models.devices import MIB


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory of one model on one device.

    Attributes
    ----------
    weights_mib : float
        Taken as long as the model is loaded.
    peak_mib : float
        Taken on top of that while it works.
    """

    weights_mib: float
    peak_mib: float

    @property
    def total_mib(self) -> float:
        """What must be free to load and use the model."""
        return self.weights_mib + self.peak_mib


class FootprintBook:
    """Footprints by card, dtype and device; safe to use from several threads.

    Parameters
    ----------
    path : Path or None
        JSON file the measurements are kept in; None keeps them for this run only. A file that
        cannot be read or written is the same as none: measurements can be made again.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries = _read(path)

    def get(self, card: ModelCard, dtype: str, device: str) -> Footprint:
        """What was measured, completed by the card's own first guess."""
        entry = self._entries.get(_name(card, dtype, device), {})
        guess = first_guess(card)
        return Footprint(
            entry.get("weights_mib", guess.weights_mib), entry.get("peak_mib", guess.peak_mib)
        )

    def record_weights(self, card: ModelCard, dtype: str, device: str, mib: float) -> None:
        """Remember what a loaded model takes."""
        self._record(_name(card, dtype, device), "weights_mib", mib)

    def record_peak(self, card: ModelCard, dtype: str, device: str, mib: float) -> None:
        """Remember what a working model takes; the highest figure counts."""
        name = _name(card, dtype, device)
        self._record(name, "peak_mib", max(mib, self._entries.get(name, {}).get("peak_mib", 0.0)))

    def _record(self, name: str, field: str, mib: float) -> None:
        with self._lock:
            entry = self._entries.get(name, {})
            if entry.get(field) == (value := round(mib, 1)):
                return
            self._entries[name] = {**entry, field: value}
            if self._path is not None:
                _write(self._path, self._entries)


def first_guess(card: ModelCard) -> Footprint:
    """The card's figure for weights + peak, split by the size of the weights files."""
    if card.weights is None:
        return Footprint(0.0, card.memory_mib)
    n_bytes = card.n_bytes
    weights = card.memory_mib / 2 if n_bytes is None else min(n_bytes / MIB, card.memory_mib)
    return Footprint(weights, card.memory_mib - weights)


def _name(card: ModelCard, dtype: str, device: str) -> str:
    return f"{card.id}|{dtype}|{device}"


def _read(path: Path | None) -> dict[str, dict[str, float]]:
    if path is None:
        return {}
    try:
        raw = read_json(path, ModelError, FEW_BYTES)
        return {
            str(name): {str(k): float(v) for k, v in entry.items() if 0 <= float(v) < math.inf}
            for name, entry in raw.items()
        }
    except (ModelError, ValueError, TypeError, AttributeError):
        return {}


def _write(path: Path, entries: dict[str, dict[str, float]]) -> None:
    with contextlib.suppress(ExportError):
        replace_file(path, json.dumps(entries, indent=1, sort_keys=True))
