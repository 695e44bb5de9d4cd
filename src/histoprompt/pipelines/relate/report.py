"""The report: what site and scanner have to do with it comes first, findings after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from histoprompt import __version__
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.pages import page
from histoprompt.core.strings.addresses import is_address
from histoprompt.core.task import Task
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.findings import Finding
from histoprompt.pipelines.relate.many import LOGISTIC, METHODS, PredictedOutcome
from histoprompt.pipelines.relate.methods import methods_paragraph
from histoprompt.pipelines.relate.mixed import MOST
from histoprompt.pipelines.relate.one_column import effects_by_site
from histoprompt.pipelines.relate.pictures import Pictures
from histoprompt.pipelines.relate.plots import calibration, curve, forest, scatter, site_colour
from histoprompt.pipelines.relate.retrieval import BY, WAYS
from histoprompt.pipelines.relate.run import Related
from histoprompt.pipelines.relate.sights import Sights

_TEMPLATE = Path(__file__).with_name("templates") / "report.html"
# Findings with plots, where none and where some survive; lines of the table.
_FEW, _SHOWN, _LINES = 3, 12, 200
SCALES = {
    "Spearman": "Spearman's rho",
    "Mann-Whitney": "Cliff's delta",
    "Kruskal-Wallis": "eta²",
    "Fisher": "log odds ratio",
    "chi-squared": "Cramér's V",
    "Cox": "log hazard ratio per SD",
    "Cox, two groups": "log hazard ratio",
    "log-rank": "eta²",
    **{f"{by}, {way}": "1 less twice the mean rank" for by in BY.values() for way in WAYS},
    **dict.fromkeys((m.test for m in METHODS.values()), "Somers' D (twice the concordance less 1)"),
}
# How columns of what reports say are named.
OF_REPORTS = ("word: ", "report: ")
# What predicts, and what is chosen inside of each fold.
_HOW = {
    "ridge": "ridge regression, its strength chosen inside",
    "logistic": "two groups by logistic regression, its strength chosen inside",
    "PLS": "partial least squares, the number of components chosen inside",
}


def write_report(path: Path, found: Related, project: Project, task: Task) -> None:
    """Write ``report.html``; it needs no other file.

    Parameters
    ----------
    path : Path
    found : Related
    project : Project
        Of the slides that are linked and pictured.
    task : Task

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    slides = {s.id: s for s in project.slides}
    links = {i: _link(project.place(s)) for i, s in slides.items() if project.has_file(s)}
    words = tuple(c for c in (*found.columns, *found.words) if c.name.startswith(OF_REPORTS))
    of_words = [(c.name.split(": ", 1)[1], c.values) for c in words]
    sights = Sights(project, found.study, found.params, of_words)
    pictures = Pictures(project, slides, sights, found.params.pictures)
    shown = _shown(found)
    cards = []
    for done, one in enumerate(shown):
        task.step(done, len(shown), "Drawing findings")
        cards.append(_card(found, one, links, pictures, task))
    facts = {
        "name": project.name,
        "found": found,
        "study": found.study,
        "params": found.params,
        "guard": found.guard,
        "lines": [_line(f) | {"mixed": found.mixed_of(f)} for f in found.findings[:_LINES]],
        "left": max(0, len(found.findings) - _LINES),
        "cards": cards,
        "forests": _forests(found),
        "mixed": bool(found.mixed),
        "most_mixed": MOST,
        "retrievals": [
            {"one": one, "lines": [_line(f) for f in found.findings if f.tested in one.tested]}
            for one in found.retrievals
        ],
        "words": [
            _word(found, m, column, pictures, task)
            for m in found.models
            for column in words
            if column.name == m.tested.column
        ],
        "models": [_model(found, m) for m in found.models],
        "hows": list(dict.fromkeys(_HOW[m.how.name] for m in found.models)),
        "sites": _sites(found),
        "methods": methods_paragraph(found.params, found),
        "version": __version__,
        "tests": sum(np.isfinite(f.tested.p) for f in found.findings),
    }
    with replacing_file(path) as part:
        part.write_text(page(_TEMPLATE, facts), encoding="utf-8", errors="replace")


def _link(place: str) -> str:
    return place if is_address(place) else Path(place).absolute().as_uri()


def _shown(found: Related) -> list[Finding]:
    """Findings with plots: those that survive, else the best of what there is.

    Models of all features, and reports, have pages of their own.
    """
    of = {c.name: c for c in found.columns}
    plotted = [f for f in found.findings
               if f.tested.column in of and f.tested.feature in found.study.names]  # fmt: skip
    alive = [f for f in plotted if f.survives][:_SHOWN]
    rest = [f for f in plotted if not f.survives and np.isfinite(f.tested.p)]
    return alive + rest[: max(0, _FEW - len(alive))]


def effect_told(one: Finding) -> str:
    """The effect with interval and n, never without."""
    t = one.tested
    if not np.isfinite(t.effect):
        return f"no effect can be estimated, n = {t.n}"
    scale = SCALES.get(t.test, "effect")
    return f"{scale} {t.effect:.2f} (95 % {t.low:.2f} to {t.high:.2f}), n = {t.n}"


def _line(one: Finding) -> dict[str, Any]:
    t = one.tested
    return {
        "feature": t.feature, "column": t.column, "test": t.test, "n": t.n, "sites": t.sites,
        "effect": effect_told(one) if np.isfinite(t.effect) else "", "p": small(t.p),
        "q": small(one.q), "left": small(one.p_left_out), "survives": one.survives, "why": one.why,
    }  # fmt: skip


def small(value: float) -> str:
    """A p or q as people write it; empty where there is none."""
    if not np.isfinite(value):
        return ""
    return f"{value:.2g}" if value >= 0.0001 else f"{value:.0e}"


def _card(
    found: Related, one: Finding, links: dict[str, str], pictures: Pictures, task: Task
) -> dict[str, Any]:
    t = one.tested
    column = next(c for c in found.columns if c.name == t.column)
    rows = [("all", t.n, t.effect, t.low, t.high, True, not one.survives)]
    for name, n, effect in effects_by_site(found.study, column, t.feature):
        ends = (float(effect.size[0]), float(effect.low[0]), float(effect.high[0]))
        rows.append((name, n, *ends, False, not one.survives))
    sides = pictures.of_feature(t.feature, task)
    return {
        "line": _line(one),
        "told": effect_told(one),
        "forest": forest(rows) if t.signed and np.isfinite(t.effect) else None,
        "scatter": scatter(found.study, t.feature, column, links),
        "sides": sides if any(e.address for side in sides for e in side) else [],
        "column": column,
        "mixed": found.mixed_of(one),
    }


def _word(
    found: Related, one: PredictedOutcome, column: PatientColumn, pictures: Pictures, task: Task
) -> dict[str, Any]:
    """Pictures of what goes most and least with a word of reports."""
    line = next(f for f in found.findings if f.tested is one.tested)
    sides = pictures.of_word(column.values, one.patients, one.predicted, task)
    seen = any(e.address for side in sides for e in side)
    return {"word": column.name.split(": ", 1)[1], "line": _line(line),
            "sides": sides if seen else []}  # fmt: skip


def _model(found: Related, one: PredictedOutcome) -> dict[str, Any]:
    line = next(f for f in found.findings if f.tested is one.tested)
    column = next((c for c in found.columns if c.name == one.tested.column), None)
    rows = np.array(one.patients)
    shown: dict[str, Any] = {
        "model": one, "survives": line.survives, "why": line.why, "q": small(line.q),
        "p": small(one.tested.p), "p_by_site": small(one.p_by_site), "calibration": None,
        "curve": None,
        "low": (one.tested.low + 1) / 2, "high": (one.tested.high + 1) / 2,
    }  # fmt: skip
    if column is not None and column.kind == "binary":
        seen = column.values[rows]
        sites = found.study.site[rows]
        base = np.array([seen[sites == s].mean() for s in sites])
        if one.how is LOGISTIC:
            share = expit(one.predicted + logit(base))
        else:
            share = np.clip(one.predicted + base, 0, 1)
        shown["calibration"] = calibration(share, seen)
    if one.curve:
        shown["curve"] = curve(one.curve.sizes, one.curve.scores, one.curve.errors)
    return shown


def _forests(found: Related) -> list[dict[str, Any]]:
    """The best of each column below each other, on one scale each."""
    plots = []
    for column in found.columns:
        of = [
            f
            for f in found.findings
            if f.tested.column == column.name and f.tested.signed and np.isfinite(f.tested.effect)
        ]
        for test in dict.fromkeys(f.tested.test for f in of):
            rows = [
                (f.tested.feature, f.tested.n, f.tested.effect, f.tested.low, f.tested.high,
                 f.survives, not f.survives)
                for f in of if f.tested.test == test
            ][:25]  # fmt: skip
            plots.append({"column": column, "scale": SCALES.get(test, test), **forest(rows)})
    return plots


def _sites(found: Related) -> Sequence[dict[str, Any]]:
    study = found.study
    return [
        {"name": name, "n": int((study.site == s).sum()), "colour": site_colour(s)}
        for s, name in enumerate(study.sites)
    ]
