"""Classes that say what must not count: drawn or labelled, never learnt and never counted.

QuPath ignores classes whose name ends with a star, such as ``Ignore*``; so do we, and any spelling
of that word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

IGNORE: Final = "Ignore*"
K = TypeVar("K")


def is_ignored(name: str) -> bool:
    """Whether a class is one of those that do not count."""
    plain = name.strip()
    return plain.endswith("*") or plain.lower() in ("ignore", "ignored")


def without_ignored(labels: Mapping[K, str]) -> dict[K, str]:
    """Labels without those of ignored classes."""
    return {key: name for key, name in labels.items() if not is_ignored(name)}


def counting(names: Iterable[str]) -> tuple[str, ...]:
    """The names of those classes that count."""
    return tuple(name for name in names if not is_ignored(name))
