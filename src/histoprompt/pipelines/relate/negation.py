"""What a report says of something: that it is there, that it is not, or that it may be.

Rules after NegEx (Chapman and others, 2001): a cue of negation holds for the words after it (or, of
some cues, before it) in the same clause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SENTENCE = re.compile(r"(?<=[.!?])\s+|[\n;]+")
_CLAUSE = re.compile(
    r"\b(?:but|however|although|though|except|apart from|yet|which|while|whereas|with(?!out))\b",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"\b(?:no|not|without|absence of|absent|negative for|free of|free from|lacks?|lacking"
    r"|lack of|neither|nor|never|none of|denies|fails? to show|rather than|exclud(?:es?|ing))\b"
    r"[^.]*$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"^\s*[:=]\s*(?:absent|no|none|negative|nil|not)\b"
    r"|^[^.]{0,40}?\b(?:(?:not|never)\s+(?:\w+\s+)?(?:seen|identified|present|detected|found"
    r"|evident|observed|noted|visible|demonstrated)"
    r"|(?:is|are|was|were)\s+(?:absent|negative|excluded|ruled out)|absent$|none)\b",
    re.IGNORECASE,
)
# These look like cues and are none.
_NO_CUE = re.compile(
    r"\b(?:not only|no increase in|no change in|no doubt|without difficulty)\b", re.IGNORECASE
)
_MAYBE = re.compile(
    r"\b(?:cannot be (?:excluded|ruled out)|cannot exclude|can not exclude|possibl[ey]"
    r"|suspicious for|suspected|questionable|equivocal|may represent"
    r"|not (?:excluded|assessable|evaluable))\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_][\w-]*")


def said(text: str, patterns: Sequence[re.Pattern[str]]) -> bool | None:
    """Whether a text says that something is there.

    Parameters
    ----------
    text : str
        A report.
    patterns : sequence of Pattern
        What stands for it.

    Returns
    -------
    bool or None
        True if any sentence says so; False if one denies it and none says so or doubts it; None
        where it is not mentioned or only doubted.
    """
    denied = doubted = False
    for clause in clauses(text):
        for pattern in patterns:
            for match in pattern.finditer(clause):
                if _MAYBE.search(clause):
                    doubted = True
                elif denies(clause, match.start(), match.end()):
                    denied = True
                else:
                    return True
    return False if denied and not doubted else None


def mentions(text: str, patterns: Sequence[re.Pattern[str]]) -> bool:
    """Whether a text has the words at all."""
    return any(p.search(text) for p in patterns)


def denies(clause: str, start: int, end: int) -> bool:
    """Whether a clause denies what stands at a place in it."""
    before = _NO_CUE.sub(lambda m: " " * len(m[0]), clause[:start])
    return bool(_BEFORE.search(before) or _AFTER.search(clause[end:]))


def clauses(text: str) -> list[str]:
    """The parts of a text over which a negation holds."""
    return [c for s in _SENTENCE.split(text) for c in _CLAUSE.split(s) if c.strip()]


def marked_words(text: str) -> list[str]:
    """The words of a text in small letters; a denied one begins with ``no_``."""
    found = []
    for clause in clauses(text):
        for match in _WORD.finditer(clause):
            word = match[0].casefold()
            denied = denies(clause, match.start(), match.end())
            found.append(f"no_{word}" if denied else word)
    return found


def pattern_of(word: str) -> re.Pattern[str]:
    """``/expression/``, or words as they are written; ``*`` at an end stands for any ending.

    Raises
    ------
    ValueError
        If an expression is none.
    """
    if len(word) > 2 and word.startswith("/") and word.endswith("/"):
        try:
            return re.compile(word[1:-1], re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"{word} is no regular expression: {error}") from error
    parts = [re.escape(p).replace(r"\*", r"\w*") for p in word.split()]
    return re.compile(r"\b" + r"\s+".join(parts) + r"(?!\w)", re.IGNORECASE)
