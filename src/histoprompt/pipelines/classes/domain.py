"""Whether a slide is of the kind that a classifier learnt from, before its classes are believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histoprompt.pipelines.classes.classifiers import FewShotClassifier, Float, chunks

# A slide is another kind if its cells are shifted by this many standard deviations of those learnt
# from, as a root mean square over the features, or if so many more are unlike every example.
_SHIFT, _FAR, _TIMES = 1.0, 0.25, 4.0
# Colour and sharpness are spread less, so more is needed to call them another kind.
_LOOK = 1.5
_FEWEST = 30


@dataclass(frozen=True)
class Domain:
    """How far a slide is from what a classifier learnt from.

    Attributes
    ----------
    cells : int
    shift : float
        Root mean square over the features of how far their means moved, in standard deviations.
    far : float
        Share of cells that are unlike every example.
    usual_far : float
        That share where it was trained; NaN if not known.
    look : float
        By how many standard deviations colour and sharpness of the slide are shifted; NaN if that
        was not looked at.
    """

    cells: int
    shift: float
    far: float
    usual_far: float
    look: float = float("nan")

    @property
    def outside(self) -> bool:
        """Whether the classes of this slide are not to be believed."""
        if self.cells < _FEWEST:
            return False
        if self.look > _LOOK:
            return True
        usual = 0.0 if np.isnan(self.usual_far) else self.usual_far
        return self.shift > _SHIFT or self.far > max(_FAR, _TIMES * usual)

    def __str__(self) -> str:
        usual = "" if np.isnan(self.usual_far) else f" ({self.usual_far:.0%} where it was trained)"
        said = "is unlike" if self.outside else "is like"
        look = "" if np.isnan(self.look) else f"colour and sharpness by {self.look:.2f}, "
        return (
            f"The slide {said} what the classifier learnt from: features are shifted by "
            f"{self.shift:.2f} standard deviations, {look}"
            f"{self.far:.0%} are unlike every example{usual}."
        )


def domain_of(classifier: FewShotClassifier, features: Float, names: tuple[str, ...]) -> Domain:
    """Hold the (n, k) features of a slide against those a classifier learnt from.

    Raises
    ------
    LabelError
        If features are missing.
    """
    chosen = classifier.chosen(features, names)
    if not len(chosen):
        return Domain(0, 0.0, 0.0, classifier.usual_far)
    scaling = classifier.scaling
    told = scaling.share > 0
    with np.errstate(all="ignore"):
        away = (np.nanmean(chosen, axis=0, dtype=np.float64) - scaling.mean) / scaling.deviation
    away = np.nan_to_num(np.clip(away[told], -5, 5))
    weight = np.square(scaling.share[told].astype(np.float64))
    shift = float(np.sqrt((weight * away**2).sum() / max(weight.sum(), 1e-12)))
    distance = np.concatenate(
        [classifier.judge(scaling.apply(chosen[s]))[1] for s in chunks(len(chosen))]
    )
    far = float((distance > classifier.reach).mean())
    return Domain(len(chosen), shift, far, classifier.usual_far)
