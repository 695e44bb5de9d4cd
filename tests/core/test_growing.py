"""Rows that grow, and names as numbers."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.core.labels.growing import GrowingRows
from histoprompt.core.labels.names_of import NamesOf


def test_rows_are_kept_in_order_however_many_come():
    made, plain = GrowingRows([("a", "<u4"), ("b", "?")]), []
    for size in (0, 1, 1023, 1, 5000, 3):
        rows = np.zeros(size, made.rows.dtype)
        rows["a"], rows["b"] = np.arange(size) + len(plain), np.arange(size) % 2 == 1
        made.add(rows)
        plain += rows.tolist()
    assert len(made) == len(plain) == 6028
    assert made.rows.tolist() == plain


def test_names_are_those_of_a_dictionary():
    plain = {7: "b", 2: "a", 4_000_000_000: "b", 5: ""}
    names = NamesOf.of(plain)
    assert NamesOf.of(names) is names
    assert (dict(names), len(names), list(names)) == (plain, 4, sorted(plain))
    assert list(names.items()) == sorted(plain.items())
    assert list(names.values()) == [plain[i] for i in sorted(plain)]
    assert names.get(3, "none") == "none"
    with pytest.raises(KeyError):
        names[6]
    codes, texts = names.coded(np.array([5, 3, 2], np.uint32))
    assert [texts[c] if c >= 0 else None for c in codes.tolist()] == ["", None, "a"]
