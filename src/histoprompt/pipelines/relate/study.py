"""A study: patients with their features, where they are from, and what is known of them.

The unit is the patient. Slides of one patient become one line before anything is computed, so that
no patient can lie in two folds or be counted twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import StudyError
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.project.table import ProjectSlide
from histoprompt.pipelines.relate.columns import (
    ColumnFault,
    PatientColumn,
    column_of,
    event_partner,
    survival_column,
)
from histoprompt.pipelines.relate.features import FeatureTable
from histoprompt.pipelines.relate.params import FEWEST
from histoprompt.pipelines.relate.table_values import missing, number_or_none

Floats = NDArray[np.float64]
UNKNOWN_SITE = "(one site)"


@dataclass(frozen=True)
class Study:
    """Patients.

    Attributes
    ----------
    patients : tuple of str
    slides : tuple of tuple of str
        The ids of the slides of each.
    site, scanner : (patients,) int
        Numbers from 0 into the names.
    sites, scanners : tuple of str
        Names; one where nothing is known.
    names : tuple of str
        Of features.
    values : (patients, features) float64
    levels : mapping of str to tuple of str
        The words of features that are no numbers.
    notes : tuple of str
    one_unit : bool
        Whether features are of one unit, as components are.
    """

    patients: tuple[str, ...]
    slides: tuple[tuple[str, ...], ...]
    site: NDArray[np.intp]
    sites: tuple[str, ...]
    scanner: NDArray[np.intp]
    scanners: tuple[str, ...]
    names: tuple[str, ...]
    values: Floats
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    one_unit: bool = False

    def __len__(self) -> int:
        return len(self.patients)

    def blocks(self, how: str) -> NDArray[np.intp]:
        """Numbers from 0 of the blocks in which values may change places."""
        if how == "site":
            return self.site
        both = self.site * (len(self.scanners) + 1) + self.scanner
        return np.asarray(np.unique(both, return_inverse=True)[1].reshape(-1), np.intp)


def study_of(slides: Sequence[ProjectSlide], features: FeatureTable, pool: str) -> Study:
    """Pool slides to patients.

    Parameters
    ----------
    slides : sequence of ProjectSlide
        Those of the features, in their order.
    features : FeatureTable
    pool : {"area", "mean", "median", "max"}

    Raises
    ------
    StudyError
        If a patient has two sites or lies in two splits, or there are fewer than 20.
    """
    notes = list(features.notes)
    groups = _patients(slides, notes)
    site = {p: _site(p, [slides[i] for i in rows]) for p, rows in groups.items()}
    check_apart([s.patient or s.id for s in slides], [s.split for s in slides], "split")
    without = [p for p, name in site.items() if not name]
    if without and len(without) < len(site):
        notes.append(
            f"Left out: {many(len(without), 'patient')} without a site ({without[0]}). With whom "
            "to compare them is not known."
        )
        groups = {p: rows for p, rows in groups.items() if site[p]}
    elif without:
        notes.append("No site is known: all patients are taken to be of one.")
    if len(groups) < FEWEST:
        raise StudyError(
            f"There are {len(groups):,} patients with features; at least {FEWEST} are needed. What "
            "is found in fewer is as good as chance."
        )
    patients = tuple(groups)
    sites, at = _numbered([site[p] or UNKNOWN_SITE for p in patients])
    scanners, by = _numbered([_joined(slides, groups[p], "scanner") for p in patients])
    values = np.stack([_pooled(features, groups[p], pool) for p in patients])
    if pool == "area" and any(len(rows) > 1 for rows in groups.values()):
        bare = sum(not np.isfinite(features.areas[i]) for rows in groups.values() for i in rows)
        if bare:
            notes.append(f"{bare:,} slides state no area; slides of their patients weigh the same.")
    return Study(
        patients, tuple(tuple(features.slides[i] for i in groups[p]) for p in patients),
        at, sites, by, scanners, features.names, values, features.levels, tuple(notes),
        features.one_unit,
    )  # fmt: skip


def check_apart(patients: Sequence[str], parts: Sequence[str], what: str) -> None:
    """Refuse a division into parts in which a patient is in two.

    Parameters
    ----------
    patients : sequence of str
        Of each slide.
    parts : sequence of str
        The part that each slide is in; empty where it is in none.
    what : str
        What the parts are, for the message.

    Raises
    ------
    StudyError
        Names the first such patient and the parts.
    """
    seen: dict[str, str] = {}
    for patient, part in zip(patients, parts, strict=True):
        if part and seen.setdefault(patient, part) != part:
            raise StudyError(
                f"The patient {patient} is in two parts of {what}: {seen[patient]} and {part}. "
                "What is learnt from one slide of a patient is known of the other: give all "
                "slides of a patient the same one."
            )


def _patients(slides: Sequence[ProjectSlide], notes: list[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for i, slide in enumerate(slides):
        groups.setdefault(slide.patient or slide.id, []).append(i)
    alone = sum(not slide.patient for slide in slides)
    if alone:
        notes.append(f"{alone:,} slides name no patient: each is taken as a patient of its own.")
    return groups


def _site(patient: str, slides: Sequence[ProjectSlide]) -> str:
    found = sorted({s.site for s in slides if not missing(s.site)})
    if len(found) > 1:
        raise StudyError(
            f"The patient {patient} has slides of {len(found)} sites ({', '.join(found)}). "
            "Patients are compared within their site: give each one site."
        )
    return found[0] if found else ""


def _joined(slides: Sequence[ProjectSlide], rows: Sequence[int], column: str) -> str:
    found = sorted({slides[i].cell(column) for i in rows if not missing(slides[i].cell(column))})
    return " + ".join(found)


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    different, numbers = np.unique(np.array(names, str), return_inverse=True)
    return tuple(different.tolist()), numbers.reshape(-1).astype(np.intp)


def _pooled(features: FeatureTable, rows: Sequence[int], pool: str) -> Floats:
    values = features.values[rows]
    if len(rows) == 1:
        return np.asarray(values[0])
    known = np.isfinite(values)
    weights = features.areas[rows]
    weights = weights if pool == "area" and np.isfinite(weights).all() else np.ones(len(rows))
    out = np.full(values.shape[1], np.nan)
    at = np.asarray(known.any(axis=0))
    if pool in ("area", "mean"):
        share = np.where(known, weights[:, None], 0.0)
        out[at] = (share * np.nan_to_num(values)).sum(axis=0)[at] / share.sum(axis=0)[at]
    else:
        out[at] = (np.nanmedian if pool == "median" else np.nanmax)(values[:, at], axis=0)
    for j, name in enumerate(features.names):
        if name in features.levels and at[j]:  # words have no mean: those of most tissue
            votes = [
                weights[known[:, j] & (values[:, j] == v)].sum() for v in values[known[:, j], j]
            ]
            out[j] = values[known[:, j], j][int(np.argmax(votes))]
    return out


def patient_cells(slides: Mapping[str, ProjectSlide], study: Study, column: str) -> list[str]:
    """A column of the project's table, one cell per patient.

    Raises
    ------
    ColumnFault
        If slides of one patient say different things.
    """
    cells = []
    for patient, ids in zip(study.patients, study.slides, strict=True):
        said = list(dict.fromkeys(c for i in ids if not missing(c := slides[i].cell(column))))
        # 60 and 60.0 are the same
        if len({number_or_none(c) if number_or_none(c) is not None else c for c in said}) > 1:
            raise ColumnFault(
                column, f"differs between slides of the patient {patient}: {', '.join(said[:3])}. "
                "Say the same in all lines of a patient."
            )  # fmt: skip
        cells.append(said[0] if said else "")
    return cells


def study_column(
    slides: Mapping[str, ProjectSlide],
    study: Study,
    columns: Sequence[str],
    name: str,
    kinds: Mapping[str, str],
) -> PatientColumn:
    """A column of the project's table as numbers.

    Parameters
    ----------
    slides : mapping of str to ProjectSlide
        By id.
    study : Study
    columns : sequence of str
        That the table has.
    name : str
        As a person named it.
    kinds : mapping of str to str
        As a person corrected them.

    Raises
    ------
    StudyError
        If there is no such column.
    ColumnFault
        If nothing can be related to it.
    """
    if name == "site":
        raise ColumnFault(
            name, "is what patients are compared within. The first page of every report tells how "
            "well features tell it; relate them to another column."
        )  # fmt: skip
    said = kinds.get(name, "")
    pair = event_partner(name, columns) if said in ("", "survival") else None
    named = pair or (name,)
    for one in named:
        if one not in columns:
            raise StudyError(
                f"There is no column {one} to relate to. There are {', '.join(columns)}."
            )
    cells = [patient_cells(slides, study, one) for one in named]
    if pair:
        found = survival_column(name, cells[0], cells[1], pair[1])
    elif said == "survival":
        raise ColumnFault(name, "is no time to event by itself. Name it as TIME:EVENT.")
    else:
        found = column_of(name, cells[0], said)
    return _enough(found, study)


def _enough(column: PatientColumn, study: Study) -> PatientColumn:
    known = int(column.known.sum())
    if known < FEWEST:
        raise ColumnFault(
            column.name,
            f"is known of {known} of {len(study):,} patients; at least {FEWEST} are needed.",
        )
    if column.kind != "number" and column.levels:
        rare = Counter(column.values[column.known].astype(int).tolist())
        kept = [i for i in range(len(column.levels)) if rare[i]]
        if len(kept) < 2:
            raise ColumnFault(
                column.name, "has one value in all patients: there is nothing to relate."
            )
        if len(kept) < len(column.levels):
            place = {old: new for new, old in enumerate(kept)}
            values = np.array([place.get(int(v), np.nan) if np.isfinite(v) else np.nan
                               for v in column.values])  # fmt: skip
            levels = tuple(column.levels[i] for i in kept)
            kind = "binary" if len(levels) == 2 else column.kind
            return replace(column, values=values, levels=levels, kind=kind)
    return column
