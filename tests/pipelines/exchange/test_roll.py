"""The objects of a file: id, class and place of each."""

from __future__ import annotations

import random

import pytest

from histoprompt.pipelines.exchange import roll
from histoprompt.pipelines.exchange.roll import Roll


@pytest.mark.parametrize("recent", [3, 1 << 14])
def test_every_object_is_found_again(monkeypatch, recent):
    monkeypatch.setattr(roll, "_RECENT", recent)
    chance, made = random.Random(0), Roll()
    plain = {}
    for n, label in enumerate(chance.sample(range(1, 2**32), 40)):
        plain[label] = (chance.choice("abc"), f"feature {n}, é")
        made.add(label, *plain[label], own=n % 2 == 0)
        assert label in made
    assert len(made) == 40
    assert 2**32 - 1 in plain or 2**32 - 1 not in made
    assert {i: (made.names()[i], made.where(i)) for i in plain} == plain
    assert made.given().tolist() == sorted(i for n, i in enumerate(plain) if n % 2)
    gone = next(iter(plain))
    made.hide(gone)
    assert gone not in made.names()
    assert len(made.names()) == 39
