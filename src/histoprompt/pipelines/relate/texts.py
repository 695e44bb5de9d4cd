"""Reports of slides or patients, and the fields that a person asks them for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from histoprompt.core.errors import StudyError
from histoprompt.core.files.documents import MANY_BYTES, read_text, read_toml
from histoprompt.core.files.tables import read_table
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.project.table import ProjectSlide
from histoprompt.pipelines.relate.columns import ColumnFault, PatientColumn
from histoprompt.pipelines.relate.negation import mentions, pattern_of, said
from histoprompt.pipelines.relate.params import FEWEST
from histoprompt.pipelines.relate.study import Study
from histoprompt.pipelines.relate.table_values import missing

REPORTS = "reports"
# The kind of a column that is reports.
TEXT = "text"
_TEXT = ("text", "report", "findings", "diagnosis", "conclusion")
_WHO = ("slide", "slide_id", "id", "patient", "patient_id")
_RAREST = 3


def read_reports(path: Path) -> dict[str, str]:
    """Texts by the slide or patient that they are of.

    Parameters
    ----------
    path : Path
        A CSV with a column slide or patient and a column text, or a folder of text files that are
        named by slide or patient.

    Raises
    ------
    StudyError
        If it is neither, or holds no text.
    """
    if path.is_dir():
        found = {p.stem: read_text(p, StudyError, MANY_BYTES) for p in sorted(path.glob("*.txt"))}
    else:
        table = read_table(path, "The reports in", StudyError, fold=True)
        who = next((c for c in _WHO if c in table.columns), None)
        what = next((c for c in _TEXT if c in table.columns), None)
        if who is None or what is None:
            raise StudyError(
                f"{path} needs a column slide or patient and a column text. It has the columns "
                f"{', '.join(table.columns[:20])}."
            )
        found = {}
        for _, row in table.rows:
            found[row[who]] = f"{found.get(row[who], '')}\n{row[what]}".strip()
    found = {name: text for name, text in found.items() if text.strip()}
    if not found:
        raise StudyError(f"{path} holds no report: no text that is named by slide or patient.")
    return found


def patient_texts(project: Project, study: Study, path: Path | None) -> list[str]:
    """The reports of each patient, those of its slides too; empty where there is none.

    Raises
    ------
    StudyError
        If there are no reports.
    """
    if path is None:
        column = next((c for c in project.table.columns if c.casefold() in _TEXT), None)
        if column is None:
            raise StudyError(
                "There are no reports: give a table or a folder of texts, or a column report in "
                "slides.csv."
            )
        found = {s.id: s.cell(column) for s in project.slides if s.cell(column)}
    else:
        found = read_reports(path)
    return [
        joined(found[name] for name in dict.fromkeys((patient, *slides)) if name in found)
        for patient, slides in zip(study.patients, study.slides, strict=True)
    ]


def column_texts(slides: Mapping[str, ProjectSlide], study: Study, column: str) -> list[str]:
    """A column of the project's table as a text of each patient, those of all slides together."""
    return [
        joined(c for i in ids if not missing(c := slides[i].cell(column))) for ids in study.slides
    ]


def joined(parts: Iterable[str]) -> str:
    """Texts below each other, none twice."""
    return "\n".join(dict.fromkeys(p for p in parts if p))


def enough_texts(texts: list[str], study: Study) -> list[str]:
    """The texts of patients, as they are; none where none were asked for.

    Raises
    ------
    StudyError
        If fewer than 20 patients have one.
    """
    if not texts:
        return texts
    known = sum(bool(t) for t in texts)
    if known < FEWEST:
        raise StudyError(
            f"{known} of {len(study):,} patients have a report; at least {FEWEST} are needed. "
            f"Reports are named by slide or patient, such as {study.slides[0][0]} or "
            f"{study.patients[0]}."
        )
    return texts


def read_fields(path: Path) -> Mapping[str, tuple[str, ...]]:
    """Names of fields and the words that stand for each.

    Raises
    ------
    StudyError
        If it is no such table.
    """
    table = read_toml(path, StudyError)
    table = table.get("fields", table) if isinstance(table.get("fields"), dict) else table
    found = {}
    for name, words in table.items():
        listed = [words] if isinstance(words, str) else words
        if (
            not isinstance(listed, list)
            or not listed
            or not all(isinstance(w, str) for w in listed)
        ):
            raise StudyError(f"{path}: {name} must be a word or a list of words.")
        found[str(name)] = tuple(listed)
    if not found:
        raise StudyError(f'{path} names no field. Write lines such as necrosis = ["necro*"].')
    return found


def field_column(
    name: str, words: Sequence[str], texts: Sequence[str], unmentioned: str
) -> PatientColumn:
    """What reports say of a field, as a column of patients.

    Parameters
    ----------
    name : str
    words : sequence of str
    texts : sequence of str
        Of patients; empty where there is no report.
    unmentioned : {"no", "unknown"}
        What a report says of what it does not mention; what it doubts is unknown.

    Raises
    ------
    StudyError
        If an expression is none.
    ColumnFault
        If fewer than three patients have it, or lack it.
    """
    try:
        patterns = [pattern_of(w) for w in words]
    except ValueError as error:
        raise StudyError(f"The field {name}: {error}.") from error
    values = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        if not text:
            continue
        found = said(text, patterns)
        if found is not None:
            values[i] = float(found)
        elif unmentioned == "no" and not mentions(text, patterns):
            values[i] = 0.0
    column = PatientColumn(f"report: {name}", "binary", values, ("no", "yes"))
    yes, no = int((values == 1).sum()), int((values == 0).sum())
    if min(yes, no) < _RAREST or yes + no < FEWEST:
        raise ColumnFault(
            column.name, f"is told of {yes + no} patients, yes of {yes} and no of {no}: too few of "
            f"one kind. At least {_RAREST} of each and {FEWEST} together are needed."
        )  # fmt: skip
    return column
