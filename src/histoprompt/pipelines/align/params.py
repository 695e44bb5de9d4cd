"""How a vocabulary of one's own is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from histoprompt.core.errors import LabelError
from histoprompt.core.parameters import Parameter, check, given_file

Text = Literal["minilm", "biomedclip", "tfidf"]
Method = Literal["auto", "ridge", "cca", "adapter"]
# Pairs from which on a network of two layers is worth its examples.
MANY = 2000


@dataclass(frozen=True)
class AlignParams:
    """How a vocabulary of one's own is made.

    Attributes
    ----------
    pairs : Path or None
        Table of slide, box or region, patient, sentences, and site.
    image : str
        Id of the model that sees images.
    text : {"minilm", "biomedclip", "tfidf"}
    method : {"auto", "ridge", "cca", "adapter"}
        ``auto`` takes ridge regression below 2,000 pairs, an adapter of two layers above.
    folds : int
        Parts that patients are split into.
    shuffles : int
        How often pairs are shuffled to see what is found by chance.
    plain : str
        Id of the model it is compared with; the vocabulary that comes with the program, or
        BiomedCLIP itself where its texts are read, if empty.
    """

    pairs: Annotated[
        Path | None,
        Parameter("Pairs", "Table of slide, box or region, patient and sentences."),
    ] = None
    image: Annotated[str, Parameter("Images seen by", "Id of the model that sees images.")] = (
        "efficientnet-lite0"
    )
    text: Annotated[
        Text,
        Parameter(
            "Texts read by",
            "A sentence encoder, or the words of the sentences alone.",
            offers=(
                ("the sentence encoder", "minilm"),
                ("BiomedCLIP", "biomedclip"),
                ("their words alone", "tfidf"),
            ),
        ),
    ] = "minilm"
    method: Annotated[
        Method,
        Parameter(
            "Brought together by",
            "Ridge regression below 2,000 pairs and a network above, or as chosen.",
            offers=(
                ("as suits the pairs", "auto"),
                ("ridge regression", "ridge"),
                ("canonical correlation", "cca"),
                ("a network of two layers", "adapter"),
            ),
            option="align-by",
        ),
    ] = "auto"
    folds: Annotated[
        int,
        Parameter(
            "Folds", "Parts that patients are split into.", low=2, high=20, option="patient-folds"
        ),
    ] = 5
    shuffles: Annotated[
        int,
        Parameter(
            "Shuffles", "How often pairs are shuffled, to see what chance finds.", low=19, high=9999
        ),
    ] = 99
    plain: Annotated[
        str, Parameter("Compared with", "Id of the model it is compared with.", advanced=True)
    ] = ""

    def __post_init__(self) -> None:
        check(self, LabelError)

    def file(self) -> Path:
        """The table of pairs.

        Raises
        ------
        ParameterError
            If none is given.
        """
        return given_file(self, "pairs", "written")

    def method_for(self, pairs: int) -> Method:
        """What brings so many pairs together."""
        if self.method != "auto":
            return self.method
        return "ridge" if pairs < MANY else "adapter"
