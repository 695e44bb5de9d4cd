"""Places of marks in the report's plots; the templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.study import Study

# Colours of Okabe and Ito, told apart by colour-blind people; sites beyond them are grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6a00", "#000000")
_OTHER = "#999999"
_WIDE, _TALL = 340.0, 220.0
_LEFT, _TOP = 52.0, 10.0
_APART = 30.0  # numbers below an axis that are nearer than this would run into each other


def site_colour(site: int) -> str:
    """The colour of a site's patients."""
    return COLOURS[site] if site < len(COLOURS) else _OTHER


@dataclass(frozen=True)
class Bar:
    """A line of a forest plot: an effect with its interval, in pixels of the plot."""

    label: str
    n: int
    text: str
    x: float
    x0: float
    x1: float
    bold: bool
    grey: bool


def forest(rows: Sequence[tuple[str, int, float, float, float, bool, bool]]) -> dict[str, Any]:
    """Effects below each other.

    Parameters
    ----------
    rows : sequence of (label, n, effect, low, high, bold, grey)
        Of one scale.

    Returns
    -------
    dict
        Bars, where 0 is, the numbers below the axis (x, text), where the axis is, and the height.
    """
    ends = [v for row in rows for v in row[2:5] if np.isfinite(v)]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    # an interval of a few patients must not make all others a point
    reach = max(3 * max((abs(row[2]) for row in rows if np.isfinite(row[2])), default=1.0), 0.1)
    low, high = max(low, -reach), min(high, reach)
    ends, span = [low, high], max(high - low, 1e-9)
    low, high = low - 0.05 * span, high + 0.05 * span

    def place(v: float) -> float:
        return 8 + (min(max(v, low), high) - low) / (high - low) * 264

    bars = [
        Bar(label, n, f"{effect:.2f} ({lo:.2f} to {hi:.2f})", place(effect), place(lo), place(hi),
            bold, grey)
        for label, n, effect, lo, hi, bold, grey in rows
    ]  # fmt: skip
    zero = place(0.0)
    marks = [(place(v), f"{v:.2g}") for v in ends if abs(place(v) - zero) > _APART]
    return {"bars": bars, "zero": zero, "marks": [(zero, "0"), *marks],
            "base": 22 * len(bars), "tall": 22 * len(bars) + 38}  # fmt: skip


def scatter(
    study: Study, feature: str, column: PatientColumn, links: dict[str, str]
) -> dict[str, Any]:
    """Patients as points: the column to the right, the feature upwards.

    Parameters
    ----------
    study : Study
    feature : str
    column : PatientColumn
    links : dict of str to str
        Addresses of slides by their ids.
    """
    y = study.values[:, study.names.index(feature)]
    rows = np.flatnonzero(np.isfinite(y) & column.known)
    x = column.values.copy()
    levels = bool(column.levels)
    if levels:  # patients of a level side by side, always in the same way
        x[rows] = x[rows] + _spread(column.values[rows], y[rows])
    across, up = _scale(x[rows], levels), _scale(y[rows], bool(study.levels.get(feature)))
    points = [
        {
            "x": _LEFT + across(x[i]) * _WIDE,
            "across": across(x[i]),
            "up": up(y[i]),
            "slides": study.slides[i],
            "y": _TOP + (1 - up(y[i])) * _TALL,
            "colour": site_colour(int(study.site[i])),
            "hollow": column.event is not None and not column.event[i] > 0,
            "title": f"{study.patients[i]} ({study.sites[study.site[i]]}): "
                     f"{', '.join(study.slides[i])}",
            "link": next((links[s] for s in study.slides[i] if s in links), ""),
        }
        for i in rows.tolist()
    ]  # fmt: skip
    marks = (
        [(_LEFT + across(float(k)) * _WIDE, word) for k, word in enumerate(column.levels)]
        if levels else [(_LEFT + across(v) * _WIDE, _read(v)) for v in _ends(x[rows])]
    )  # fmt: skip
    heights = [(_TOP + (1 - up(v)) * _TALL, _read(v)) for v in _ends(y[rows])]
    return {"points": points, "marks": marks, "heights": heights, "column": column.name,
            "feature": feature, "n": len(rows), "wide": _LEFT + _WIDE + 20,
            "tall": _TOP + _TALL + 44,
            "left": _LEFT, "top": _TOP, "base": _TOP + _TALL}  # fmt: skip


def _spread(level: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.zeros(len(level))
    for value in np.unique(level):
        rows = np.flatnonzero(level == value)
        order = rows[np.argsort(height[rows], kind="stable")]
        out[order] = 0.12 * ((np.arange(len(order)) * 0.618034) % 1.0 - 0.5) * 4
    return out


def _read(value: float) -> str:
    """A number beside an axis, as people read it: 2,033 and not 2e+03."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _scale(values: NDArray[np.float64], levels: bool) -> Any:
    low, high = _ends(values)
    pad = 0.35 if levels else 0.05 * (high - low) or 0.5
    low, high = low - pad, high + pad
    return lambda v: float((v - low) / (high - low))


def curve(sizes: Sequence[int], scores: Sequence[float], errors: Sequence[float]) -> dict[str, Any]:
    """Concordance by the number of patients; 0.5 is chance."""
    low, high = min(0.45, min(scores) - 0.05), 1.0
    span = max(sizes) - min(sizes) or 1

    def place(score: float) -> float:
        return 10 + (high - score) / (high - low) * 150

    points = [
        {"x": 50 + (n - min(sizes)) / span * 280, "y": place(s), "y0": place(s - 2 * e),
         "y1": place(min(s + 2 * e, high)), "n": n, "score": f"{s:.2f}"}
        for n, s, e in zip(sizes, scores, errors, strict=True)
    ]  # fmt: skip
    return {"points": points, "chance": place(0.5)}


def calibration(
    predicted: NDArray[np.float64], seen: NDArray[np.float64], groups: int = 5
) -> dict[str, Any]:
    """Predicted against seen shares of a yes, in groups of patients by prediction.

    Parameters
    ----------
    predicted, seen : (n,) float64
        Predictions between 0 and 1; 0 or 1.
    groups : int
    """
    order = np.argsort(predicted, kind="stable")
    points = []
    for rows in np.array_split(order, groups):
        n, yes = len(rows), float(seen[rows].sum())
        low, high = wilson(yes, n)
        points.append({
            "x": 50 + 170 * float(predicted[rows].mean()), "y": 180 - 170 * yes / n,
            "y0": 180 - 170 * low, "y1": 180 - 170 * high,
            "title": f"{yes:.0f} of {n:,} patients", "n": n,
        })  # fmt: skip
    return {"points": points}


def wilson(yes: float, n: int) -> tuple[float, float]:
    """The 95 % interval of Wilson of a share."""
    z = 1.959964
    middle = (yes + z * z / 2) / (n + z * z)
    wide = z / (n + z * z) * float(np.sqrt(yes * (n - yes) / n + z * z / 4))
    return middle - wide, middle + wide
