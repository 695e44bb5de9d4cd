"""Lending models to threads, one budget of memory between them.

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
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from psygnal import Signal

from histoprompt.core import settings
from histoprompt.core.errors import ModelError, OutOfMemoryError
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.devices import Meter, is_out_of_memory
from histoprompt.models.loading import Loader, load_from_registry
from histoprompt.models.memory.device_profiler import DeviceProfiler
from histoprompt.models.memory.footprints import Footprint, FootprintBook
from histoprompt.models.memory.loaded_models import (
    Key,
    Lease,
    LoadedModel,
    ModelPool,
    PooledModel,
    key_of,
    to_set_aside,
)

__all__ = ["LoadedModel", "ModelManager", "load_from_registry"]

BUDGET_SHARE = 0.8
# How long a waiting lease sleeps before it looks whether it was cancelled, seconds.
PATIENCE = 0.1

_R = TypeVar("_R")


class Sliceable(Protocol):
    """A batch: a list, a tuple or an array."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> Self: ...


_B = TypeVar("_B", bound=Sliceable)


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
        book = footprints or FootprintBook(settings.cache_folder() / "footprints.json")
        self._gauge = DeviceProfiler(device, meter, book, dtype)
        self._load = load
        self._budget_mib = budget_mib
        self._room = threading.Condition()
        self._queue: deque[object] = deque()
        self._residents = ModelPool()
        self._holders: dict[int, str] = {}

    # ------------------------------------------------------------------ what there is

    @property
    def requested_device(self) -> str:
        """The device that was asked for, as it was asked for."""
        return self._gauge.requested_device

    @property
    def prepared(self) -> bool:
        """Whether the device has been looked for, so that asking for it takes no time."""
        return self._gauge.prepared

    def prepare(self) -> None:
        """Look for the device and measure it; may import torch (2 s), so call it from a job.

        Raises
        ------
        ModelError
            If the requested device is not there.
        """
        self._gauge.prepare()

    @property
    def device(self) -> str:
        """The device models are loaded on; calls `prepare`."""
        return self._gauge.device

    @property
    def meter(self) -> Meter:
        """What measures the device's memory; calls `prepare`."""
        return self._gauge.meter

    @property
    def budget_mib(self) -> float:
        """What models may take together; setting it unloads idle models until they fit."""
        if self._budget_mib is not None:
            return self._budget_mib
        return BUDGET_SHARE * self._gauge.free_at_first_mib

    @budget_mib.setter
    def budget_mib(self, mib: float) -> None:
        if not (mib > 0 and math.isfinite(mib)):
            raise ModelError(f"The budget must be a positive number of MiB, not {mib}.")
        with self._room:
            self._budget_mib = mib
            evicted = self._residents.evict_for(0.0, mib)
            self._room.notify_all()
        self._forget(evicted)
        self.changed.emit()

    @property
    def used_mib(self) -> float:
        """Weights in memory and what leases have set aside."""
        with self._room:
            return self._residents.used_mib

    def loaded(self) -> list[LoadedModel]:
        """The models in memory, least recently used first; never waits for a model's work."""
        with self._room:
            return self._residents.shown()

    def footprint(self, card: ModelCard) -> Footprint:
        """What the model takes on this device, measured if it was used before."""
        return self._gauge.footprint(card)

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
        self._free_all_but(key_of(card, weights))
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
            found = self._residents.take_out(card_id)
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
                with self._gauge.measured_use(card) if measure else contextlib.nullcontext():
                    yield lease.resident.model
            finally:
                self._release(lease)
        finally:
            del self._holders[me]

    def _acquire(self, card: ModelCard, task: Task, weights: Path | None) -> Lease:
        """A lease on a model that is in memory."""
        self._gauge.prepare()
        while True:
            lease = self._wait_for_room(card, task, key_of(card, weights))
            filled = not lease.must_load
            try:
                filled = filled or self._fill(lease, card, task, weights)
            finally:
                if not filled:
                    self._release(lease)
            if filled:
                return lease

    def _wait_for_room(self, card: ModelCard, task: Task, key: Key) -> Lease:
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
        self, ticket: object, card: ModelCard, key: Key
    ) -> tuple[Lease | None, list[PooledModel]]:
        """A lease if it is this ticket's turn and there is room; else sleep a little."""
        with self._room:
            if self._queue[0] is ticket:
                need = self._set_aside(card)
                lease, evicted = self._residents.lend(key, need, self.budget_mib)
                if lease is not None or evicted:
                    return lease, evicted
            self._room.wait(PATIENCE)
            return None, []

    def _release(self, lease: Lease) -> None:
        with self._room:
            self._residents.give_back(lease)
            self._room.notify_all()

    def _set_aside(self, card: ModelCard) -> Footprint:
        return to_set_aside(card, self.footprint(card), self.budget_mib, self.device)

    # ------------------------------------------------------------------ loading and freeing

    def _fill(self, lease: Lease, card: ModelCard, task: Task, weights: Path | None) -> bool:
        """Load the model of a resident that has room set aside for it.

        False if it turned out larger than what was set aside and others have the rest: it is
        dropped, and waits for room again with its true size known.
        """
        task.step(0, 0, f"Loading {card.title}")
        model, mib = self._gauge.measured_load(card, lambda: self._load_or_retry(card, weights))
        with self._room:
            found = Footprint(mib, self._set_aside(card).peak_mib)
            fits, evicted = self._residents.settle(lease, model, found, self.budget_mib)
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
        self._free_all_but(key_of(card, weights))
        return self._load(card, weights, self.device)

    def _forget(self, evicted: list[PooledModel]) -> None:
        """Free what was taken out; without the lock, as a GPU may have to finish its work first."""
        if not evicted:
            return
        for resident in evicted:
            resident.model = None
        self.meter.empty_cache()
        self.changed.emit()

    def _free_all_but(self, key: Key) -> None:
        """Unload every other idle model and empty the caches."""
        with self._room:
            evicted = self._residents.evict_for(math.inf, self.budget_mib, keep=key)
        self._forget(evicted)
        gc.collect()
        self.meter.empty_cache()

    @contextlib.contextmanager
    def _oom_explained(self, card: ModelCard, weights: Path | None) -> Iterator[None]:
        """Turn a library's out-of-memory error into ours, with the caches emptied."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._free_all_but(key_of(card, weights))
            raise self._exhausted(card, str(error)) from error

    def _exhausted(self, card: ModelCard, reason: str) -> OutOfMemoryError:
        return OutOfMemoryError(
            f"{card.title} ran out of memory on {self.device}: {self.meter.free_mib():.0f} MiB "
            f"are free, models have {self.used_mib:.0f} of their {self.budget_mib:.0f} MiB. Close "
            f"other programs, or choose a smaller model, region or batch. ({reason.strip()[:200]})"
        )
