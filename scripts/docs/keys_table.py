"""The keys of the plugin, as the code binds them."""

from __future__ import annotations

from collections.abc import Iterator

_NAMES = {"Control": "Ctrl"}


def rows() -> Iterator[tuple[str, str, str]]:
    """Every key: where it works, the key, what it does.

    The one place that knows where the code keeps its keys.
    """
    from histoprompt._qt.keys import KEYS, MARK_KEYS, REVIEW_KEYS, TOGGLE

    for key, (_, does) in KEYS.items():
        yield "any layer of the plugin", key, does
    yield "clicks, scribbles", TOGGLE, "Switch between inside and outside"
    for key, does in REVIEW_KEYS.items():
        yield "`counted_cells`", key.upper(), does
    for key, (_, does) in MARK_KEYS.items():
        yield "`tile_marks`", key, does


def table() -> str:
    """The keys as a table."""
    lines = [f"| {_shown(key)} | {where} | {does} |" for where, key, does in rows()]
    return "\n".join(["| key | on | does |", "| --- | --- | --- |", *lines])


def _shown(key: str) -> str:
    parts = [_NAMES.get(part, part) for part in key.split("-")]
    return "+".join(f"<kbd>{part}</kbd>" for part in parts)
