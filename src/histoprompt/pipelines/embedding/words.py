"""From typed words to unit vectors: synonyms, prompt templates, contrasts, probabilities.

The rule of the ensemble is that of CONCH and open_clip: embed every synonym in every template,
normalise each, average, normalise again; a score is the softmax over texts of the cosine times the
model's own scale.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import PromptError, RefusedTextError
from histoprompt.core.tissue.words import normal, same_word
from histoprompt.core.vectors import unit_rows
from histoprompt.models.roles import TextScorer

# Prompts as published with the models of these names; the ensemble of CONCH is the default.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "plain": ("{}",),
    "plip": ("An H&E image patch of {}.",),
    "quilt": (
        "a histopathology slide showing {}",
        "histopathology image of {}",
        "pathology tissue showing {}",
        "presence of {} tissue on image",
    ),
    "conch": (
        "{}.",
        "a photomicrograph showing {}.",
        "a photomicrograph of {}.",
        "an image of {}.",
        "an image showing {}.",
        "an example of {}.",
        "{} is shown.",
        "this is {}.",
        "there is {}.",
        "a histopathological image showing {}.",
        "a histopathological image of {}.",
        "a histopathological photograph of {}.",
        "a histopathological photograph showing {}.",
        "shows {}.",
        "presence of {}.",
        "{} is present.",
        "an H&E stained image of {}.",
        "an H&E stained image showing {}.",
        "an H&E image showing {}.",
        "an H&E image of {}.",
        "{}, H&E stain.",
        "{}, H&E.",
    ),
}

# What a text is held against if no contrast is given: the usual tissues, less those that mean the
# text itself.
CONTRASTS = (
    "tumor",
    "connective tissue",
    "lymphocytes",
    "necrosis",
    "adipose tissue",
    "glandular epithelium",
    "smooth muscle",
    "red blood cells",
    "bone",
    "mucus",
    "slide background",
)


@dataclass(frozen=True, slots=True)
class Query:
    """One text and what else it may be called.

    Attributes
    ----------
    name : str
        What the map and the regions are called.
    synonyms : tuple of str
        All wordings, the name first.
    """

    name: str
    synonyms: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read ``tumour | carcinoma``: wordings with bars between.

        Raises
        ------
        RefusedTextError
            If nothing but blanks is given.
        """
        wordings = tuple(dict.fromkeys(" ".join(w.split()) for w in text.split("|") if w.split()))
        if not wordings:
            raise RefusedTextError(
                f"The text {text!r} is empty. Type what to look for, such as: tumour", [text]
            )
        return cls(wordings[0], wordings)

    @property
    def meaning(self) -> frozenset[str]:
        """Every wording in normal form, with the known names of the same thing."""
        return frozenset(word for text in self.synonyms for word in same_word(text))


def queries(texts: Iterable[str]) -> tuple[Query, ...]:
    """Read several texts.

    Raises
    ------
    PromptError
        If there is none, one is empty, or two have the same name: the later one is refused.
    """
    found = tuple(Query.parse(text) for text in texts)
    if not found:
        raise PromptError("There is no text. Type what to look for, such as: tumour")
    names = [normal(query.name) for query in found]
    again = [query.name for i, query in enumerate(found) if names[i] in names[:i]]
    if again:
        raise RefusedTextError(f"The text {again[0]!r} is given twice. Give each text once.", again)
    return found


def default_contrasts(texts: Sequence[Query]) -> tuple[Query, ...]:
    """The usual tissues that none of the texts means."""
    meant = frozenset[str]().union(*(text.meaning for text in texts))
    return tuple(Query.parse(word) for word in CONTRASTS if not same_word(word) & meant)


@dataclass(eq=False)
class TextCache:
    """Vectors of texts that were embedded before; shared by threads.

    A model's text tower takes longer than a hundred thousand cosines, and people go back and forth
    between the same few words.
    """

    _kept: dict[tuple[str, Query, tuple[str, ...]], NDArray[np.float32]] = field(
        default_factory=dict
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(
        self, model: str, query: Query, templates: tuple[str, ...]
    ) -> NDArray[np.float32] | None:
        """The (d,) vector, or None."""
        with self._lock:
            return self._kept.get((model, query, templates))

    def put(
        self, model: str, query: Query, templates: tuple[str, ...], vector: NDArray[np.float32]
    ) -> None:
        """Keep a vector."""
        with self._lock:
            self._kept[model, query, templates] = vector


def ensemble(model: TextScorer, query: Query, templates: Sequence[str]) -> NDArray[np.float32]:
    """The (d,) unit vector of a query.

    Raises
    ------
    PromptError
        If the model cannot know a wording.
    """
    texts = [template.format(word) for word in query.synonyms for template in templates]
    mean = unit_rows(model.embed_texts(texts)).mean(axis=0)
    return np.asarray(unit_rows(mean[None])[0], np.float32)


def probabilities(cosines: NDArray[np.float32], scale: float, count: int) -> NDArray[np.float32]:
    """Softmax over texts and contrasts.

    Parameters
    ----------
    cosines : (n, m) float32
        Of n tiles with m texts, the contrasts last; quickest with contiguous columns.
    scale : float
        The model's own scale divided by the temperature.
    count : int
        How many of the m are texts.

    Returns
    -------
    (n, count) float32
        In [0, 1].
    """
    # One text after the other over all tiles: sums over short rows are many times slower.
    logits = np.multiply(cosines.T, np.float32(scale), order="C")
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    return np.ascontiguousarray((logits[:count] / logits.sum(axis=0)).T)
