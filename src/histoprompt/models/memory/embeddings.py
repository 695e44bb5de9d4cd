"""Embeddings in memory: each made once, the least recently used dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from histoprompt.core.geometry import Box
from histoprompt.models.devices import MIB
from histoprompt.models.roles import Embedding

DEFAULT_BYTES = 1024 * MIB


@dataclass(frozen=True, slots=True)
class EmbeddingKey:
    """What an embedding was made from.

    Attributes
    ----------
    slide : str
        The slide's `key`.
    model : str
        The card's id and whose weights.
    box : Box
        The region, level-0 pixels.
    shape : (rows, cols)
        Of the image the region was read into.
    """

    slide: str
    model: str
    box: Box
    shape: tuple[int, int]


class EmbeddingCache:
    """A bounded cache shared by all threads.

    Parameters
    ----------
    max_bytes : int
        Sum of `Embedding.n_bytes` to keep; the least recently used go first.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[EmbeddingKey, Embedding] = OrderedDict()
        self._n_bytes = 0
        self._in_work: set[EmbeddingKey] = set()
        self._changed = threading.Condition()

    @property
    def n_bytes(self) -> int:
        """Taken now."""
        return self._n_bytes

    @property
    def max_bytes(self) -> int:
        """The bound; lowering it drops embeddings at once."""
        return self._max_bytes

    @max_bytes.setter
    def max_bytes(self, max_bytes: int) -> None:
        with self._changed:
            self._max_bytes = max_bytes
            self._trim()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: EmbeddingKey) -> bool:
        return key in self._kept

    def get_or_compute(self, key: EmbeddingKey, compute: Callable[[], Embedding]) -> Embedding:
        """The embedding of a key; threads that ask for the same one make it once.

        If making it fails or is cancelled in one thread, another that waits makes it itself.
        Always call this inside a lease or never: a thread that waits here while it holds a lease
        would wait for ever on one that waits for a lease in order to compute.

        Parameters
        ----------
        key : EmbeddingKey
        compute : callable
            Makes the embedding; its errors pass through. It must not ask for the same key.
        """
        with self._changed:
            while key in self._in_work:
                self._changed.wait()
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            self._in_work.add(key)
        try:
            embedding = compute()
            with self._changed:
                self._keep(key, embedding)
        finally:
            with self._changed:
                self._in_work.remove(key)
                self._changed.notify_all()
        return embedding

    def clear(self) -> None:
        """Drop all."""
        with self._changed:
            self._kept.clear()
            self._n_bytes = 0

    def _keep(self, key: EmbeddingKey, embedding: Embedding) -> None:
        self._kept[key] = embedding
        self._n_bytes += embedding.n_bytes
        self._trim()

    def _trim(self) -> None:
        while self._n_bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._n_bytes -= dropped.n_bytes
