"""Numbers as people type them: with a point or a comma, and only what can be true."""

from __future__ import annotations

import re

from histoprompt.core.errors import SlideError

# Microns per pixel: finer than any light microscope resolves, coarser than any slide is scanned.
FINEST_UM, COARSEST_UM = 0.05, 10.0

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)


def parse_number(text: str) -> float:
    """The number that a person typed; ``0.25`` and ``0,25`` are the same.

    Raises
    ------
    ValueError
        If it is no number, or one that can be read in two ways, such as ``1,000``; the message
        says what to type.
    """
    typed = text.strip()
    if _THOUSANDS.fullmatch(typed):
        whole, rest = typed.split(",")
        raise ValueError(
            f"{typed} may mean {whole}.{rest} or {whole}{rest}: write it with a point or without "
            "the comma"
        )
    if not _NUMBER.fullmatch(typed):
        raise ValueError(f"{typed!r} is no number: write it like 0.25 or 0,25")
    return float(typed.replace(",", "."))


def check_mpp(mpp: float, name: str = "the slide") -> float:
    """A pixel size that a person stated, if it can be one.

    Raises
    ------
    SlideError
        If it cannot; the message says what is usual.
    """
    if FINEST_UM <= mpp <= COARSEST_UM:
        return mpp
    raise SlideError(
        f"A pixel size of {mpp:g} µm for {name} cannot be right: slides have {FINEST_UM:g} to "
        f"{COARSEST_UM:g} µm per pixel (0.25 at 40x, 0.5 at 20x, 1 at 10x). Check the decimal "
        "point and the unit."
    )
