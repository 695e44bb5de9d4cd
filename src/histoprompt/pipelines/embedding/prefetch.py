"""Reading the next tiles while the network works on these.

Why there are threads here, when the docks' lanes own all others: decoding a tile and a network's
arithmetic both leave the interpreter, so one thread doing both in turn starves the network by the
whole time of reading, and only the pipeline knows what it will read next. The pool lives within
one call: it holds no state, it reads at most `depth` items ahead, an error comes out where its item
would have, and when the consumer stops, by a cancel or an error, nothing more is begun and the
reads in hand are waited for. So no thread is ever left behind, and cancelling stays exact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_A = TypeVar("_A")
_B = TypeVar("_B")

WORKERS = 2


def prefetch(
    items: Iterable[_A], read: Callable[[_A], _B], depth: int, workers: int = WORKERS
) -> Iterator[_B]:
    """Results of `read` in the order of the items, some of them made before they are asked for.

    Parameters
    ----------
    items : iterable
    read : callable
        Called from several threads.
    depth : int
        At most so many results are begun or waiting; at least 1.
    workers : int
        Threads.
    """
    source = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="read-ahead") as pool:
        waiting: deque[Future[_B]] = deque(
            pool.submit(read, item) for item in islice(source, max(1, depth))
        )
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(read, item) for item in islice(source, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
