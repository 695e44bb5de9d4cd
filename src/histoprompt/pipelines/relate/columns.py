"""Columns of patient data: what kind each is, and its values as numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import StudyError
from histoprompt.pipelines.relate.table_values import (
    MOST_LEVELS,
    known_order,
    looks_like_date,
    missing,
    number_or_none,
    ordered_levels,
)

Kind = Literal["binary", "ordinal", "number", "category", "survival", "text"]
KINDS: tuple[str, ...] = get_args(Kind)
# Whole numbers with no more different values than this are grades or scores.
_FEW = 6
# Letters of a text that a message shows.
_LONG = 24
_TIMES = ("time", "months", "days", "years", "weeks", "duration", "t")
_EVENTS = ("event", "status", "death", "dead", "died", "deceased", "censored", "censor", "e")
_TWO_WAYS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_SEEN = frozenset(
    ("1", "yes", "y", "true", "t", "event", "dead", "deceased", "died", "death", "relapse",
     "relapsed", "recurred", "recurrence", "progressed", "progression")
)  # fmt: skip
_NOT_SEEN = frozenset(
    ("0", "no", "n", "false", "f", "alive", "living", "censored", "none", "event-free",
     "disease-free", "diseasefree")
)  # fmt: skip


class ColumnFault(StudyError):  # noqa: N818 - tells of one column, others go on
    """A column that nothing can be related to; the others are.

    Parameters
    ----------
    column : str
    reason : str
        What is wrong, as the end of a sentence that begins with the column's name.
    """

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column} {reason}")
        self.column = column
        self.reason = reason


class ManyTexts(ColumnFault):
    """A column of names or sentences: reports, if a person says that it is text."""


@dataclass(frozen=True)
class PatientColumn:
    """A column of patients.

    Attributes
    ----------
    name : str
    kind : str
        One of `KINDS`.
    values : (patients,) float64
        nan where it is not known. Levels are numbered from 0 in their order; of time to event it is
        the time.
    levels : tuple of str
        The words of levels.
    event : (patients,) float64 or None
        Of time to event: 1 where the event was seen, 0 where not.
    """

    name: str
    kind: Kind
    values: NDArray[np.float64]
    levels: tuple[str, ...] = ()
    event: NDArray[np.float64] | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which patients have a value."""
        return np.isfinite(self.values)

    @property
    def told(self) -> str:
        """Its kind in words, as it was recognised."""
        n = int(self.known.sum())
        if self.event is not None:
            seen = int(np.nansum(self.event[self.known]))
            return f"time to event, {seen} events in {n:,} patients"
        if self.kind == "number":
            low, high = np.nanmin(self.values), np.nanmax(self.values)
            return f"number, {low:g} to {high:g}, {n:,} patients"
        between = " < " if self.kind == "ordinal" else ", "
        counts = [int((self.values == i).sum()) for i in range(len(self.levels))]
        words = between.join(f"{w} ({c})" for w, c in zip(self.levels, counts, strict=True))
        return f"{self.kind}: {words}"


def column_of(name: str, cells: Sequence[str], said: str = "") -> PatientColumn:
    """Recognise a column.

    Parameters
    ----------
    name : str
    cells : sequence of str
        One of each patient.
    said : str
        The kind as a person said it, or the levels in their order, ``"low<mid<high"``; else it is
        recognised.

    Raises
    ------
    ColumnFault
        If nothing can be related to it: no value, one value, dates, names.
    """
    known = [c for c in cells if not missing(c)]
    if not known:
        raise ColumnFault(name, f"has no value: all {len(cells):,} patients lack it.")
    different = list(dict.fromkeys(known))
    if len(different) == 1:
        raise ColumnFault(
            name, f"has one value ({different[0]}) in all {len(known):,} patients who have one: "
            "there is nothing to relate."
        )  # fmt: skip
    if "<" in said:
        return _in_order(name, cells, [w.strip() for w in said.split("<")])
    numbers = [number_or_none(c) for c in different]
    if all(n is not None for n in numbers):
        return _numeric(name, cells, said)
    if any(looks_like_date(c) for c in different):
        date = next(c for c in different if looks_like_date(c))
        raise ColumnFault(
            name, f"holds dates as text ({date}). Enter a number, such as the days since the "
            "diagnosis; for time to event also whether the event was seen."
        )  # fmt: skip
    if said == "number" or 2 * sum(n is not None for n in numbers) > len(numbers):
        odd = [c for c, n in zip(different, numbers, strict=True) if n is None]
        if all(_TWO_WAYS.fullmatch(c) for c in odd):
            raise ColumnFault(
                name, f"has numbers that can be read in two ways ({odd[0]}). Write them with a "
                "point."
            )  # fmt: skip
        raise ColumnFault(
            name, f"mixes numbers and words ({', '.join(odd[:3])}). Mend these cells."
        )
    return _words(name, cells, different, said)


def _numeric(name: str, cells: Sequence[str], said: str) -> PatientColumn:
    values = np.array([np.nan if missing(c) else _number(c) for c in cells])
    levels = np.unique(values[np.isfinite(values)])
    if len(levels) < 2:
        raise ColumnFault(name, "has one value in all patients: there is nothing to relate.")
    whole = bool((levels == np.round(levels)).all())
    kind = said or (
        "binary" if len(levels) == 2 else "ordinal" if whole and len(levels) <= _FEW else "number"
    )
    if kind == "number":
        return PatientColumn(name, "number", values)
    words = tuple(f"{v:g}" for v in levels)
    coded = np.where(np.isfinite(values), np.searchsorted(levels, values), np.nan)
    return _levelled(name, kind, coded.astype(float), words)


def _number(cell: str) -> float:
    value = number_or_none(cell)
    return np.nan if value is None or not np.isfinite(value) else value


def _words(name: str, cells: Sequence[str], different: list[str], said: str) -> PatientColumn:
    if len(different) > MOST_LEVELS:
        raise ManyTexts(
            name, f"holds {len(different)} different texts ({_short(different[0])}, "
            f"{_short(different[1])}): names or sentences, not groups of patients. Say that its "
            "kind is text to look for words in it, or put them into groups."
        )  # fmt: skip
    words = ordered_levels(different)
    order = known_order(different) is not None
    kind = said or ("binary" if len(words) == 2 else "ordinal" if order else "category")
    place = {w: float(i) for i, w in enumerate(words)}
    return _levelled(name, kind, np.array([place.get(c, np.nan) for c in cells]), words)


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."


def _in_order(name: str, cells: Sequence[str], words: list[str]) -> PatientColumn:
    place = {w.casefold(): float(i) for i, w in enumerate(words)}
    odd = {c for c in cells if not missing(c) and c.casefold() not in place}
    if odd or len(place) != len(words) or len(words) < 2:
        raise ColumnFault(
            name, f"has the values {', '.join(sorted(odd)[:5]) or '(none)'}, which the order "
            f"{'<'.join(words)} does not name. Name each value once."
        )  # fmt: skip
    coded = np.array([np.nan if missing(c) else place[c.casefold()] for c in cells])
    return _levelled(name, "binary" if len(words) == 2 else "ordinal", coded, tuple(words))


def _levelled(
    name: str, kind: str, coded: NDArray[np.float64], words: tuple[str, ...]
) -> PatientColumn:
    if kind == "binary" and len(words) != 2:
        raise ColumnFault(name, f"is said to be binary and has {len(words)} values.")
    if kind == "category" and len(words) > MOST_LEVELS:
        raise ColumnFault(name, f"has {len(words)} values, too many for groups of patients.")
    if kind not in ("binary", "ordinal", "category"):
        raise ColumnFault(name, f"cannot be {kind}: it has the values {', '.join(words[:5])}.")
    if len(words) == 2:
        kind = "binary"
    return PatientColumn(name, kind, coded, words)  # type: ignore[arg-type]


def survival_column(
    name: str, times: Sequence[str], events: Sequence[str], event_name: str
) -> PatientColumn:
    """Time to an event, from a column of times and one that says whether the event was seen.

    Raises
    ------
    ColumnFault
        If times are no numbers, or nothing says what an event is.
    """
    if any(looks_like_date(c) for c in times):
        date = next(c for c in times if looks_like_date(c))
        raise ColumnFault(name, f"holds dates as text ({date}). Enter the time since the start.")
    odd = [c for c in times if not missing(c) and number_or_none(c) is None]
    if odd:
        raise ColumnFault(name, f"is no time: {odd[0]}. Enter numbers.")
    time = np.array([np.nan if missing(c) else _number(c) for c in times])
    if (time < 0).any():
        raise ColumnFault(name, f"has a time below 0 ({np.nanmin(time):g}).")
    inverse = "censor" in event_name.casefold()
    event = np.array([np.nan if missing(c) else _seen(c, name, event_name) for c in events])
    event = 1 - event if inverse and not _says_itself(events) else event
    time = np.where(np.isfinite(event), time, np.nan)
    known = np.isfinite(time)
    if not known.any():
        raise ColumnFault(name, f"has no value: no patient has both a time and {event_name}.")
    if not (event[known] > 0).any():
        raise ColumnFault(name, f"has no event: none of {int(known.sum())} patients had one.")
    return PatientColumn(name, "survival", time, (), np.where(known, event, np.nan))


def _says_itself(events: Sequence[str]) -> bool:
    """Whether words of a column of censoring say what they mean: "alive", "censored"."""
    plain = {"1", "0", "yes", "no", "y", "n", "true", "false", "t", "f", "1.0", "0.0"}
    return any(c.casefold() not in plain for c in events if not missing(c))


def _seen(cell: str, name: str, event_name: str) -> float:
    word = cell.strip().casefold()
    head = re.match(r"([01])\s*[:=]", word)  # 1:DECEASED
    number = number_or_none(word)
    if head:
        return float(head[1])
    if number in (0.0, 1.0):
        return float(number or 0.0)
    if word in _SEEN | _NOT_SEEN:
        return float(word in _SEEN)
    raise ColumnFault(
        name, f"has {event_name} = {cell}, which does not say whether the event was seen. Enter "
        "1 for seen and 0 for not."
    )  # fmt: skip


def event_partner(name: str, columns: Sequence[str]) -> tuple[str, str] | None:
    """The columns of time and event that a name stands for; None if it is no time to event.

    ``os_months:os_status`` names both; ``os_months``, or ``os`` alone, has the partner
    ``os_status``.
    """
    if name not in columns and ":" in name:
        time, event = (part.strip() for part in name.split(":", 1))
        return time, event
    held = {c.casefold(): c for c in columns}
    stem, end = _split(name)
    if end in _TIMES and name.casefold() in held:
        found = [held[f"{stem}{gap}{e}"] for e in _EVENTS for gap in "_ .-"
                 if stem and f"{stem}{gap}{e}" in held]  # fmt: skip
        return (held[name.casefold()], found[0]) if found else None
    if name.casefold() in held:
        return None
    for gap in "_ .-":
        time = next((held[f"{name.casefold()}{gap}{t}"] for t in _TIMES
                     if f"{name.casefold()}{gap}{t}" in held), "")  # fmt: skip
        event = next((held[f"{name.casefold()}{gap}{e}"] for e in _EVENTS
                      if f"{name.casefold()}{gap}{e}" in held), "")  # fmt: skip
        if time and event:
            return time, event
    return None


def _split(name: str) -> tuple[str, str]:
    parts = re.match(r"(.*?)[_ .-]([^_ .-]+)$", name.casefold())
    return (parts[1], parts[2]) if parts else ("", name.casefold())


def said_kinds(texts: Sequence[str]) -> Mapping[str, str]:
    """``stage=ordinal`` and ``grade=low<mid<high`` as a table.

    Raises
    ------
    StudyError
        If one names no kind.
    """
    found = {}
    for text in texts:
        name, _, kind = (part.strip() for part in text.partition("="))
        if not name or (kind not in KINDS and "<" not in kind):
            raise StudyError(
                f"{text} says no kind of a column. Write NAME=KIND with one of "
                f"{', '.join(KINDS)}, or NAME=LOW<MIDDLE<HIGH for an order of your own."
            )
        found[name] = kind
    return found
