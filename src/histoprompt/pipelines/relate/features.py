"""Features of slides: a table that was made here or is the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import StudyError
from histoprompt.core.files.tables import read_table
from histoprompt.core.readers.naming import result_name
from histoprompt.core.strings.names import tidy
from histoprompt.pipelines.relate.table_values import (
    MOST_LEVELS,
    looks_like_date,
    missing,
    number_or_none,
    ordered_levels,
)

Floats = NDArray[np.float64]
SLIDE = ("slide", "slide_id", "id")
# The tissue a slide's features were measured on, by which slides of a patient are weighted.
AREA = ("area_mm2", "tissue_mm2", "analysed_mm2", "mm2")
# Of the project's table: what a patient is and where they are from is no feature of an image.
NO_FEATURES = ("path", "patient", "site", "scanner", "split", "key", "mpp")


@dataclass(frozen=True)
class FeatureTable:
    """Features of slides.

    Attributes
    ----------
    slides : tuple of str
    names : tuple of str
    values : (slides, features) float64
        nan where they are not known; of a feature of words, the number of its level.
    areas : (slides,) float64
        mm² they were measured on; nan where it is not known.
    levels : mapping of str to tuple of str
        The words of features that are no numbers.
    notes : tuple of str
        What was left out, and why.
    source : str
        Where they are from, for people.
    one_unit : bool
        Whether all are of one unit, as components are: how far each spreads says something then.
    """

    slides: tuple[str, ...]
    names: tuple[str, ...]
    values: Floats
    areas: Floats
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""
    one_unit: bool = False


def read_features(path: Path, taken: Sequence[str] = ()) -> FeatureTable:
    """Read features of the user's own.

    Parameters
    ----------
    path : Path
        CSV with a column ``slide`` and one per feature. A column ``area_mm2`` weights slides of one
        patient and is no feature.
    taken : sequence of str
        Columns that features are to be related to: they are no features.

    Raises
    ------
    StudyError
        If it cannot be read, names no slide, names one twice, or has no feature.
    """
    table = read_table(path, "The features in", StudyError)
    key = next((c for name in SLIDE for c in table.columns if c.casefold() == name), None)
    if key is None:
        held = ", ".join(c or "(no name)" for c in table.columns[:20]) or "none"
        raise StudyError(f"{path} has no column slide. It has the columns {held}.")
    slides = _slides([(number, row[key]) for number, row in table.rows], path)
    area = next((c for name in AREA for c in table.columns if c.casefold() == name), None)
    barred = {c.casefold() for c in (key, area or key, *NO_FEATURES, *taken)}
    notes: list[str] = []
    columns: dict[str, Floats] = {}
    levels: dict[str, tuple[str, ...]] = {}
    for name in (c for c in table.columns if c):
        if name.casefold() in barred:
            if name not in (key, area):
                notes.append(f"{name} of {path.name} is no feature: it is of the patient or slide.")
            continue
        values, words, fault = _column([row[name] for _, row in table.rows])
        if fault:
            notes.append(f"The feature {name} is left out: {fault}.")
            continue
        columns[name] = values
        levels |= {name: words} if words else {}
    if not columns:
        why = " ".join(notes)
        raise StudyError(f"{path} has no feature: no column of numbers beside {key}. {why}".strip())
    areas = np.full(len(slides), np.nan)
    if area is not None:
        areas = np.array([_or_nan(row[area]) for _, row in table.rows])
        areas[~(areas > 0)] = np.nan
    values = np.stack(list(columns.values()), axis=1)
    return FeatureTable(slides, tuple(columns), values, areas, levels, tuple(notes), path.name)


def _slides(listed: Sequence[tuple[int, str]], path: Path) -> tuple[str, ...]:
    lines: dict[str, int] = {}
    for number, cell in listed:
        name = tidy(cell)
        if not name:
            raise StudyError(f"{path} line {number} names no slide.")
        before = lines.setdefault(name, number)
        if before != number:
            raise StudyError(
                f"{path} lines {before} and {number} are both of the slide {name}. Give each slide "
                "one line."
            )
    if not lines:
        raise StudyError(f"{path} has no slides below its header.")
    return tuple(lines)


def _column(cells: Sequence[str]) -> tuple[Floats, tuple[str, ...], str]:
    """Values, words of a feature that has them, and why it is none."""
    known = [c for c in cells if not missing(c)]
    if not known:
        return np.zeros(0), (), "it has no value"
    numbers = [number_or_none(c) for c in known]
    if all(n is not None for n in numbers):
        return np.array([_or_nan(c) for c in cells]), (), ""
    if any(looks_like_date(c) for c in known):
        date = next(c for c in known if looks_like_date(c))
        return np.zeros(0), (), f"it holds dates as text ({date})"
    if any(n is not None for n in numbers):
        odd = next(c for c, n in zip(known, numbers, strict=True) if n is None)
        return np.zeros(0), (), f"it mixes numbers and words ({odd})"
    words = ordered_levels(dict.fromkeys(known))
    if len(words) > MOST_LEVELS:
        return np.zeros(0), (), f"it holds {len(words)} different words"
    place = {w: float(i) for i, w in enumerate(words)}
    return np.array([place.get(c, np.nan) for c in cells]), words, ""


def _or_nan(cell: str) -> float:
    value = None if missing(cell) else number_or_none(cell)
    return float("nan") if value is None or not np.isfinite(value) else value


def at_slides(table: FeatureTable, ids: Sequence[str]) -> tuple[FeatureTable, tuple[str, ...]]:
    """The lines of a project's slides, in the project's order, and the slides it has none of.

    Names are compared as they are, then without endings of files, then without regard to capitals.

    Raises
    ------
    StudyError
        If no slide of the table is one of the project.
    """
    found: dict[int, str] = {}
    for turn in (str, result_name, lambda name: result_name(name).casefold()):
        lines = {turn(name): i for i, name in enumerate(table.slides)}
        for one in ids:
            line = lines.get(turn(one))
            if line is not None and one not in found.values():
                found.setdefault(line, one)
    if not found:
        raise StudyError(
            f"No slide of {table.source} is one of the project. It has {table.slides[0]}, the "
            f"project {ids[0] if ids else 'no slide'}. Use the project's ids."
        )
    lines_of = {name: line for line, name in found.items()}
    here = [one for one in ids if one in lines_of]
    rows = np.array([lines_of[one] for one in here])
    strangers = [s for i, s in enumerate(table.slides) if i not in found]
    notes = list(table.notes)
    if strangers:
        notes.append(
            f"Slides of {table.source} that the project does not list: {len(strangers)} "
            f"({strangers[0]})."
        )
    lacking = tuple(one for one in ids if one not in lines_of)
    kept = FeatureTable(
        tuple(here), table.names, table.values[rows], table.areas[rows], table.levels,
        tuple(notes), table.source, table.one_unit,
    )  # fmt: skip
    return kept, lacking
