"""Patients who leave early: told of beside findings, never a finding."""

import numpy as np
import pytest

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.censoring import leaving_notes, told_of_leaving, with_leaving
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.findings import findings
from histoprompt.pipelines.relate.one_column import related
from histoprompt.pipelines.relate.study import Study


def made(leaves: float, hazard: float) -> tuple[Study, PatientColumn]:
    """Two features; the first says how early patients leave, and how early the event comes."""
    rng = np.random.default_rng(3)
    n = 120
    x, site = rng.normal(size=(n, 2)), np.arange(n) % 3
    event = rng.exponential(np.exp(-hazard * x[:, 0]))
    leave = rng.exponential(1.5 * np.exp(-leaves * x[:, 0]))
    patients = tuple(f"P{i}" for i in range(n))
    study = Study(patients, tuple((p,) for p in patients), site.astype(np.intp), ("A", "B", "C"),
                  np.zeros(n, np.intp), ("",), ("f0", "f1"), x)  # fmt: skip
    time = np.minimum(event, leave)
    return study, PatientColumn("os", "survival", time, (), (event <= leave).astype(float))


def judged(study: Study, column: PatientColumn):
    how = {"blocks": study.site, "seed": 1, "task": Task()}
    found = findings(related(study, column, permutations=400, finest=0.01, **how), 0.05)
    return found, with_leaving(study, [column], study.site, 1, Task())


def test_a_feature_that_goes_with_leaving_is_told_of_and_is_no_finding():
    found, seen = judged(*made(leaves=1.5, hazard=0.0))
    assert not any(one.survives for one in found)
    assert seen["f0", "os"] < 0.01 < seen["f1", "os"]
    (note,) = leaving_notes(seen)
    assert note.startswith("1 of 2 features go with how long patients of os were seen (p ")
    assert "0.1 by chance" in note


def test_a_finding_says_so_of_its_feature():
    found, seen = judged(*made(leaves=1.5, hazard=1.5))
    first = next(one for one in told_of_leaving(found, seen) if one.tested.feature == "f0")
    assert first.survives
    assert "; goes with how long patients were seen too (p 0.0" in first.why
    found, seen = judged(*made(leaves=0.0, hazard=1.5))
    first = next(one for one in told_of_leaving(found, seen) if one.tested.feature == "f0")
    assert first.survives
    assert "were seen" not in first.why
    assert leaving_notes(seen) == ()


@pytest.mark.parametrize("kind", ["number", "survival"])
def test_columns_that_nobody_left_are_passed_over(kind):
    study, column = made(0.0, 0.0)
    event = np.ones(len(study)) if kind == "survival" else None
    assert with_leaving(study, [PatientColumn("y", kind, column.values, (), event)], study.site, 1,
                        Task()) == {}  # fmt: skip
