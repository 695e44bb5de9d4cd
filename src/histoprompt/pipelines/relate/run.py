"""Relate the features of a project's slides to what is known of its patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import StudyError
from histoprompt.core.task import Task
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.project.table import ProjectSlide
from histoprompt.pipelines.relate.censoring import leaving_notes, told_of_leaving, with_leaving
from histoprompt.pipelines.relate.columns import ColumnFault, PatientColumn, said_kinds
from histoprompt.pipelines.relate.features import at_slides
from histoprompt.pipelines.relate.findings import Finding, findings
from histoprompt.pipelines.relate.folds import named_folds
from histoprompt.pipelines.relate.guard import Guard, guarded_study
from histoprompt.pipelines.relate.many import PredictedOutcome, predicted_column
from histoprompt.pipelines.relate.mixed import Mixed, mixed_models
from histoprompt.pipelines.relate.one_column import Tested, related
from histoprompt.pipelines.relate.params import RelateParams
from histoprompt.pipelines.relate.retrieval import BY, Retrieval, retrieved, word_columns
from histoprompt.pipelines.relate.source import features_of
from histoprompt.pipelines.relate.study import (
    Study,
    check_apart,
    patient_cells,
    study_column,
    study_of,
)
from histoprompt.pipelines.relate.texts import (
    REPORTS,
    TEXT,
    column_texts,
    enough_texts,
    field_column,
    joined,
    patient_texts,
    read_fields,
)

Ints = NDArray[np.intp]

SCANNER_BLOCKS = "site and scanner"


@dataclass(frozen=True)
class Related:
    """What came of relating.

    Attributes
    ----------
    params : RelateParams
    study : Study
    columns : tuple of PatientColumn
        That could be related to.
    faults : tuple of ColumnFault
        Columns that could not, and why.
    guard : Guard
        What site and scanner have to do with it.
    findings : tuple of Finding
        Every test that was made, the smallest p first.
    mixed : tuple of Mixed
    models : tuple of PredictedOutcome
        Columns predicted from all features.
    retrievals : tuple of Retrieval
        Reports found by images and images by reports.
    words : tuple of PatientColumn
        Words of reports that were predicted one by one.
    notes : tuple of str
    """

    params: RelateParams
    study: Study
    columns: tuple[PatientColumn, ...]
    faults: tuple[ColumnFault, ...]
    guard: Guard
    findings: tuple[Finding, ...]
    mixed: tuple[Mixed, ...] = ()
    models: tuple[PredictedOutcome, ...] = ()
    retrievals: tuple[Retrieval, ...] = ()
    words: tuple[PatientColumn, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def surviving(self) -> tuple[Finding, ...]:
        """The findings that survive."""
        return tuple(f for f in self.findings if f.survives)

    def mixed_of(self, one: Finding) -> Mixed | None:
        """The mixed model beside a finding."""
        asked = (one.tested.feature, one.tested.column)
        return next((m for m in self.mixed if (m.feature, m.column) == asked), None)


def relate(project: Project, params: RelateParams, task: Task) -> Related:
    """Relate features to columns.

    Parameters
    ----------
    project : Project
        Its table tells patient, site and scanner of each slide, and all else; slides need no file.
    params : RelateParams
    task : Task

    Raises
    ------
    StudyError
        If features or patients cannot be used, or no column can be related to.
    """
    if not any(params.against):
        raise StudyError(
            "Name at least one column to relate to. The project has "
            f"{', '.join(_offered(project)) or 'none yet: add columns to its slides.csv'}."
        )
    study, slides = _study(project, params, task.part(0.0, 0.2))
    columns, faults = _columns(project, params, study, slides)
    texts = _texts(project, params, study, slides)
    if params.fields and texts:
        more, bad = _fields(params, texts)
        columns, faults = (*columns, *more), (*faults, *bad)
    if not columns and (faults or not texts):
        raise StudyError(" ".join(str(f) for f in faults))
    guard = guarded_study(study, columns, params.seed, task.part(0.2, 0.3))
    tested = _tested(study, columns, params, task.part(0.3, 0.7))
    models = _models(project, study, columns, params, task.part(0.7, 1.0))
    found_by = _retrievals(study, texts, params, task.quiet())
    words = word_columns(texts, 0 if params.fields or len(study.names) < 2 else params.words)
    models = (*models, *_word_models(study, words, params, task.quiet()))
    tested += [m.tested for m in models] + [t for one in found_by for t in one.tested]
    finer = _finer(study, columns, guard, params, task.quiet())
    found = findings(tested, params.level, finer)
    left = with_leaving(study, columns, study.blocks(params.blocks), params.seed, task.quiet())
    guard = replace(guard, warnings=(*guard.warnings, *leaving_notes(left)))
    found = told_of_leaving(found, left)
    mixed = mixed_models(study, columns, found)
    return Related(
        params, study, columns, faults, guard, tuple(found), mixed, models, found_by, words,
        study.notes,
    )  # fmt: skip


def _offered(project: Project) -> list[str]:
    """Columns of the table that are of patients."""
    return [c for c in project.table.columns if c not in ("id", "path", "mpp", "key", "patient")]


def _study(
    project: Project, params: RelateParams, task: Task
) -> tuple[Study, dict[str, ProjectSlide]]:
    slides = {s.id: s for s in project.slides}
    table = features_of(project, params, params.against, task)
    table, lacking = at_slides(table, list(slides))
    study = study_of([slides[s] for s in table.slides], table, params.pool)
    if params.fold_column:
        named = [slides[s] for s in table.slides]
        project.table.column(params.fold_column)
        folds = [s.cell(params.fold_column) for s in named]
        check_apart([s.patient or s.id for s in named], folds, params.fold_column)
    if lacking:
        note = f"Slides of the project without features: {len(lacking)} ({lacking[0]})."
        study = replace(study, notes=(*study.notes, note))
    return study, slides


def _columns(
    project: Project, params: RelateParams, study: Study, slides: Mapping[str, ProjectSlide]
) -> tuple[tuple[PatientColumn, ...], tuple[ColumnFault, ...]]:
    kinds = said_kinds(params.types)
    held = project.table.columns
    columns, faults = [], []
    for name in dict.fromkeys(params.against):
        if (name == REPORTS and name not in held) or kinds.get(name) == TEXT:
            continue
        try:
            columns.append(study_column(slides, study, held, name, kinds))
        except ColumnFault as fault:
            faults.append(fault)
    return tuple(columns), tuple(faults)


def _texts(
    project: Project, params: RelateParams, study: Study, slides: Mapping[str, ProjectSlide]
) -> list[str]:
    """Reports of patients, where they are asked for: the project's, or columns that are text."""
    kinds, held = said_kinds(params.types), project.table.columns
    said = [n for n in dict.fromkeys(params.against) if kinds.get(n) == TEXT and n != REPORTS]
    for name in said:
        project.table.column(name)  # there must be one
    texts = [column_texts(slides, study, name) for name in said]
    if REPORTS in params.against and REPORTS not in held:
        texts.append(patient_texts(project, study, params.reports))
    return enough_texts([joined(parts) for parts in zip(*texts, strict=True)], study)


def _fields(
    params: RelateParams, texts: Sequence[str]
) -> tuple[list[PatientColumn], list[ColumnFault]]:
    columns, faults = [], []
    for name, words in (read_fields(params.fields) if params.fields else {}).items():
        try:
            columns.append(field_column(name, words, texts, params.unmentioned))
        except ColumnFault as fault:
            faults.append(fault)
    return columns, faults


def _retrievals(
    study: Study, texts: Sequence[str], params: RelateParams, task: Task
) -> tuple[Retrieval, ...]:
    """Whole reports found by images, and the other way round."""
    if not texts or len(study.names) < 2:
        return ()
    ways = tuple(BY) if params.compared == "both" else (params.compared,)
    found = [
        retrieved(
            study, texts, blocks=study.blocks(params.blocks), folds=params.folds,
            permutations=params.permutations, seed=params.seed, task=task, by=by,
        )
        for by in ways
    ]  # fmt: skip
    return tuple(one for one in found if one)


def _word_models(
    study: Study, words: Sequence[PatientColumn], params: RelateParams, task: Task
) -> tuple[PredictedOutcome, ...]:
    """Words of reports one by one, where no fields were named."""
    models = [
        predicted_column(
            study, word, blocks=study.blocks(params.blocks), folds=params.folds,
            permutations=params.permutations, finest=params.level / max(len(words), 1),
            seed=params.seed, task=task, method=params.method,
        )
        for word in words
    ]  # fmt: skip
    return tuple(m for m in models if m)


def _tested(
    study: Study, columns: Sequence[PatientColumn], params: RelateParams, task: Task
) -> list[Tested]:
    """Every feature against every column."""
    found: list[Tested] = []
    for n, column in enumerate(columns):
        part = task.part(n / len(columns), (n + 1) / len(columns))
        found += related(
            study, column, blocks=study.blocks(params.blocks), permutations=params.permutations,
            finest=_finest(study, columns, params), seed=params.seed, task=part,
        )  # fmt: skip
    return found


def _finest(study: Study, columns: Sequence[PatientColumn], params: RelateParams) -> float:
    """The smallest p that matters: the level over the number of tests."""
    return params.level / max(len(columns) * (len(study.names) + 1), 1)


def _models(
    project: Project,
    study: Study,
    columns: Sequence[PatientColumn],
    params: RelateParams,
    task: Task,
) -> tuple[PredictedOutcome, ...]:
    """Every column predicted from all features; a single feature is no model."""
    if not params.model or len(study.names) < 2:
        return ()
    folds: Ints | int = params.folds
    if params.fold_column:
        slides = {s.id: s for s in project.slides}
        folds = named_folds(patient_cells(slides, study, params.fold_column))
        if len(np.unique(folds)) < 2:
            raise StudyError(f"All patients are in one fold of {params.fold_column}.")
    found = []
    for n, column in enumerate(columns):
        found.append(predicted_column(
            study, column, blocks=study.blocks(params.blocks), folds=folds,
            permutations=params.permutations, finest=_finest(study, columns, params),
            seed=params.seed, task=task.part(n / len(columns), (n + 1) / len(columns)),
            method=params.method,
        ))  # fmt: skip
    return tuple(m for m in found if m)


def _finer(
    study: Study, columns: Sequence[PatientColumn], guard: Guard, params: RelateParams, task: Task
) -> dict[tuple[str, str], float]:
    """The p within site and scanner, for columns that go with the scanner within sites."""
    along = {c.column for c in guard.confounded if c.what == "scanner" and c.goes_along}
    if params.blocks == SCANNER_BLOCKS:
        return {}
    found: dict[tuple[str, str], float] = {}
    for column in (c for c in columns if c.name in along):
        finer = related(
            study, column, blocks=study.blocks(SCANNER_BLOCKS), permutations=params.permutations,
            finest=1.0, seed=params.seed, task=task,
        )  # fmt: skip
        found |= {(t.feature, t.column): t.p for t in finer}
    return found
