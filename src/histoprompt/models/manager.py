"""Which models are in memory, and who may use them when.

`ModelManager.lease` is the only way to touch a model. Memory is counted as the weights of every
loaded model plus the peak of every lease; the sum never exceeds the budget. Leases are short (a
click or a batch) and never nest, and those who wait are served in the order they came, so nobody
waits for ever and there is nothing to deadlock on.
"""

from __future__ import annotations

import contextlib
import gc
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from psygnal import Signal

from histoprompt.core import settings
from histoprompt.core.errors import ModelError, OutOfMemoryError
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.footprints import Footprint, FootprintBook, first_guess
from histoprompt.models.memory import (
    Meter,
    choose_device,
    is_out_of_memory,
    meter_for,
    tensor_mib,
)
from histoprompt.models.preload import smooth_import

BUDGET_SHARE = 0.8
# How long a waiting lease sleeps before it looks whether it was cancelled, seconds.
PATIENCE = 0.1
# The resident size counts whatever else the process does meanwhile (opening a slide, importing
# torch), so a figure from it is believed up to this multiple of the card's own.
BELIEVABLE = 4.0
# Sums of MiB are compared with this much slack.
ROUNDING = 1e-6

Loader = Callable[[ModelCard, Path | None, str], Any]
_Key = tuple[str, str]
_R = TypeVar("_R")


class Sliceable(Protocol):
    """A batch: a list, a tuple or an array."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> Self: ...


_B = TypeVar("_B", bound=Sliceable)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What the Models dock shows of a model in memory.

    Attributes
    ----------
    card_id : str
    weights : str
        The user's own weights file; empty for the card's.
    mib : float
        Weights, and what leases have set aside.
    leased : bool
        In use or being loaded now.
    last_used : float
        `time.time()` of the last use.
    """

    card_id: str
    weights: str
    mib: float
    leased: bool
    last_used: float


@dataclass(eq=False)
class _Resident:
    """A model in memory, or on its way there."""

    key: _Key
    weights_mib: float
    model: Any = None
    ready: bool = False
    leases: list[_Lease] = field(default_factory=list)
    last_used: float = field(default_factory=time.time)

    @property
    def mib(self) -> float:
        return self.weights_mib + math.fsum(lease.peak_mib for lease in self.leases)


@dataclass(eq=False)
class _Lease:
    """A share of a resident, and the memory set aside for using it."""

    resident: _Resident
    peak_mib: float
    must_load: bool


@dataclass(slots=True)
class _Work:
    """One load or use, and whether it overlapped another."""

    number: int
    alone: bool


@dataclass(frozen=True, slots=True)
class _Setup:
    """The device and what is known of it once it was looked for."""

    device: str
    meter: Meter
    free_mib: float


def load_from_registry(card: ModelCard, weights: Path | None, device: str) -> Any:
    """Find the card's weights and load the model; what a manager does unless told otherwise.

    Raises
    ------
    WeightsError
        If the weights are missing or wrong.
    """
    from histoprompt.models.registry import load_model
    from histoprompt.models.weights import resolve

    path = resolve(card, weights)
    # A model without weights needs no torch.
    with smooth_import() if path is not None else contextlib.nullcontext():
        return load_model(card, path, device)


class ModelManager:
    """Lends models to whoever needs one, within a budget of memory.

    Parameters
    ----------
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:N"``, ``"mps"`` or ``"auto"``. It is looked for at first
        need, as that may import torch; `prepare` does it on purpose.
    budget_mib : float, optional
        Default 80 % of what the device has free when it is first needed.
    load : callable
        ``load(card, weights, device)`` returns the model.
    meter : Meter, optional
        Measures memory; the device's own by default.
    footprints : FootprintBook, optional
        Where measurements are kept; a file in the cache folder by default.
    dtype : str
        Of the models' weights, to tell measurements apart.

    Attributes
    ----------
    changed : psygnal Signal
        Emitted without arguments when a model was loaded or unloaded or the budget changed, from
        the thread that did it. Receivers that show things must get themselves to their own thread.
    """

    changed = Signal()

    def __init__(
        self,
        device: str = "auto",
        budget_mib: float | None = None,
        *,
        load: Loader = load_from_registry,
        meter: Meter | None = None,
        footprints: FootprintBook | None = None,
        dtype: str = "float32",
    ) -> None:
        self.requested_device = device
        self._budget_mib = budget_mib
        self._load = load
        self._given_meter = meter
        self._dtype = dtype
        self._book = footprints or FootprintBook(settings.cache_folder() / "footprints.json")
        self._setup: _Setup | None = None
        self._setup_lock = threading.Lock()
        self._room = threading.Condition()
        self._queue: deque[object] = deque()
        self._residents: dict[_Key, _Resident] = {}  # least recently used first
        self._holders: dict[int, str] = {}
        self._busy = 0
        self._begun = 0

    # ------------------------------------------------------------------ what there is

    @property
    def prepared(self) -> bool:
        """Whether the device has been looked for, so that asking for it takes no time."""
        return self._setup is not None

    def prepare(self) -> None:
        """Look for the device and measure it; may import torch (2 s), so call it from a job.

        Raises
        ------
        ModelError
            If the requested device is not there.
        """
        self._device_setup()

    @property
    def device(self) -> str:
        """The device models are loaded on; calls `prepare`."""
        return self._device_setup().device

    @property
    def meter(self) -> Meter:
        """What measures the device's memory; calls `prepare`."""
        return self._device_setup().meter

    @property
    def budget_mib(self) -> float:
        """What models may take together; setting it unloads idle models until they fit."""
        if self._budget_mib is not None:
            return self._budget_mib
        return BUDGET_SHARE * self._device_setup().free_mib

    @budget_mib.setter
    def budget_mib(self, mib: float) -> None:
        if not (mib > 0 and math.isfinite(mib)):
            raise ModelError(f"The budget must be a positive number of MiB, not {mib}.")
        with self._room:
            self._budget_mib = mib
            evicted = self._evict_for(0.0)
            self._room.notify_all()
        self._forget(evicted)
        self.changed.emit()

    @property
    def used_mib(self) -> float:
        """Weights in memory and what leases have set aside."""
        with self._room:
            return self._used()

    def loaded(self) -> list[LoadedModel]:
        """The models in memory, least recently used first; never waits for a model's work."""
        with self._room:
            return [
                LoadedModel(*r.key, r.mib, bool(r.leases), r.last_used)
                for r in self._residents.values()
            ]

    def footprint(self, card: ModelCard) -> Footprint:
        """What the model takes on this device, measured if it was used before."""
        return self._book.get(card, self._dtype, self.device)

    # ------------------------------------------------------------------ using models

    @contextlib.contextmanager
    def lease(self, card: ModelCard, task: Task, weights: Path | None = None) -> Iterator[Any]:
        """Borrow a model: load it if need be, wait for room if need be.

        Keep no reference to the model after the block, and lease no other within it.

        Parameters
        ----------
        card : ModelCard
            Which model.
        task : Task
            Told while waiting or loading; cancelling it ends the wait.
        weights : Path, optional
            The user's own weights file; a model with other weights is another model.

        Raises
        ------
        OutOfMemoryError
            If the model alone is larger than the budget, or the device runs out of memory.
        ModelError
            If this thread holds a lease already.
        WeightsError
            If the weights cannot be loaded.
        Cancelled
            If the task is cancelled before the model was there.
        """
        with self._oom_explained(card, weights), self._hold(card, task, weights) as model:
            yield model

    def run(
        self,
        card: ModelCard,
        task: Task,
        fn: Callable[[Any, _B], Iterable[_R]],
        batch: _B,
        weights: Path | None = None,
    ) -> list[_R]:
        """Put a batch through a model, and try again in halves if the memory runs out.

        Before the second try all other idle models are unloaded and caches emptied.

        Parameters
        ----------
        card, task, weights
            As for `lease`.
        fn : callable
            ``fn(model, part)`` gives one result for each item of `part`, in order. It may be
            called again for the same items.
        batch : list, tuple or array
            Items along the first axis.

        Raises
        ------
        OutOfMemoryError
            If halves do not fit either.
        """
        try:
            with self._hold(card, task, weights) as model:
                return list(fn(model, batch))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler: the traceback would keep the tensors of the failed try alive.
        self._free_all_but(_key(card, weights))
        task.step(0, 0, f"Memory is short: {card.title} goes on with half the batch")
        half = (len(batch) + 1) // 2
        results: list[_R] = []
        for part in (batch[:half], batch[half:]):
            if len(part):
                with self.lease(card, task, weights) as model:
                    results.extend(fn(model, part))
        return results

    def load(self, card: ModelCard, task: Task | None = None, weights: Path | None = None) -> None:
        """Get a model into memory ahead of its use; errors as for `lease`."""
        with self._oom_explained(card, weights), self._hold(card, task or Task(), weights, False):
            pass

    def unload(self, card_id: str) -> None:
        """Drop a model from memory, whichever weights it was loaded with.

        Raises
        ------
        ModelError
            If it is in use.
        """
        with self._room:
            found = [r for r in self._residents.values() if r.key[0] == card_id]
            if any(r.leases for r in found):
                raise ModelError(f"{card_id} is in use: cancel the job that uses it, or wait.")
            for resident in found:
                del self._residents[resident.key]
            self._room.notify_all()
        self._forget(found)

    # ------------------------------------------------------------------ leases

    @contextlib.contextmanager
    def _hold(
        self, card: ModelCard, task: Task, weights: Path | None, measure: bool = True
    ) -> Iterator[Any]:
        """`lease`, with out-of-memory errors as the libraries raise them."""
        me = threading.get_ident()
        if me in self._holders:
            raise ModelError(
                f"{card.id} was asked for inside the lease of {self._holders[me]}: leases never "
                "nest. End the first one before the next."
            )
        self._holders[me] = card.id
        try:
            lease = self._acquire(card, task, weights)
            try:
                with self._measured_use(card) if measure else contextlib.nullcontext():
                    yield lease.resident.model
            finally:
                self._release(lease)
        finally:
            del self._holders[me]

    def _acquire(self, card: ModelCard, task: Task, weights: Path | None) -> _Lease:
        """A lease on a model that is in memory."""
        self._device_setup()
        while True:
            lease = self._wait_for_room(card, task, _key(card, weights))
            filled = not lease.must_load
            try:
                filled = filled or self._fill(lease, card, task, weights)
            finally:
                if not filled:
                    self._release(lease)
            if filled:
                return lease

    def _wait_for_room(self, card: ModelCard, task: Task, key: _Key) -> _Lease:
        """Wait in the queue until there is room, and set it aside."""
        ticket = object()
        with self._room:
            self._queue.append(ticket)
        try:
            while True:
                lease, evicted = self._await_turn(ticket, card, key)
                self._forget(evicted)
                if lease is not None:
                    return lease
                task.step(0, 0, f"Waiting for memory to use {card.title}")
        finally:
            with self._room:
                self._queue.remove(ticket)
                self._room.notify_all()

    def _await_turn(
        self, ticket: object, card: ModelCard, key: _Key
    ) -> tuple[_Lease | None, list[_Resident]]:
        """A lease if it is this ticket's turn and there is room; else sleep a little."""
        with self._room:
            if self._queue[0] is ticket:
                lease, evicted = self._try_lease(card, key)
                if lease is not None or evicted:
                    return lease, evicted
            self._room.wait(PATIENCE)
            return None, []

    def _try_lease(self, card: ModelCard, key: _Key) -> tuple[_Lease | None, list[_Resident]]:
        footprint = self._reservation(card)
        resident = self._residents.get(key)
        if resident is not None and not resident.ready:
            return None, []  # another thread is loading it
        new = resident is None
        needed = footprint.peak_mib + (footprint.weights_mib if new else 0.0)
        evicted = self._evict_for(needed, keep=key)
        if not self._fits(needed):
            return None, evicted
        resident = resident or _Resident(key, footprint.weights_mib)
        self._residents.pop(key, None)
        self._residents[key] = resident
        lease = _Lease(resident, footprint.peak_mib, must_load=new)
        resident.leases.append(lease)
        return lease, evicted

    def _release(self, lease: _Lease) -> None:
        resident = lease.resident
        with self._room:
            resident.leases.remove(lease)
            resident.last_used = time.time()
            if not resident.ready:
                del self._residents[resident.key]
            self._room.notify_all()

    # ------------------------------------------------------------------ loading and measuring

    def _fill(self, lease: _Lease, card: ModelCard, task: Task, weights: Path | None) -> bool:
        """Load the model of a resident that has room set aside for it.

        False if it turned out larger than what was set aside and others have the rest: it is
        dropped, and waits for room again with its true size known.
        """
        task.step(0, 0, f"Loading {card.title}")
        with self._at_work():
            before = self.meter.used_mib()
            model = self._load_or_retry(card, weights)
            mib = tensor_mib(model)
            if not mib and card.weights is not None:
                mib = self._believable(card, self.meter.used_mib() - before)
        self._book.record_weights(card, self._dtype, self.device, mib)
        with self._room:
            resident = lease.resident
            resident.weights_mib = mib
            lease.peak_mib = self._reservation(card).peak_mib
            evicted = self._evict_for(0.0, keep=resident.key)
            if fits := self._fits(0.0):
                resident.model, resident.ready = model, True
                self._room.notify_all()
        self._forget(evicted)
        self.changed.emit()
        return fits

    def _load_or_retry(self, card: ModelCard, weights: Path | None) -> Any:
        try:
            return self._load(card, weights, self.device)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        self._free_all_but(_key(card, weights))
        return self._load(card, weights, self.device)

    @contextlib.contextmanager
    def _measured_use(self, card: ModelCard) -> Iterator[None]:
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
        with self._room:
            self._busy += 1
            self._begun += 1
            work = _Work(self._begun, alone=self._busy == 1)
        try:
            yield work
        finally:
            with self._room:
                self._busy -= 1
                work.alone = work.alone and self._begun == work.number

    def _believable(self, card: ModelCard, mib: float) -> float:
        limit = math.inf if self.meter.exact else BELIEVABLE * card.memory_mib
        return min(max(mib, 0.0), limit)

    # ------------------------------------------------------------------ room

    def _used(self) -> float:
        return math.fsum(r.mib for r in self._residents.values())

    def _fits(self, needed: float) -> bool:
        return self._used() + needed <= self.budget_mib + ROUNDING

    def _evict_for(self, needed: float, keep: _Key | None = None) -> list[_Resident]:
        """Take idle models out until `needed` fits or none is left; the caller forgets them."""
        evicted: list[_Resident] = []
        for resident in list(self._residents.values()):
            if self._fits(needed):
                break
            if not resident.leases and resident.key != keep:
                evicted.append(self._residents.pop(resident.key))
        return evicted

    def _forget(self, evicted: list[_Resident]) -> None:
        """Free what was taken out; without the lock, as a GPU may have to finish its work first."""
        if not evicted:
            return
        for resident in evicted:
            resident.model = None
        self.meter.empty_cache()
        self.changed.emit()

    def _free_all_but(self, key: _Key) -> None:
        """Unload every other idle model and empty the caches."""
        with self._room:
            evicted = self._evict_for(math.inf, keep=key)
        self._forget(evicted)
        gc.collect()
        self.meter.empty_cache()

    def _reservation(self, card: ModelCard) -> Footprint:
        """What to set aside for the model.

        A peak above the card's own figure comes from a large batch: it is no reason to refuse the
        model under a small budget, where the batch is halved, but to let it work alone.
        """
        measured, guess = self.footprint(card), first_guess(card)
        least = measured.weights_mib + min(measured.peak_mib, guess.peak_mib)
        if least > self.budget_mib + ROUNDING:
            raise OutOfMemoryError(
                f"{card.title} needs {least:.0f} MiB on {self.device} "
                f"({measured.weights_mib:.0f} of them for its weights), more than the budget of "
                f"{self.budget_mib:.0f} MiB. Choose a smaller model, or raise the budget if the "
                "device has room."
            )
        alone = self.budget_mib - measured.weights_mib
        return Footprint(measured.weights_mib, min(measured.peak_mib, alone))

    @contextlib.contextmanager
    def _oom_explained(self, card: ModelCard, weights: Path | None) -> Iterator[None]:
        """Turn a library's out-of-memory error into ours, with the caches emptied."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._free_all_but(_key(card, weights))
            raise self._exhausted(card, str(error)) from error

    def _exhausted(self, card: ModelCard, reason: str) -> OutOfMemoryError:
        return OutOfMemoryError(
            f"{card.title} ran out of memory on {self.device}: {self.meter.free_mib():.0f} MiB "
            f"are free, models have {self.used_mib:.0f} of their {self.budget_mib:.0f} MiB. Close "
            f"other programs, or choose a smaller model, region or batch. ({reason.strip()[:200]})"
        )

    def _device_setup(self) -> _Setup:
        if self._setup is None:
            with self._setup_lock:
                if self._setup is None:
                    device = choose_device(self.requested_device)
                    meter = self._given_meter or meter_for(device)
                    self._setup = _Setup(device, meter, meter.free_mib())
        return self._setup


def _key(card: ModelCard, weights: Path | None) -> _Key:
    return card.id, "" if weights is None else str(weights.absolute())
