"""Which features tell classes of cells apart: the encoder's, those measured, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import PROBABILITY, CellTable
from histoprompt.pipelines.classes.classifiers import Method, Scaling, family
from histoprompt.pipelines.classes.ignored import without_ignored
from histoprompt.pipelines.classes.one_out import OneOut, leave_one_out
from histoprompt.pipelines.classes.train_params import TrainParams

MEASURED, MIX = "measured", "all together"
_ENOUGH = 3


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """A family of features, and what it is worth.

    Attributes
    ----------
    name : str
        The encoder's, ``measured`` for hand-made ones, or ``all together``.
    names : tuple of str
        Of its features.
    score : OneOut
    """

    name: str
    names: tuple[str, ...]
    score: OneOut

    def __str__(self) -> str:
        return (
            f"features {self.name} ({len(self.names)}): balanced accuracy "
            f"{self.score.balanced_accuracy:.2f}, macro F1 {self.score.macro_f1:.2f} on examples "
            "left out"
        )


def feature_sets(
    cells: CellTable, labels: Mapping[int, str], params: TrainParams
) -> tuple[FeatureSet, ...]:
    """Try each family of features alone, then all of them; empty with one class or one family.

    Parameters
    ----------
    cells : CellTable
        Features of encoders are called ``name_0``, ``name_1`` ...; all others are measured.
    labels : mapping of int to str
        Class of some ids; those of `Ignore*` are left out.
    params : TrainParams
    """
    given = without_ignored(labels)
    names = tuple(sorted(set(given.values())))
    learnt = [n for n in cells.feature_names if n != PROBABILITY]
    families = {n: kind_of(n) for n in learnt}
    kinds = sorted(set(families.values()))
    if len(names) < 2 or len(kinds) < 2:
        return ()
    row_of = {int(i): r for r, i in enumerate(cells.id)}
    rows = np.array([row_of[i] for i in given if i in row_of], np.intp)
    code = np.array([names.index(n) for i, n in given.items() if i in row_of], np.int16)
    sets = {kind: tuple(n for n in learnt if families[n] == kind) for kind in kinds}
    found = []
    for kind, chosen in {**sets, MIX: tuple(learnt)}.items():
        columns = [cells.feature_names.index(n) for n in chosen]
        features = cells.features[:, columns]
        scaled = Scaling.of(features, chosen).apply(features)[rows]
        score = leave_one_out(scaled, code, names, _method(params, code), strength=params.strength)
        if score is not None:
            found.append(FeatureSet(kind, chosen, score))
    return tuple(found)


def compared(cells: CellTable, labels: Mapping[int, str], params: TrainParams) -> str:
    """What each set of features is worth, in words."""
    found = feature_sets(cells, labels, params)
    if not found:
        return "There is one set of features, or too few labels of each class to compare sets."
    return ". ".join(str(one)[:1].upper() + str(one)[1:] for one in found) + "."


def kind_of(name: str) -> str:
    """The family of a feature: an encoder's, or those that were measured."""
    return family(name) or MEASURED


def _method(params: TrainParams, code: NDArray[np.int16]) -> Method:
    if params.method != "auto":
        return params.method
    return "logistic" if np.bincount(code).min() > _ENOUGH else "prototype"
