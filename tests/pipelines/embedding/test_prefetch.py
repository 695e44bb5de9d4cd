"""Reading ahead: in order, bounded, and gone when the consumer is."""

from __future__ import annotations

import threading
import time

import pytest

from histoprompt.pipelines.embedding.prefetch import prefetch


def alive() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("read-ahead")]


def test_results_come_in_order():
    def slowly(i: int) -> int:
        time.sleep(0.002 * (i % 3))
        return i * i

    assert list(prefetch(range(40), slowly, depth=6)) == [i * i for i in range(40)]
    assert not alive()


def test_no_more_is_begun_than_asked_for():
    begun: list[int] = []
    results = prefetch(range(100), begun.append, depth=5)
    for _ in range(3):
        next(results)
    results.close()
    assert len(begun) <= 3 + 5
    assert not alive()


def test_something_is_read_before_it_is_asked_for():
    second = threading.Event()
    results = prefetch(range(4), lambda i: second.set() if i == 1 else None, depth=3)
    next(results)
    second.wait()
    results.close()


def test_an_error_comes_where_its_item_would():
    def breaks(i: int) -> int:
        if i == 3:
            raise ValueError("tile 3")
        return i

    results = prefetch(range(10), breaks, depth=8)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="tile 3"):
        next(results)
    assert not alive()


def test_nothing_to_read():
    assert list(prefetch([], str, depth=4)) == []
