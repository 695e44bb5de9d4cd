"""The encoder of bands is a known model in these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from histoprompt.models import registry


@pytest.fixture(autouse=True)
def bands_are_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_ZOO", (*registry._ZOO, ("bands", "CARD")))
    registry._known_cards.cache_clear()
    yield
    registry._known_cards.cache_clear()
