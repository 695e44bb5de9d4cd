"""Small words of messages, said the same way everywhere."""

from __future__ import annotations


def capital(text: str) -> str:
    """A text with a capital first letter; the others stay as they are."""
    return text[:1].upper() + text[1:]


def many(count: int, what: str) -> str:
    """A number of things, as people write it: 1 tile, 1,200 tiles."""
    return f"{count:,} {what}{'s' if count != 1 else ''}"
