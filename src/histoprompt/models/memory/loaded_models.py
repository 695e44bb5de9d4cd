"""Which models are in memory, what they take, and which of them make room for another.

Bookkeeping alone: nothing is loaded or freed here, and who shares it between threads locks it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histoprompt.core.errors import ModelError, OutOfMemoryError
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.footprints import Footprint, first_guess

# Sums of MiB are compared with this much slack.
ROUNDING = 1e-6

Key = tuple[str, str]


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
class PooledModel:
    """A model in memory, or on its way there.

    Attributes
    ----------
    key : tuple of str
        See `key_of`.
    weights_mib : float
        Taken by the weights; the promised figure until they are loaded.
    model : Any
        None until it is loaded.
    ready : bool
        Whether the model may be used.
    leases : list of Lease
        Who uses or loads it now.
    last_used : float
        `time.time()` of the last use.
    """

    key: Key
    weights_mib: float
    model: Any = None
    ready: bool = False
    leases: list[Lease] = field(default_factory=list)
    last_used: float = field(default_factory=time.time)

    @property
    def mib(self) -> float:
        """Weights, and what leases have set aside."""
        return self.weights_mib + math.fsum(lease.peak_mib for lease in self.leases)


@dataclass(eq=False)
class Lease:
    """A share of a resident, and the memory set aside for using it.

    Attributes
    ----------
    resident : PooledModel
    peak_mib : float
        Set aside on top of the weights.
    must_load : bool
        Whether the holder is the one who loads the model.
    """

    resident: PooledModel
    peak_mib: float
    must_load: bool


class ModelPool:
    """The models in memory, least recently used first.

    Models that a method takes out are returned: their models are for the caller to free.
    """

    def __init__(self) -> None:
        self._by_key: dict[Key, PooledModel] = {}

    def shown(self) -> list[LoadedModel]:
        """The residents as they are now, for showing."""
        return [LoadedModel(*r.key, r.mib, bool(r.leases), r.last_used) for r in self]

    def __iter__(self) -> Iterator[PooledModel]:
        return iter(self._by_key.values())

    @property
    def used_mib(self) -> float:
        """Weights in memory and what leases have set aside."""
        return math.fsum(r.mib for r in self)

    def fits(self, needed_mib: float, budget_mib: float) -> bool:
        """Whether there is room for so much more."""
        return self.used_mib + needed_mib <= budget_mib + ROUNDING

    def evict_for(
        self, needed_mib: float, budget_mib: float, keep: Key | None = None
    ) -> list[PooledModel]:
        """Take idle models out until there is room for `needed_mib`, or none is left."""
        evicted: list[PooledModel] = []
        for resident in list(self):
            if self.fits(needed_mib, budget_mib):
                break
            if not resident.leases and resident.key != keep:
                evicted.append(self._by_key.pop(resident.key))
        return evicted

    def lend(
        self, key: Key, need: Footprint, budget_mib: float
    ) -> tuple[Lease | None, list[PooledModel]]:
        """Set room aside for using a model, and for its weights if it is not in memory yet.

        Returns
        -------
        lease : Lease or None
            None if there is no room now, or the model is still being loaded for someone else.
        evicted : list of PooledModel
        """
        resident = self._by_key.get(key)
        if resident is not None and not resident.ready:
            return None, []
        new = resident is None
        needed = need.peak_mib + (need.weights_mib if new else 0.0)
        evicted = self.evict_for(needed, budget_mib, keep=key)
        if not self.fits(needed, budget_mib):
            return None, evicted
        resident = resident or PooledModel(key, need.weights_mib)
        self._by_key.pop(key, None)
        self._by_key[key] = resident
        lease = Lease(resident, need.peak_mib, must_load=new)
        resident.leases.append(lease)
        return lease, evicted

    def settle(
        self, lease: Lease, model: Any, found: Footprint, budget_mib: float
    ) -> tuple[bool, list[PooledModel]]:
        """Put a model that was just loaded in its place, if it fits with its true size.

        Returns
        -------
        fits : bool
            False leaves the resident without its model: give the lease back.
        evicted : list of PooledModel
        """
        resident = lease.resident
        resident.weights_mib, lease.peak_mib = found.weights_mib, found.peak_mib
        evicted = self.evict_for(0.0, budget_mib, keep=resident.key)
        if fits := self.fits(0.0, budget_mib):
            resident.model, resident.ready = model, True
        return fits, evicted

    def give_back(self, lease: Lease) -> None:
        """End a lease; a resident whose model was never put in place goes with it."""
        resident = lease.resident
        resident.leases.remove(lease)
        resident.last_used = time.time()
        if not resident.ready:
            del self._by_key[resident.key]

    def take_out(self, card_id: str) -> list[PooledModel]:
        """Take a model out, whichever weights it was loaded with.

        Raises
        ------
        ModelError
            If it is in use.
        """
        found = [r for r in self if r.key[0] == card_id]
        if any(r.leases for r in found):
            raise ModelError(f"{card_id} is in use: cancel the job that uses it, or wait.")
        for resident in found:
            del self._by_key[resident.key]
        return found


def key_of(card: ModelCard, weights: Path | None) -> Key:
    """The card's id, and the user's own weights file or nothing: other weights, another model."""
    return card.id, "" if weights is None else str(weights.absolute())


def to_set_aside(card: ModelCard, known: Footprint, budget_mib: float, device: str) -> Footprint:
    """What to set aside for a model of which `known` was measured.

    A peak above the card's own figure comes from a large batch: it is no reason to refuse the
    model under a small budget, where the batch is halved, but to let it work alone.

    Raises
    ------
    OutOfMemoryError
        If the model alone is larger than the budget.
    """
    least = known.weights_mib + min(known.peak_mib, first_guess(card).peak_mib)
    if least > budget_mib + ROUNDING:
        raise OutOfMemoryError(
            f"{card.title} needs {least:.0f} MiB on {device} ({known.weights_mib:.0f} of them for "
            f"its weights), more than the budget of {budget_mib:.0f} MiB. Choose a smaller model, "
            "or raise the budget if the device has room."
        )
    return Footprint(known.weights_mib, min(known.peak_mib, budget_mib - known.weights_mib))
