"""Who was seen for how long: a caution beside findings of time to event.

Cox's model and the log-rank test hold a patient who left as like those who stayed. If patients left
because they fared worse or better, and a feature goes with who left, what is found may be about
leaving; no test of these data can tell. What can be told is whether a feature goes with leaving.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.findings import Finding
from histoprompt.pipelines.relate.one_column import related
from histoprompt.pipelines.relate.study import Study

# By feature and column.
Seen = Mapping[tuple[str, str], float]
_PERMUTATIONS = 500
GOES_WITH = 0.05


def with_leaving(
    study: Study, columns: Sequence[PatientColumn], blocks: NDArray[np.intp], seed: int, task: Task
) -> dict[tuple[str, str], float]:
    """The p of each feature against the end of observation, with the event taken as leaving.

    Parameters
    ----------
    study : Study
    columns : sequence of PatientColumn
        Those of no time to event, and those in which nobody left before the event, are passed over.
    blocks : (patients,) int
        In which values may change places.
    seed : int
    task : Task
    """
    found: dict[tuple[str, str], float] = {}
    for column in columns:
        if column.event is None or not (column.event[column.known] < 1).any():
            continue
        left = replace(column, event=1 - column.event)
        tested = related(study, left, blocks=blocks, permutations=_PERMUTATIONS, finest=1.0,
                         seed=seed, task=task)  # fmt: skip
        found |= {(t.feature, t.column): t.p for t in tested}
    return found


def leaving_notes(seen: Seen) -> tuple[str, ...]:
    """A line per column of time to event of which features go with leaving."""
    said = []
    for column in dict.fromkeys(c for _, c in seen):
        p = np.array([v for (_, c), v in seen.items() if c == column])
        made = int(np.isfinite(p).sum())
        along = int((p <= GOES_WITH).sum())
        if along:
            said.append(
                f"{along} of {made} features go with how long patients of {column} were seen "
                f"(p ≤ {GOES_WITH:g}; {GOES_WITH * made:.1f} by chance). If those who left fared "
                "worse or better than those who stayed, findings of these features may be about "
                "leaving, and no test can tell."
            )
    return tuple(said)


def told_of_leaving(found: Sequence[Finding], seen: Seen) -> list[Finding]:
    """Findings that survive say whether their feature goes with leaving too."""
    out = []
    for one in found:
        p = seen.get((one.tested.feature, one.tested.column), float("nan"))
        if one.survives and p <= GOES_WITH:
            told = f"{one.why}; goes with how long patients were seen too (p {p:.2g})"
            one = replace(one, why=told)  # noqa: PLW2901
        out.append(one)
    return out
