"""The cells of a region as columns: what counting hands to classes, tables and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

UNCLASSIFIED = ""
UNSURE = "unsure"
# Among the features: how likely it is a nucleus at all, in [0, 1]. Classes are not learnt from it.
PROBABILITY = "probability"


@dataclass(frozen=True, eq=False)
class CellTable:
    """n cells, a column an attribute.

    Attributes
    ----------
    id : (n,) int64
        The cell's value in the label image; unique, from 1.
    row, col : (n,) float64
        Centroid, level-0 pixels.
    area_um2 : (n,) float64
        Square microns.
    classes : tuple of str
        Names of classes; the empty name is that of cells nobody has classified.
    code : (n,) int16
        Index into `classes`.
    score : (n,) float32
        How sure the class is, in [0, 1]; NaN where there is none.
    features : (n, k) float32
        In the order of `feature_names`; NaN where one cannot be measured.
    feature_names : tuple of str
    palette : tuple of str
        Names of classes in the order colours were given out to them, whatever the order of
        `classes` is; those that are not in it come next.

    Raises
    ------
    ValueError
        If columns differ in length.
    """

    id: NDArray[np.int64]
    row: NDArray[np.float64]
    col: NDArray[np.float64]
    area_um2: NDArray[np.float64]
    classes: tuple[str, ...] = (UNCLASSIFIED,)
    code: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    score: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    features: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    feature_names: tuple[str, ...] = ()
    palette: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.id)
        empty = {"code": np.zeros(n, np.int16), "score": np.full(n, np.nan, np.float32)}
        empty["features"] = np.zeros((n, 0), np.float32)
        for name, value in empty.items():
            if n and len(getattr(self, name)) == 0:
                object.__setattr__(self, name, value)
        columns = (self.row, self.col, self.area_um2, self.code, self.score, self.features)
        if any(len(c) != n for c in columns):
            raise ValueError(f"Columns of {n} cells differ in length: {[len(c) for c in columns]}.")
        if self.features.shape[1] != len(self.feature_names):
            raise ValueError(
                f"{self.features.shape[1]} features have {len(self.feature_names)} names."
            )

    def __len__(self) -> int:
        return len(self.id)

    @property
    def class_names(self) -> list[str]:
        """The class of each cell."""
        return [self.classes[c] for c in self.code]

    def counts(self) -> dict[str, int]:
        """Cells of each class, in the order of `classes`."""
        found = np.bincount(self.code, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, found, strict=True)}

    def classified(
        self, classes: Sequence[str], code: NDArray[np.int16], score: NDArray[np.float32]
    ) -> CellTable:
        """The same cells with other classes."""
        return replace(self, classes=tuple(classes), code=code, score=score)

    def __getitem__(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> CellTable:
        """Some of the cells."""
        per_cell = ("id", "row", "col", "area_um2", "code", "score", "features")
        return replace(self, **{name: getattr(self, name)[index] for name in per_cell})
