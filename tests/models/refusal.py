"""What every test of a refused download looks at."""

from __future__ import annotations

import pytest

from histoprompt.core.errors import WeightsError
from histoprompt.models.card import ModelCard
from histoprompt.models.weights import expected_path
from histoprompt.models.weights.install import install


def refused(card: ModelCard, *words: str) -> str:
    """The one line that installing the card is refused with; it has the words, and no file lies."""
    with pytest.raises(WeightsError) as caught:
        install(card)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert card.weights is not None
    assert not expected_path(card.weights).exists()
    return message
