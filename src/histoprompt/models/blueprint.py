"""What a weights file has to hold for a model: the tensors of a network, under names it can read.

Imports no torch by itself; whoever makes a blueprint has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histoprompt.models import key_maps

if TYPE_CHECKING:
    from torch import Tensor

Rename = Callable[["dict[str, Tensor]"], "dict[str, Tensor]"]

# Where a training run keeps the tensors of its network.
WRAPPERS = ("model_state", "state_dict", "model")


@dataclass(frozen=True, slots=True, eq=False)
class Blueprint:
    """A network without values, and how its files are read.

    Attributes
    ----------
    net : torch.nn.Module
        May be on the meta device.
    rename : callable
        Gives the tensors of a file the names of the network; names it knows already stay.
    under : sequence of str
        Where the tensors may stand in a file, the first that is there counts; else they are the
        file.
    """

    net: Any
    rename: Rename = key_maps.to_segment_anything
    under: Sequence[str] = WRAPPERS

    @property
    def values(self) -> int:
        """How many values a file holds, those that are no parameters included."""
        return count(self.net.state_dict())

    def misfit(self, state: Mapping[str, Tensor]) -> str:
        """What is wrong with tensors that have the network's names; empty if they fit.

        Parameters
        ----------
        state : mapping of str to torch.Tensor
            As `rename` gives it; on the meta device is enough.

        Returns
        -------
        str
            How much they are and should be, and the first names and shapes that differ.
        """
        expected = self.net.state_dict()
        wanted, given = _shapes(expected), _shapes(state)
        missing = [key for key in wanted if key not in given]
        unknown = [key for key in given if key not in wanted]
        shapes = [
            f"{key} is {given[key]} instead of {wanted[key]}"
            for key in wanted
            if key in given and given[key] != wanted[key]
        ]
        faults = [
            _some("tensors are missing", missing, len(wanted)),
            _some("do not belong to it", unknown, len(given)),
            _some("have another shape", shapes, len(wanted)),
        ]
        found = "; ".join(fault for fault in faults if fault)
        return found and f"it holds {_sum(state)}, needed are {_sum(expected)}: {found}"


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def count(state: Mapping[str, Tensor]) -> int:
    """How many values tensors hold together."""
    return sum(value.numel() for value in state.values())


def _sum(state: Mapping[str, Tensor]) -> str:
    return f"{len(state)} tensors of {count(state) / 1e6:,.1f} million values"


def _some(what: str, items: list[str], total: int) -> str:
    """How many, with the first as an example."""
    return f"{len(items)} of {total} {what} ({items[0]})" if items else ""
