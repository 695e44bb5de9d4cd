"""Phrases of concepts as a model knows them."""

from __future__ import annotations

from collections.abc import Sequence

from histoprompt.core.errors import PromptError
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.text.phrases import understood_all


def known_phrases(
    phrases: Sequence[str], encoder: str, manager: ModelManager, task: Task
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Phrases as a model knows them, and what a person should know of it, a sentence each.

    Those that the model does not know are left out, unless none is known.

    Raises
    ------
    PromptError
        If phrases are given and none is known.
    """
    card = registry.card(encoder)
    found: dict[str, None] = {}
    notes: list[str] = []
    why = ""
    for phrase in phrases:
        try:
            (text,), told = understood_all((phrase,), card, manager, task)
        except PromptError as error:
            why = why or error.fact
            if len(phrases) > 1:
                notes.append(f"{phrase!r} is left out: {error.fact}")
            continue
        notes += [one.told for one in told]
        found[text] = None
    if phrases and not found:
        raise PromptError(f"No phrase is known, of {len(phrases)}. {why}")
    return tuple(found), tuple(notes)
