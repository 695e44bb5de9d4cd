"""Where results come from."""

from __future__ import annotations

from datetime import datetime, timedelta

from histoprompt import __version__
from histoprompt.core.provenance import ModelUse, Provenance


def test_what_is_not_known_is_left_out():
    assert Provenance().facts == {"program": "histoprompt", "version": __version__}


def test_all_that_decides_a_result_is_stated():
    used = ModelUse("net", "sha256:ab"), ModelUse("rule")
    made = Provenance("key", used, {"tile": 512}).dated()
    facts = made.facts
    when = datetime.fromisoformat(facts.pop("time"))
    assert when.utcoffset() == timedelta(0)
    assert facts == {
        "program": "histoprompt",
        "version": __version__,
        "slide": "key",
        "models": {"net": "sha256:ab", "rule": None},
        "tile": 512,
    }


def test_a_model_without_weights_answers_as_the_program_does():
    assert ModelUse("net", "sha256:ab").fixed == "sha256:ab"
    assert ModelUse("rule").fixed == f"version:{__version__}"
