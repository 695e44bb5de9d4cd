"""The terms of a model, shown before its weights are fetched and accepted once."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from histoprompt.core import settings
from histoprompt.core.errors import LicenceError
from histoprompt.core.files.records import change_record, read_record
from histoprompt.models.card import ModelCard


def page(card: ModelCard) -> str:
    """What the user reads before installing a model; several lines, the first one a title."""
    lines = [
        f"{card.title} ({card.id})",
        f"Licence: {card.licence or 'not stated'}",
        f"Text of the licence: {card.licence_url}" if card.licence_url else "",
        f"Terms: {card.terms.text}" if card.terms else "",
        f"Text of the terms: {card.terms.url}" if card.terms else "",
        f"Source: {card.citation}" if card.citation else "",
    ]
    gated = sorted({spec.hub.page for spec in card.files if spec.hub and spec.hub.gated})
    lines += [f"Access has to be asked for at {address}" for address in gated]
    return "\n".join(line for line in lines if line)


def is_accepted(card: ModelCard) -> bool:
    """Whether the user may go on: nothing to accept, or accepted in this very wording.

    Raises
    ------
    RecordError
        If the table of what was accepted is damaged.
    """
    if card.terms is None:
        return True
    entry = read_record(_table()).get(card.id)
    return isinstance(entry, dict) and entry.get("sha256") == _fingerprint(card)


def accept(card: ModelCard) -> None:
    """Record that the user accepted the terms, with the day and the wording's hash.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    if card.terms is not None and not is_accepted(card):
        entry = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "licence": card.licence,
            "url": card.terms.url,
            "sha256": _fingerprint(card),
            "text": page(card),
        }
        change_record(_table(), card.id, entry)


def require(card: ModelCard) -> None:
    """Stop where the terms have not been accepted.

    Raises
    ------
    LicenceError
        If they have not.
    """
    if not is_accepted(card):
        assert card.terms is not None
        raise LicenceError(
            f"The terms of {card.title} have to be accepted first: {card.terms.text} "
            f"({card.terms.url}).",
            about=card.id,
        )


def _fingerprint(card: ModelCard) -> str:
    return hashlib.sha256(page(card).encode()).hexdigest()


def _table() -> Path:
    return settings.home() / "licences.json"
