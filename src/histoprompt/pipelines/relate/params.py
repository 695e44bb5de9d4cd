"""What relating is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from histoprompt.core.parameters import Parameter, check
from histoprompt.models import registry

# Fewer patients than this are no basis for a finding.
FEWEST = 20


@dataclass(frozen=True)
class RelateParams:
    """What is related to what, and how it is tested.

    Attributes
    ----------
    features : str
        counts, scenes, tiles, embedding, or a CSV file.
    encoder : str
        Of tiles and embedding.
    against : tuple of str
        Columns of the project's table; ``reports`` for what report texts say.
    types : tuple of str
        Kinds of columns as a person says them.
    reports : Path or None
        A CSV or a folder of texts.
    fields : Path or None
        TOML: what to look for in reports.
    unmentioned : str
        What a report says of what it does not mention.
    compared : str
        By what reports are found.
    words : int
        Of reports, that are predicted by themselves.
    pool : str
        How slides of a patient become one.
    blocks : str
        Patients between whom values may change places.
    permutations : int
    level : float
        False findings that are taken into the bargain.
    model : bool
        Whether all features together are related too.
    method : str
        What predicts from all features.
    folds : int
    fold_column : str
        Folds of the user's own.
    radius : float
    pictures : int
    seed : int
    """

    features: Annotated[
        str,
        Parameter(
            "Features", "Counts, scenes, tiles, embedding, or a CSV file with a column slide."
        ),
    ] = "counts"
    encoder: Annotated[
        str,
        Parameter(
            "Encoder", "Of tiles and embedding: what slides were indexed with.", advanced=True
        ),
    ] = registry.DEFAULT_TILES
    against: Annotated[
        tuple[str, ...],
        Parameter("Against", "Columns of slides.csv, TIME:EVENT for survival, or reports."),
    ] = ()
    types: Annotated[
        tuple[str, ...],
        Parameter("Types", "Correct what was recognised: NAME=KIND, or NAME=LOW<MIDDLE<HIGH."),
    ] = ()
    reports: Annotated[
        Path | None,
        Parameter("Reports", "CSV with slide or patient and text, or a folder of text files."),
    ] = None
    fields: Annotated[
        Path | None,
        Parameter("Fields", "TOML: names, and the words or expressions that stand for each."),
    ] = None
    unmentioned: Annotated[
        Literal["no", "unknown"],
        Parameter(
            "Not mentioned means", "Of a field that a report does not mention.", advanced=True
        ),
    ] = "no"
    compared: Annotated[
        Literal["words", "sentences", "both"],
        Parameter(
            "Reports compared by",
            "Their words, or what a sentence encoder makes of them (a package of its own).",
            advanced=True,
        ),
    ] = "words"
    words: Annotated[
        int,
        Parameter("Words", "Of reports: how many are predicted by themselves.", low=0, high=50,
                  advanced=True),
    ] = 6  # fmt: skip
    pool: Annotated[
        Literal["area", "mean", "median", "max"],
        Parameter("Slides of a patient", "Mean weighted by area, plain mean, median, or highest."),
    ] = "area"
    blocks: Annotated[
        Literal["site", "site and scanner"],
        Parameter("Compared within", "Only patients of the same one are compared.", advanced=True),
    ] = "site"
    permutations: Annotated[
        int,
        Parameter("Permutations", "Of every feature; small p get more.", low=200, high=100_000),
    ] = 1000
    level: Annotated[
        float,
        Parameter("Level", "False findings among those found.", low=0.001, high=0.5, advanced=True),
    ] = 0.05
    model: Annotated[
        bool, Parameter("All features at once", "Also predict each column from all features.")
    ] = True
    method: Annotated[
        Literal["ridge", "logistic", "PLS"],
        Parameter(
            "Predicted by",
            "Ridge regression, logistic regression (two groups; others by ridge), partial least "
            "squares.",
            advanced=True,
        ),
    ] = "ridge"
    folds: Annotated[
        int,
        Parameter(
            "Folds", "Groups of patients, each predicted from the others.", low=3, high=20,
            advanced=True,
        ),
    ] = 5  # fmt: skip
    fold_column: Annotated[
        str, Parameter("Column of folds", "Of slides.csv; folds are drawn if empty.", advanced=True)
    ] = ""
    radius: Annotated[
        float,
        Parameter(
            "Neighbours within", "Of a cell, for spatial numbers.", low=1, high=500, unit="µm"
        ),
    ] = 30.0
    pictures: Annotated[
        int,
        Parameter("Pictures", "Of highest and lowest patients per finding.", low=0, high=12,
                  advanced=True),
    ] = 3  # fmt: skip
    seed: Annotated[
        int,
        Parameter(
            "Seed", "Of permutations.", low=0, high=99_999, advanced=True, option="permutation-seed"
        ),
    ] = 1

    def __post_init__(self) -> None:
        check(self)
