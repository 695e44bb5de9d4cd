"""What a report says of something: that it is there, that it is not, or that it may be.

Rules after NegEx (Chapman and others, 2001): a cue of negation holds for the words after it (or, of
some cues, before it) in the same clause. A comma ends a clause where something was said before it,
and not in a list of what is denied.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SENTENCE = re.compile(r"(?<=[.!?])\s+|[\n;]+")
# An abbreviation's point ends no sentence.
_SHORT = re.compile(r"\b(neg|pos)\.(?=\s)", re.IGNORECASE)
_CLAUSE = re.compile(
    r"\b(?:but|however|although|though|except|apart from|yet|which|while|whereas|with(?!out)"
    r"|and(?=\s+(?:is|are|was|were|has|have|had|shows?|contains?|reveals?|displays?|exhibits?)\b))"
    r"\b",
    re.IGNORECASE,
)
_SEEN = (
    r"(?:seen|identified|present|detected|found|evident|apparent|observed|noted|visible"
    r"|demonstrated|recogni[sz]ed)"
)
_BEFORE = re.compile(
    r"\b(?:no|nil|zero|not|w/o|without|absence of|absent|neg(?:ative)?\s+for|free of|free from"
    r"|devoid of|lacks?|lacking|lack of|neither|nor|never|none of|denies|rather than"
    r"|exclud(?:es?|ing)|(?:is|are|was|were|does|do|did|has|have|ca|could)n['’]t"
    r"|(?:cannot|fail(?:s|ed)? to|unable to)\s+(?:see|show|find|identify|detect|demonstrate"
    r"|recogni[sz]e))\b[^.]*$"
    r"|\bnon-?$",
    re.IGNORECASE,
)
# Also as "(-)", ": 0 %", "- no" or "[ ]" after what is denied.
_AFTER = re.compile(
    r"^\s*[:=]\s*(?:absent|no|none|negative|nil|not)\b"
    r"|^\s*[:=,-]?\s*[(\[]?\s*(?:[-–−]|0+(?:[.,]0+)?\s*%?|n|no|nil|none|neg|negative)\s*[)\]]?"
    r"\s*(?:$|[,;.](?!\d))"
    r"|^\s*[:=]\s*[-–−](?=\s)|^\s*[(\[]\s*[-–−]?\s*[)\]]|^-free\b"
    rf"|^[^.]{{0,40}}?\b(?:(?:not|never|cannot|\w+n['’]t)\s+(?:\w+\s+)?{_SEEN}"
    r"|(?:is|are|was|were)\s+(?:absent|negative|excluded|ruled out|lacking|missing)"
    r"|absent|none|unlikely)\b",
    re.IGNORECASE,
)
# These look like cues and are none.
_NO_CUE = re.compile(
    r"\b(?:not only|no increase in|no change in|(?:there is )?no doubt|without difficulty"
    r"|no (?:special|specific) type|not otherwise specified)\b",
    re.IGNORECASE,
)
_MAYBE = re.compile(
    r"\b(?:cannot be (?:excluded|ruled out)|cannot exclude|can not exclude|possibl[ey]|probabl[ey]"
    r"|likely|suspicious for|suggest(?:s|ive|ing)|suspected|questionable|equivocal|unknown"
    r"|may represent|(?<!be )(?<!are )(?<!is )(?<!was )(?<!were )(?<!been )rule out"
    r"|not (?:excluded|assess\w+|evalua\w+|stated|reported|determined|applicable))\b|\?\s*$",
    re.IGNORECASE,
)
# What says something of what stands before it, or is a finding by itself.
_TELLS = re.compile(
    rf"\b(?:is|are|was|were|has|have|shows?|contains?|absent|extensive|{_SEEN})\b"
    r"|:\s*\w|\d\s*%|\([+-]\)",
    re.IGNORECASE,
)
# What only goes on about what stands before the comma.
_BARE = re.compile(
    r"\s*(?:not|never|no|none|nil|absent|negative)(?:\s+\w+)?\s*[.!]?$", re.IGNORECASE
)
_LIST = re.compile(r"\b(?:or|nor)\b", re.IGNORECASE)
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
    plain = _SHORT.sub(lambda m: f"{m[1]} ", text)
    parts = (c for s in _SENTENCE.split(plain) for c in _CLAUSE.split(s))
    return [c for part in parts for c in _told_apart(part) if c.strip()]


def _told_apart(part: str) -> list[str]:
    """A part at the commas that end a statement: "no mitoses, necrosis is present"."""
    found, start = [], 0
    for comma in re.finditer(r",\s", part):
        before, after = part[start : comma.start()], part[comma.end() :]
        after = after.split(", ")[0]
        if _BEFORE.search(_NO_CUE.sub("", before)):  # a list of what is denied may go on
            ends = _TELLS.search(after) and not _LIST.search(after)
        else:
            ends = _TELLS.search(before) and not _BARE.match(after)
        if ends:
            found.append(before)
            start = comma.end()
    return [*found, part[start:]]


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
