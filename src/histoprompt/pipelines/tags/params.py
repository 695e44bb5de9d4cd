"""How tags are proposed, filtered and picked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from histoprompt.core.errors import PromptError
from histoprompt.core.parameters import Parameter, check
from histoprompt.models import registry
from histoprompt.pipelines.embedding.words import TEMPLATES
from histoprompt.pipelines.recipes.place import REGION, check_region

Kind = Literal["cells", "tiles"]


@dataclass(frozen=True)
class TagParams:
    """How tags are proposed, filtered and picked.

    The filter follows VLM-CPL (Zhong et al., TMI 2025): votes of augmented views, their entropy,
    and the agreement of clusters with the votes. How much it keeps was chosen on nuclei of NuCLS
    that no figure is reported of.

    Attributes
    ----------
    tags : Path or None
        The file of tags.
    kind : {"cells", "tiles"}
        What gets a tag.
    model : str
        Id of the model that compares images with words.
    weights : Path or None
    segmenter : str
        Id of the model that finds cells.
    templates : str
        A key of `queries.TEMPLATES`.
    candidates : int
        Most cells or tiles looked at in each slide.
    entropy_share : float
        Share of each tag's candidates, those of the lowest vote entropy, that is kept; those as low
        as the last of them are kept too.
    clusters : int
        Clusters per tag that votes must agree with.
    margin : float
        Least difference between the two likeliest tags, in probability.
    duplicate : float
        Cosine from which two pictures are one.
    per_slide, per_class : int
        Most kept of a tag in each slide, and in all.
    aim : float
        Precision that the reviewer wants of each tag.
    region : tuple of int
    """

    tags: Annotated[
        Path | None, Parameter("Tags", "The file of tags, with wordings and attributes.")
    ] = None
    kind: Annotated[
        Kind,
        Parameter(
            "What is tagged",
            "What gets a tag.",
            offers=(("cells", "cells"), ("tiles of tissue", "tiles")),
        ),
    ] = "cells"
    model: Annotated[str, Parameter("Model", "What compares images with words.")] = (
        registry.DEFAULT_WORDS
    )
    weights: Annotated[
        Path | None, Parameter("Weights", "A weights file of your own.", advanced=True)
    ] = None
    segmenter: Annotated[str, Parameter("Cells found by", "What finds cells.", advanced=True)] = (
        registry.DEFAULT_CELLS
    )
    templates: Annotated[
        str,
        Parameter(
            "Word put as",
            "Sentences that a text is put into, as published with these models.",
            choices=tuple(TEMPLATES),
            advanced=True,
        ),
    ] = "conch"
    candidates: Annotated[
        int,
        Parameter(
            "At most per slide", "Most cells or tiles looked at per slide.", low=1, high=100_000
        ),
    ] = 2000
    entropy_share: Annotated[
        float,
        Parameter(
            "Surest votes",
            "Share of each tag's candidates with the lowest vote entropy that is kept.",
            low=0.01,
            high=1.0,
            advanced=True,
        ),
    ] = 0.7
    clusters: Annotated[
        int,
        Parameter(
            "Clusters per tag",
            "In how many ways a tag may look: candidates are kept whose cluster agrees.",
            low=1,
            high=20,
            advanced=True,
        ),
    ] = 4
    margin: Annotated[
        float,
        Parameter(
            "Least margin",
            "Least difference in probability between the two likeliest tags.",
            low=0.0,
            high=0.9,
            advanced=True,
            option="tag-margin",
        ),
    ] = 0.05
    duplicate: Annotated[
        float,
        Parameter(
            "Duplicates from",
            "Cosine from which two pictures are one.",
            low=0.5,
            high=1.0,
            advanced=True,
        ),
    ] = 0.98
    per_slide: Annotated[
        int,
        Parameter(
            "Most per slide", "Most kept of each tag per slide.", low=1, high=100_000, advanced=True
        ),
    ] = 100
    per_class: Annotated[
        int,
        Parameter(
            "Most per tag", "Most kept of each tag in all.", low=1, high=100_000, advanced=True
        ),
    ] = 500
    aim: Annotated[
        float,
        Parameter("Precision wanted", "Precision that is wanted of each tag.", low=0.5, high=0.99),
    ] = 0.8
    region: Annotated[tuple[int, ...], REGION] = ()

    def __post_init__(self) -> None:
        check(self, PromptError)
        check_region(self.region)
