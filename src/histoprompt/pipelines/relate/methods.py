"""The methods paragraph of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histoprompt.pipelines.relate.params import RelateParams

if TYPE_CHECKING:
    from histoprompt.pipelines.relate.run import Related

_POOLED = {
    "area": "by their mean weighted by the area analysed",
    "mean": "by their mean",
    "median": "by their median",
    "max": "by their highest value",
}
_TESTS = {
    "Spearman": "Spearman's correlation",
    "Mann-Whitney": "the Mann-Whitney (van Elteren) test with Cliff's delta",
    "Kruskal-Wallis": "the Kruskal-Wallis test with eta squared",
    "Fisher": "Fisher's (Cochran-Mantel-Haenszel) test with the log odds ratio",
    "chi-squared": "the chi-squared (Cochran-Mantel-Haenszel) test with Cramer's V",
    "Cox": "Cox's proportional hazards with a baseline for each site and the log hazard ratio per "
           "standard deviation",
    "Cox, two groups": "Cox's proportional hazards with a baseline for each site and the log "
                       "hazard ratio of two groups",
    "log-rank": "the log-rank test",
    **{
        f"cross-validated {name}": f"{what} on all features with folds of patients, scored by the "
        "concordance within sites"
        for name, what in (
            ("ridge", "ridge regression"),
            ("logistic regression", "logistic regression with a ridge"),
            ("PLS", "partial least squares"),
        )
    },
}  # fmt: skip


def methods_sentence(params: RelateParams) -> str:
    """What is known from the parameters alone."""
    return (
        f"Features ({params.features}) were related to {', '.join(params.against)} with the "
        f"patient as the unit; slides of one patient were pooled {_POOLED[params.pool]}. Values "
        f"were compared within {params.blocks} only: p values are of at least "
        f"{params.permutations} permutations within {params.blocks} (more where p was small), "
        f"and q values are of Benjamini and Hochberg over all tests made. A finding was taken to "
        f"survive if q was at most {params.level:g} and if, with each site left out in turn, the "
        f"direction stayed the same and p stayed at most {params.level:g}."
    )


def methods_paragraph(params: RelateParams, found: Related) -> str:
    """The paragraph, with the numbers of the study."""
    study = found.study
    used = dict.fromkeys(f.tested.test for f in found.findings)
    tests = "; ".join(_TESTS.get(name, name) for name in used)
    slides = sum(len(s) for s in study.slides)
    text = (
        f"{len(study):,} patients with {slides:,} slides of {len(study.sites)} sites were analysed "
        f"({len(study.names)} features). {methods_sentence(params)} Effects are within sites, "
        f"with 95 % intervals: {tests}."
    )
    if found.mixed:
        text += " Mixed models with the site as a random effect were fitted beside (statsmodels)."
    made = sum(f.tested.permutations > 0 for f in found.findings)
    return f"{text} {made} tests were made, of which {len(found.surviving)} survived."
