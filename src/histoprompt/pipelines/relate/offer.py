"""What a project's table offers to relate to, before anything is related."""

from __future__ import annotations

from dataclasses import dataclass

from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.relate.columns import (
    ColumnFault,
    ManyTexts,
    PatientColumn,
    column_of,
    event_partner,
    survival_column,
)
from histoprompt.pipelines.relate.table_values import missing
from histoprompt.pipelines.relate.texts import REPORTS

_OF_SLIDES = ("id", "path", "mpp", "key", "patient", "split", "site", "scanner")


@dataclass(frozen=True)
class Offered:
    """A column that a person may choose.

    Attributes
    ----------
    name : str
    kind : str
        As recognised; empty where nothing can be related to it.
    told : str
        Its values, or why nothing can be related to it.
    levels : tuple of str
        Its words from low to high, where it has some.
    """

    name: str
    kind: str
    told: str
    levels: tuple[str, ...] = ()


def offered_columns(project: Project, *, reports: bool = False) -> tuple[Offered, ...]:
    """The columns of the table that tell something of patients, as they are recognised.

    Parameters
    ----------
    project : Project
    reports : bool
        Whether there are reports too.
    """
    held = project.table.columns
    found = []
    for name in held:
        if name in _OF_SLIDES or any(_is_event(name, other, held) for other in held):
            continue
        found.append(_offered(project, name))
    if reports and REPORTS not in held:
        found.append(Offered(REPORTS, "text", "what reports say"))
    return tuple(found)


def _is_event(name: str, other: str, held: tuple[str, ...]) -> bool:
    """Whether a column only says whether the event of another was seen."""
    pair = event_partner(other, held)
    return pair is not None and name != other and name in pair


def _offered(project: Project, name: str) -> Offered:
    try:
        column = _column(project, name)
    except ManyTexts as fault:
        return Offered(name, "text", fault.reason)
    except ColumnFault as fault:
        return Offered(name, "", fault.reason)
    return Offered(name, column.kind, column.told, column.levels)


def _column(project: Project, name: str) -> PatientColumn:
    """A column with each patient once; where slides differ, the first says."""
    first: dict[str, int] = {}
    for i, slide in enumerate(project.slides):
        if not missing(slide.cell(name)):
            first.setdefault(slide.patient or slide.id, i)
    slides = [project.slides[i] for i in first.values()]
    pair = event_partner(name, project.table.columns)
    if pair:
        times, events = ([s.cell(c) for s in slides] for c in pair)
        return survival_column(name, times, events, pair[1])
    if not slides:
        raise ColumnFault(name, f"has no value: all {len(project):,} slides lack it.")
    return column_of(name, [s.cell(name) for s in slides])
