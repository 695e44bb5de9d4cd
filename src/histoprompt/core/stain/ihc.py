"""Positive and negative cells of an immunostain by how much DAB they hold, without training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.parameters import Parameter

# The feature that is thresholded: mean optical density of DAB in the nucleus.
DAB_MEAN: Final = "dab_mean"
NEGATIVE: Final = "negative"
POSITIVE: Final = "positive"
GRADES: Final[tuple[str, ...]] = (NEGATIVE, "1+", "2+", "3+")


_DENSITY = "Mean optical density of DAB in the nucleus."
WEAK = Parameter("Positive (1+) from", _DENSITY, low=0.0, high=3.0)
MODERATE = Parameter("Moderate (2+) from", _DENSITY, low=0.0, high=3.0)
STRONG = Parameter("Strong (3+) from", _DENSITY, low=0.0, high=3.0)
GRADED = Parameter("Tell 1+, 2+ and 3+ apart", "Classes 1+, 2+ and 3+ instead of one.")


@dataclass(frozen=True)
class DabThresholds:
    """From which mean optical density of DAB a nucleus is 1+, 2+ and 3+.

    The defaults are those of QuPath's positive cell detection ("Nucleus: DAB OD mean", 0.2, 0.4,
    0.6): P. Bankhead et al., "QuPath: Open source software for digital pathology image analysis",
    Sci Rep 7, 16878 (2017). A laboratory should check them on a control slide of its own.

    Attributes
    ----------
    weak, moderate, strong : float
        Optical density, growing; a cell at a threshold has reached it.
    graded : bool
        Classes 1+, 2+ and 3+ instead of one class of positive cells.

    Raises
    ------
    LabelError
        If they are not above 0 and growing.
    """

    weak: Annotated[float, WEAK] = 0.2
    moderate: Annotated[float, MODERATE] = 0.4
    strong: Annotated[float, STRONG] = 0.6
    graded: Annotated[bool, GRADED] = False

    def __post_init__(self) -> None:
        if not 0 < self.weak < self.moderate < self.strong < np.inf:
            raise LabelError(
                f"DAB thresholds must be above 0 and grow from 1+ to 3+, not {self.weak}, "
                f"{self.moderate}, {self.strong}. QuPath's are 0.2, 0.4, 0.6."
            )

    def grade(self, density: NDArray[np.floating]) -> NDArray[np.int16]:
        """Grades 0 to 3 of (n,) mean densities of DAB; NaN is 0."""
        found = np.searchsorted([self.weak, self.moderate, self.strong], density, side="right")
        return np.where(np.isnan(density), 0, found).astype(np.int16)


@dataclass(frozen=True)
class DabClassifier:
    """Classes from the feature ``dab_mean``; used as any classifier is."""

    thresholds: DabThresholds = DabThresholds()

    @property
    def classes(self) -> tuple[str, ...]:
        """Negative and positive, or negative, 1+, 2+ and 3+."""
        return GRADES if self.thresholds.graded else (NEGATIVE, POSITIVE)

    def classify(
        self, features: NDArray[np.float32], feature_names: tuple[str, ...]
    ) -> tuple[tuple[str, ...], NDArray[np.int16], NDArray[np.float32]]:
        """Classes of n cells.

        Parameters
        ----------
        features : (n, k) float32
        feature_names : tuple of str
            Must hold ``dab_mean``.

        Returns
        -------
        classes : tuple of str
        code : (n,) int16
            Index into `classes`.
        score : (n,) float32
            NaN: a threshold says nothing about how sure it is.

        Raises
        ------
        LabelError
            If the cells were counted without stain features.
        """
        if DAB_MEAN not in feature_names:
            raise LabelError(
                f"The cells have no feature {DAB_MEAN}, which positive cells are told by. "
                "Count them again with features."
            )
        grade = self.thresholds.grade(features[:, feature_names.index(DAB_MEAN)])
        code = grade if self.thresholds.graded else np.minimum(grade, 1)
        return self.classes, code.astype(np.int16), np.full(len(code), np.nan, np.float32)


@dataclass(frozen=True)
class IhcScore:
    """What is reported of an immunostain.

    Attributes
    ----------
    cells : int
    grades : (negative, 1+, 2+, 3+)
        Cells of each.
    """

    cells: int
    grades: tuple[int, int, int, int]

    @property
    def positive_fraction(self) -> float:
        """Share of cells that are 1+ or more, such as a Ki-67 index; NaN without cells."""
        return 1 - self.grades[0] / self.cells if self.cells else float("nan")

    @property
    def h_score(self) -> float:
        """1 x per cent of 1+ plus 2 x per cent of 2+ plus 3 x per cent of 3+: 0 to 300.

        K. McCarty et al., "Estrogen receptor analyses. Correlation of biochemical and
        immunohistochemical methods using monoclonal antireceptor antibodies", Arch Pathol Lab Med
        109 (1985) 716-721. NaN without cells.
        """
        weighted = sum(grade * count for grade, count in enumerate(self.grades))
        return 100 * weighted / self.cells if self.cells else float("nan")


def ihc_score(
    density: NDArray[np.floating], thresholds: DabThresholds = DabThresholds()
) -> IhcScore:
    """Grades of cells by their (n,) mean optical densities of DAB; NaN is left out."""
    known = density[~np.isnan(density)]
    negative, weak, moderate, strong = np.bincount(thresholds.grade(known), minlength=4).tolist()
    return IhcScore(len(known), (negative, weak, moderate, strong))
