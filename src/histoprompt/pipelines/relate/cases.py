"""``cases.h5ad``: patients as observations, features as variables, for scanpy and pandas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.core.files.atomic import replacing_file
from histoprompt.pipelines.formats.h5ad import AnnDataFile, opened_anndata
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.run import Related

CASES = "cases.h5ad"
# Columns that the table of patients has of its own.
_TAKEN = ("site", "scanner", "slides")


def write_cases(folder: Path, found: Related) -> tuple[str, ...]:
    """Write ``cases.h5ad`` where h5py is installed.

    Returns
    -------
    tuple of str
        A note where it is not.

    Raises
    ------
    ExportError
        If the disk is full.
    """
    try:
        with replacing_file(folder / CASES) as part, opened_anndata(part) as file:
            _fill(file, found)
    except ImportError:
        return (f"{CASES} is not written: h5py is not installed.",)
    return ()


def _fill(file: AnnDataFile, found: Related) -> None:
    study = found.study
    file.matrix(study.values.astype(np.float32))
    obs = file.frame("obs", list(study.patients))
    obs.category("site", study.site, study.sites)
    obs.category("scanner", study.scanner, study.scanners)
    obs.numbers("slides", np.array([len(s) for s in study.slides], np.int64))
    for column in found.columns:
        _column(obs, column)
    file.frame("var", list(study.names))
    facts = [
        {"feature": f.tested.feature, "column": f.tested.column, "p": _plain(f.tested.p),
         "q": _plain(f.q), "effect": _plain(f.tested.effect), "survives": f.survives, "why": f.why}
        for f in found.findings if f.survives
    ]  # fmt: skip
    file.facts(
        {"relate": json.dumps({"surviving": facts, "columns": [c.told for c in found.columns]})}
    )


def _column(obs: Any, column: PatientColumn) -> None:
    name = f"{column.name} (related)" if column.name in _TAKEN else column.name
    if column.levels:
        codes = np.where(column.known, np.nan_to_num(column.values), -1).astype(np.int64)
        obs.category(name, codes, column.levels, ordered=column.kind != "category")
        return
    obs.numbers(name, column.values)
    if column.event is not None:
        obs.numbers(f"{name} event", column.event)


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
