"""What the cells of a table of patients say: missing, a number, a date, a level among others."""

from __future__ import annotations

import re
from collections.abc import Iterable

from histoprompt.core.strings.typed_numbers import parse_number

# More different words than this are names or sentences, not groups of patients.
MOST_LEVELS = 12

_MISSING = frozenset(
    ("", "na", "n/a", "n.a.", "nan", "nd", "n.d.", "null", "missing", "unknown", "not_available",
     "#n/a", "?", "-", "--", ".", "<na>", "inf", "-inf", "tbd")
)  # fmt: skip
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})( .*)?"
    r"|\d{1,2}[- ]?[A-Za-z]{3,9}[- ,]*\d{2,4}|[A-Za-z]{3,9} \d{1,2},? \d{4}"
)
# From low to high; words of one list are an order.
_ORDERS = (
    ("none", "focal", "multifocal", "diffuse", "extensive"),
    ("none", "minimal", "mild", "moderate", "severe"),
    ("absent", "minimal", "slight", "mild", "moderate", "marked", "severe"),
    ("very low", "low", "intermediate", "medium", "moderate", "high", "very high"),
    ("negative", "weak", "moderate", "strong"),
    ("well", "moderate", "poor"),
    ("small", "medium", "large"),
    ("never", "former", "current"),
    ("1st", "2nd", "3rd", "4th"),
)
_NO = frozenset(
    ("no", "n", "false", "f", "negative", "neg", "absent", "none", "alive", "living", "censored",
     "0", "wt", "wild-type", "wildtype", "wild_type", "control", "normal", "benign",
     "nonresponder", "non-responder", "low", "stable", "without")
)  # fmt: skip
_ROMAN = {"0": 0, "i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5}
_STAGE = re.compile(
    r"(?P<head>stage|grade|score|gleason|g|pt|pn|ct|t|n|m|figo|isup|type)?[ _-]*"
    r"(?P<level>\d+(?:\.\d+)?|i{1,3}|iv|v)\s*(?P<tail>[+abc]?)",
    re.IGNORECASE,
)


def missing(cell: str) -> bool:
    """Whether a cell says that nothing is known."""
    return not cell.strip() or cell.strip().casefold() in _MISSING


def number_or_none(cell: str) -> float | None:
    """The number in a cell; None if it is none."""
    try:
        return parse_number(cell)
    except ValueError:
        return None


def looks_like_date(cell: str) -> bool:
    """Whether a cell is a date."""
    return _DATE.fullmatch(cell.strip()) is not None


def ordered_levels(words: Iterable[str]) -> tuple[str, ...]:
    """Words from low to high where an order is known; ``no`` before ``yes``; else by alphabet."""
    listed = list(words)
    order = known_order(listed)
    if order is not None:
        return order
    return tuple(sorted(listed, key=lambda w: (w.casefold() not in _NO, w.casefold(), w)))


def known_order(words: Iterable[str]) -> tuple[str, ...] | None:
    """Words in their order where each has a place in one; None where one has none."""
    listed = list(words)
    for order in _ORDERS:
        places = [w.casefold().replace("_", " ") for w in listed]
        if all(p in order for p in places):
            return tuple(sorted(listed, key=lambda w: order.index(w.casefold().replace("_", " "))))
    found = [_stage(w) for w in listed]
    heads = {f[0] for f in found if f is not None}
    if len(heads) == 1 and None not in found:
        keys = dict(zip(listed, found, strict=True))
        return tuple(sorted(listed, key=lambda w: keys[w] or ("", 0.0, "")))
    return None


def _stage(word: str) -> tuple[str, float, str] | None:
    match = _STAGE.fullmatch(word.strip())
    if match is None:
        return None
    level = match["level"].casefold()
    value = float(_ROMAN[level]) if level in _ROMAN else float(level)
    return ((match["head"] or "").casefold(), value, match["tail"].casefold())
