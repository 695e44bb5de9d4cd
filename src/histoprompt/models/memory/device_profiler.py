"""The device that models work on, and measuring what they take there."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from histoprompt.models.card import ModelCard
from histoprompt.models.devices import Meter, choose_device, meter_for, tensor_mib
from histoprompt.models.memory.footprints import Footprint, FootprintBook

# The resident size counts whatever else the process does meanwhile (opening a slide, importing
# torch), so a figure from it is believed up to this multiple of the card's own.
BELIEVABLE = 4.0


@dataclass(frozen=True, slots=True)
class _Setup:
    """The device and what is known of it once it was looked for."""

    device: str
    meter: Meter
    free_mib: float


@dataclass(slots=True)
class _Work:
    """One load or use, and whether it overlapped another."""

    number: int
    alone: bool


class DeviceProfiler:
    """Looks for the device at first need, and measures loads and uses; for any thread.

    Parameters
    ----------
    device : str
        As for `choose_device`.
    meter : Meter or None
        The device's own if None.
    book : FootprintBook
        Where measurements are kept.
    dtype : str
        Of the models' weights, to tell measurements apart.
    """

    def __init__(self, device: str, meter: Meter | None, book: FootprintBook, dtype: str) -> None:
        self.requested_device = device
        self._given_meter = meter
        self._book = book
        self._dtype = dtype
        self._found: _Setup | None = None
        self._finding = threading.Lock()
        self._counting = threading.Lock()
        self._busy = 0
        self._begun = 0

    @property
    def prepared(self) -> bool:
        """Whether the device has been looked for."""
        return self._found is not None

    def prepare(self) -> None:
        """Look for the device; ModelError if it is not there."""
        self._setup()

    @property
    def device(self) -> str:
        """The device models are loaded on; calls `prepare`."""
        return self._setup().device

    @property
    def meter(self) -> Meter:
        """What measures the device's memory; calls `prepare`."""
        return self._setup().meter

    @property
    def free_at_first_mib(self) -> float:
        """What the device had free when it was first looked at; calls `prepare`."""
        return self._setup().free_mib

    def footprint(self, card: ModelCard) -> Footprint:
        """What the model takes on this device, measured if it was used before."""
        return self._book.get(card, self._dtype, self.device)

    def measured_load(self, card: ModelCard, load: Callable[[], Any]) -> tuple[Any, float]:
        """The model that `load` returns, and the MiB its weights take."""
        with self._at_work():
            before = self.meter.used_mib()
            model = load()
            mib = tensor_mib(model)
            if not mib and card.weights is not None:
                mib = self._believable(card, self.meter.used_mib() - before)
        self._book.record_weights(card, self._dtype, self.device, mib)
        return model, mib

    @contextlib.contextmanager
    def measured_use(self, card: ModelCard) -> Iterator[None]:
        """Remember the peak of a use that went well, if no other model was at work meanwhile."""
        with self._at_work() as work:
            self.meter.reset_peak()
            before = self.meter.used_mib()
            yield
            peak = self._believable(card, self.meter.peak_mib() - before)
        if work.alone:
            self._book.record_peak(card, self._dtype, self.device, peak)

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[_Work]:
        """Notice whether another load or use overlaps this one."""
        with self._counting:
            self._busy += 1
            self._begun += 1
            work = _Work(self._begun, alone=self._busy == 1)
        try:
            yield work
        finally:
            with self._counting:
                self._busy -= 1
                work.alone = work.alone and self._begun == work.number

    def _believable(self, card: ModelCard, mib: float) -> float:
        limit = math.inf if self.meter.exact else BELIEVABLE * card.memory_mib
        return min(max(mib, 0.0), limit)

    def _setup(self) -> _Setup:
        if self._found is None:
            with self._finding:
                if self._found is None:
                    device = choose_device(self.requested_device)
                    meter = self._given_meter or meter_for(device)
                    self._found = _Setup(device, meter, meter.free_mib())
        return self._found
