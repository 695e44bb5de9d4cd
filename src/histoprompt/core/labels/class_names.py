"""Names of classes that are spelt differently and mean the same."""

from __future__ import annotations

import re
from collections.abc import Iterable

# British and American spellings, and the endings of plurals, brought to one form.
_SAME = (
    (r"[\s_\-./]+", " "),
    (r"our\b", "or"),
    (r"our(?=[a-z])", "or"),
    (r"ae|oe", "e"),
    (r"is(?=e\b|ed\b|ing\b)", "iz"),
    (r"ies\b", "y"),
    (r"(?<=[sxz])es\b|(?<=[cs]h)es\b", ""),
    (r"(?<=[a-rt-z])s\b", ""),
    (r"([a-z])\1", r"\1"),
)
# Shorter words differ by a letter and mean something else.
_LONG = 7


def near_double(name: str, known: Iterable[str]) -> str | None:
    """A known class that this name is likely meant to be: "tumor" for "tumour", "Cells" for "cell".

    Parameters
    ----------
    name : str
    known : iterable of str
        Classes there are.

    Returns
    -------
    str or None
        None if the name is one of them, or like none of them.
    """
    known = list(known)
    if not name or name in known:
        return None
    form = _form(name)
    return next((k for k in known if _form(k) == form or _slip(_form(k), form)), None)


def _form(name: str) -> str:
    text = name.strip().casefold()
    for pattern, new in _SAME:
        text = re.sub(pattern, new, text)
    return text.strip()


def _slip(a: str, b: str) -> bool:
    """Whether long words differ by one letter put in, left out, changed or swapped."""
    if min(len(a), len(b)) < _LONG or re.sub(r"\D", "", a) != re.sub(r"\D", "", b):
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    left, right = a[start:], b[start:]
    swapped = left[:2] == right[:2][::-1] and left[2:] == right[2:]
    return swapped or left[1:] == right[1:] or left[1:] == right or left == right[1:]
