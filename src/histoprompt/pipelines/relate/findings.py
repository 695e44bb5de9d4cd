"""What survives: q over all tests of a run, every site left out, and the reason of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from histoprompt.pipelines.relate.one_column import Tested


@dataclass(frozen=True)
class Finding:
    """A line of ``relate.csv``.

    Attributes
    ----------
    tested : Tested
    q : float
        Benjamini and Hochberg, over every p of the run.
    p_left_out : float
        The largest p when any one site is left out; nan where there is none.
    survives : bool
    why : str
        What it survives, or what it fails.
    """

    tested: Tested
    q: float
    p_left_out: float
    survives: bool
    why: str


def findings(
    tested: Sequence[Tested], level: float, finer: Mapping[tuple[str, str], float] | None = None
) -> list[Finding]:
    """Judge all tests of a run together, the smallest p first.

    Parameters
    ----------
    tested : sequence of Tested
        Every test that was made: leaving some away would make q too small.
    level : float
    finer : mapping of (feature, column) to float, optional
        The p within site and scanner of tests whose column goes with the scanner.
    """
    p = np.array([t.p for t in tested], float)
    q = np.full(len(tested), np.nan)
    made = np.isfinite(p)
    if made.any():
        q[made] = stats.false_discovery_control(p[made], method="bh")
    order = sorted(range(len(tested)), key=lambda i: (not made[i], p[i] if made[i] else 0.0, i))
    many = int(made.sum())
    return [_finding(tested[i], float(q[i]), level, many, finer or {}) for i in order]


def worst_left_out(one: Tested) -> tuple[str, float]:
    """The site without which p is largest, and that p; nan where nothing is left."""
    if not one.left_out:
        return "", float("nan")
    empty = next((s for s, (_, p) in one.left_out.items() if np.isnan(p)), None)
    if empty is not None:
        return empty, float("nan")
    site = max(one.left_out, key=lambda s: one.left_out[s][1])
    return site, one.left_out[site][1]


def _finding(
    one: Tested, q: float, level: float, many: int, finer: Mapping[tuple[str, str], float]
) -> Finding:
    _, worst = worst_left_out(one)
    fault = _fault(one, q, level, many, finer.get((one.feature, one.column)))
    return Finding(one, q, worst, not fault, fault or _holds(one))


def _fault(one: Tested, q: float, level: float, many: int, finer: float | None) -> str:
    """Why a finding does not survive; empty if it does."""
    if np.isnan(one.p):
        return _nothing(one)
    if q > level:
        return f"q {q:.3g} is over {level:g}: chance finds as much in {many} tests"
    if finer is not None and not finer <= level:
        said = "nothing is left to compare" if np.isnan(finer) else f"p {finer:.2g}"
        return f"goes with the scanner: within site and scanner {said}"
    return _fault_of_sites(one, level) or _fault_of_direction(one)


def _fault_of_sites(one: Tested, level: float) -> str:
    if one.sites < 2:
        return "all patients are of one site: there is no other to hold in"
    if len(one.telling) < 2:
        return f"rests on the site {one.telling[0]} alone: the others cannot tell"
    site, worst = worst_left_out(one)
    if one.transfer:
        return f"a model of other sites does not tell (p {worst:.2g})" if worst > level else ""
    if np.isnan(worst):
        return f"without the site {site} nothing is left to compare"
    return f"does not hold without the site {site} (p {worst:.2g})" if worst > level else ""


def _fault_of_direction(one: Tested) -> str:
    if not one.signed:
        return ""
    if not np.isfinite(one.effect):
        return "its size cannot be estimated: groups do not overlap"
    turned = [s for s, (e, _) in one.left_out.items() if np.isfinite(e) and e * one.effect <= 0]
    return f"turns round without the site {turned[0]}" if turned else ""


def _nothing(one: Tested) -> str:
    if not one.varies:
        return f"{one.feature} is the same in all patients"
    if one.sites < 2:
        return "nothing differs between patients"
    return (
        f"each site has one value of {one.column} or of {one.feature}: what is of the site and "
        "what is of the patients cannot be told apart"
    )


def _holds(one: Tested) -> str:
    if one.transfer:
        return "also in sites that the model was not learnt from"
    quiet = one.sites - len(one.telling)
    more = f"; {quiet} of {one.sites} sites cannot tell" if quiet else ""
    return f"holds without each of {one.sites} sites{more}"
