"""The cells of a region as columns: what counting hands to classes, tables and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_schema import OPTIONAL_COLUMNS, PER_CELL

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
    colours : mapping of str to (r, g, b)
        Of classes that came with one; the others get theirs from a palette.

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
    colours: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.id)
        empty = {c.attribute: np.full(n, c.empty, c.dtype) for c in OPTIONAL_COLUMNS}
        empty["features"] = np.zeros((n, 0), np.float32)
        for name, value in empty.items():
            if n and len(getattr(self, name)) == 0:
                object.__setattr__(self, name, value)
        lengths = {name: len(getattr(self, name)) for name in PER_CELL}
        if set(lengths.values()) != {n}:
            raise ValueError(f"Columns of {n:,} cells differ in length: {lengths}.")
        if self.features.shape[1] != len(self.feature_names):
            raise ValueError(
                f"{self.features.shape[1]} features have {len(self.feature_names)} names."
            )

    @classmethod
    def empty(cls) -> CellTable:
        """A table without cells."""
        nothing = np.zeros(0)
        return cls(nothing.astype(np.int64), nothing, nothing, nothing)

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
        return replace(self, **{name: getattr(self, name)[index] for name in PER_CELL})

    def pieces(self, size: int) -> Iterator[CellTable]:
        """The same cells, so many at a time; one empty piece where there are none."""
        for start in range(0, max(1, len(self)), size):
            yield self[start : start + size]

    def without_features(self) -> CellTable:
        """The same cells without what was measured of them."""
        return replace(self, features=self.features[:, :0], feature_names=())
