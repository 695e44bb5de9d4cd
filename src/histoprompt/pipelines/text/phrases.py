"""Free phrases understood as words that a model with a fixed list knows, or refused.

First the list itself, then a list of medical synonyms, then a sentence encoder that holds the
phrase against both what is known and what is known to be something else. What was understood is
told, and is a proposal: a person can say that it is not what was meant.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from histoprompt.core import settings
from histoprompt.core.errors import PromptError, RefusedTextError, Remedy
from histoprompt.core.task import Task
from histoprompt.core.tissue.words import SYNONYMS, normal
from histoprompt.models import registry
from histoprompt.models import weights as weight_files
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import SentenceEncoder
from histoprompt.pipelines.text.kept_vectors import kept_vectors

How = Literal["known", "synonym", "sentence"]
ENCODER: Final = "minilm"
# Cosine from which a phrase is understood by its sentence, and where a synonym stands in it; how
# far it must be ahead of what is none of the words.
LEAST, LEAST_WITH_SYNONYM, AHEAD = 0.50, 0.35, 0.02
_PATH: Final = Path(__file__).parent / "medical_words.toml"
# What stands for everyday things among the senses.
_EVERYDAY: Final = "everyday"
# What comes before the place of a thing, which is not what is meant.
_PLACE: Final = re.compile(
    r" (?:at|in|inside|within|around|near|between|along|beside|under|surrounding|next to"
    r"|adjacent to) .*"
)
# Abbreviations that stand for several words.
_SHORT: Final = {"t-cell": "t cell", "b-cell": "b cell", "ki-67": "ki67"}


@dataclass(frozen=True)
class Understood:
    """What a phrase was understood as.

    Attributes
    ----------
    phrase : str
        As it was typed.
    word : str
        One that the model knows.
    similarity : float
        Cosine of the phrase with the nearest name of the word; 1 for a name itself.
    how : {"known", "synonym", "sentence"}
    """

    phrase: str
    word: str
    similarity: float
    how: How

    @property
    def told(self) -> str:
        """What a person is told: "'lymphoid infiltrate' understood as lymphocyte, .62"."""
        shown = f"{self.similarity:.2f}".lstrip("0") if self.similarity < 1 else "by its synonym"
        return f"'{self.phrase}' understood as {self.word}, {shown}"


@dataclass(frozen=True)
class Refused:
    """Why a phrase was not understood.

    Attributes
    ----------
    phrase : str
    why : str
        The end of a sentence.
    """

    phrase: str
    why: str


class Phrases:
    """Understands phrases as some of the tissue words.

    Parameters
    ----------
    words : sequence of str
        That the model knows, of `SYNONYMS`.
    encoder : SentenceEncoder, optional
        Without one only names and synonyms are understood.
    least : float
        Cosine from which a sentence is understood.
    kept : Path, optional
        Where vectors of this encoder are kept; without one they are made each time.
    """

    def __init__(
        self,
        words: Sequence[str],
        encoder: SentenceEncoder | None = None,
        least: float = LEAST,
        kept: Path | None = None,
    ) -> None:
        self._words = tuple(word for word in words if word in SYNONYMS)
        self._encoder, self._least, self._kept = encoder, least, kept
        self._terms = _terms(self._words)
        self._anchors: tuple[list[str], NDArray[np.float32]] | None = None

    def understand(self, phrase: str) -> Understood | Refused:
        """What a phrase means, or why it is refused."""
        text = normal(_spelt(phrase))
        if not text:
            return Refused(phrase, "it is empty")
        denied = any(re.search(rf"\b{re.escape(w)}\b", phrase.lower()) for w in _negations())
        if denied and self._exact(text) is None:
            return Refused(phrase, "it says what is not there; say what is to be found")
        if all(part in _rest() for part in text.split()) and text not in self._terms:
            return Refused(phrase, "it does not say what is to be found")
        found = self._exact(text)
        if found is not None:
            word, how = found
            if not word:
                return Refused(phrase, "it is none of the words that are known")
            return Understood(phrase, word, 1.0, how)
        return self._within(phrase, text)

    def _exact(self, text: str) -> tuple[str, How] | None:
        """The word of a phrase that is a name as a whole; an empty one for what is none."""
        bare = " ".join(part for part in text.split() if part not in _rest()) or text
        for said in (text, bare):
            if said in self._terms:
                return self._terms[said]
        return None

    def _within(self, phrase: str, text: str) -> Understood | Refused:
        """A phrase that holds names, or none."""
        names, left = _names_in(text, self._terms)
        senses = {self._terms[name][0] for name in names}
        if len(senses) > 1 and (head := _head(text)) != text:
            return self._within(phrase, head)  # what lies at, in or around something is meant
        rest = [part for part in left if part not in _rest()]
        if "" in senses:
            return Refused(phrase, "it names what is none of the words that are known")
        if len(senses) == 1 and not rest:
            word = senses.pop()
            return Understood(phrase, word, 1.0, "synonym")
        if self._encoder is None:
            return Refused(phrase, "it holds words that are in no list of synonyms")
        if senses and self._is_everyday(" ".join(rest)):
            return Refused(phrase, f"{' '.join(rest)!r} has nothing to do with tissue")
        return self._by_sentence(phrase if len(senses) < 2 else text, senses)

    def _is_everyday(self, rest: str) -> bool:
        """Whether what stands beside a name is nearer to everyday things than to tissue."""
        if not rest:
            return False
        names, vectors = self._anchored()
        assert self._encoder is not None
        cosines = vectors @ self._encoder.embed_texts([rest])[0]
        everyday = np.array(names) == _EVERYDAY
        return float(cosines[everyday].max()) > float(cosines[~everyday].max())

    def _by_sentence(self, phrase: str, senses: set[str]) -> Understood | Refused:
        names, vectors = self._anchored()
        assert self._encoder is not None
        cosines = vectors @ self._encoder.embed_texts([phrase])[0]
        words = np.array(names)
        best = {word: float(cosines[words == word].max()) for word in dict.fromkeys(names)}
        other = max(best.pop("", -1.0), best.pop(_EVERYDAY, -1.0))
        order = sorted(best, key=lambda word: -best[word])
        word = order[0]
        least = LEAST_WITH_SYNONYM if senses == {word} else self._least
        if best[word] < least:
            return Refused(phrase, f"the nearest word, {word}, is not near enough "
                           f"({best[word]:.2f} of {least:.2f})")  # fmt: skip
        if best[word] < other + AHEAD:
            return Refused(phrase, "it is nearer to what is none of the words that are known")
        if len(order) > 1 and best[word] - best[order[1]] < AHEAD / 2 and word not in senses:
            return Refused(phrase, f"it means {word} as well as {order[1]}")
        return Understood(phrase, word, best[word], "sentence")

    def _anchored(self) -> tuple[list[str], NDArray[np.float32]]:
        """Names of all senses as vectors, made once."""
        if self._anchors is None:
            assert self._encoder is not None
            spoken = [
                (name, word)
                for word in self._words
                for name in (word, *SYNONYMS[word], *_medical()["words"].get(word, ()))
            ]
            spoken += [(term, "") for term in _medical()["unknown"]["terms"]]
            spoken += [(term, _EVERYDAY) for term in _medical()["everyday"]["phrases"]]
            names, embed = [name for name, _ in spoken], self._encoder.embed_texts
            vectors = embed(names) if self._kept is None else kept_vectors(self._kept, names, embed)
            self._anchors = [word for _, word in spoken], vectors
        return self._anchors


def understood_all(
    texts: Sequence[str], card: ModelCard, manager: ModelManager, task: Task
) -> tuple[tuple[str, ...], tuple[Understood, ...]]:
    """Texts with phrases put as words that a model knows, and what was understood.

    A text of a model that takes any text, and a name the model has in its list, stays as it is.

    Parameters
    ----------
    texts : sequence of str
        With bars between wordings, each of which is understood by itself.
    card : ModelCard
        Of the model that compares images with words.
    manager : ModelManager
        Lends the sentence encoder, where it is installed.
    task : Task

    Raises
    ------
    RefusedTextError
        If a phrase is refused; the message names it and says why, and the text is told with it.
    """
    if not card.words:
        return tuple(texts), ()
    own = Phrases(card.words)
    wordings = [[" ".join(w.split()) for w in text.split("|") if w.split()] for text in texts]
    flat = [word for words in wordings for word in words]
    first = {word: own.understand(word) for word in flat}
    if any(isinstance(one, Refused) for one in first.values()):
        sentence = registry.card(ENCODER)
        if not sentence.missing:
            with manager.lease(sentence, task) as encoder:
                rich = Phrases(card.words, encoder, kept=_kept_folder(sentence))
                first = {word: rich.understand(word) for word in flat}
    out: list[str] = []
    told: list[Understood] = []
    for text, words in zip(texts, wordings, strict=True):
        put = []
        for word in words:
            one = first[word]
            if isinstance(one, Refused):
                raise RefusedTextError(_refusal(one, card), [text], remedy=Remedy.MODELS)
            put.append(word if one.how == "known" else one.word)
            told += [one] if one.how != "known" else []
        out.append(" | ".join(dict.fromkeys(put)) if put else text)
    return tuple(out), tuple(told)


def known_phrases(
    phrases: Sequence[str], encoder: str, manager: ModelManager, task: Task
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Phrases as a model knows them, and what a person should know of it, a sentence each.

    Those that the model does not know are left out, unless none is known.

    Raises
    ------
    PromptError
        If phrases are given and none is known.
    """
    card = registry.card(encoder)
    found: dict[str, None] = {}
    notes: list[str] = []
    why = ""
    for phrase in phrases:
        try:
            (text,), told = understood_all((phrase,), card, manager, task)
        except PromptError as error:
            why = why or error.fact
            if len(phrases) > 1:
                notes.append(f"{phrase!r} is left out: {error.fact}")
            continue
        notes += [one.told for one in told]
        found[text] = None
    if phrases and not found:
        raise PromptError(f"No phrase is known, of {len(phrases)}. {why}")
    return tuple(found), tuple(notes)


def _kept_folder(card: ModelCard) -> Path:
    """Where vectors by an encoder with its present weights are kept."""
    digest = weight_files.in_use(card, None).fixed.rpartition(":")[2]
    return settings.cache_folder() / "phrases" / f"{card.id}-{digest[:16]}"


def _refusal(one: Refused, card: ModelCard) -> str:
    missing = registry.card(ENCODER).missing
    more = f" Free phrases are understood after pip install '{missing}'." if missing else ""
    return (
        f"The word list does not know {one.phrase!r}: {one.why}. It knows "
        f"{', '.join(card.words)}, and common synonyms of these.{more} For other words choose a "
        "trained image-text model such as plip or quiltnet-b-32."
    )


@cache
def _medical() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = tomllib.loads(_PATH.read_text(encoding="utf-8"))
    return found


@cache
def _rest() -> frozenset[str]:
    said: object = _medical()["rest"]["words"]
    return frozenset(part for word in str(said).split() for part in (word, normal(word)))


@cache
def _negations() -> tuple[str, ...]:
    return tuple(_medical()["negation"]["words"])


def _terms(words: tuple[str, ...]) -> dict[str, tuple[str, How]]:
    """Every name in normal form: its word, and whether the model's own list has it."""
    found: dict[str, tuple[str, How]] = {
        normal(term): ("", "synonym") for term in _medical()["unknown"]["terms"]
    }
    for word in words:
        for name in _medical()["words"].get(word, ()):
            found[normal(name)] = (word, "synonym")
        for name in (word, *SYNONYMS[word]):
            found[normal(name)] = (word, "known")
    return found


def _names_in(text: str, terms: dict[str, tuple[str, How]]) -> tuple[list[str], list[str]]:
    """The names that a text holds, those of more words first, and the words that are left."""
    left, found = f" {text} ", []
    for name in sorted(terms, key=lambda one: (-len(one.split()), -len(one))):
        if f" {name} " in left:
            left = left.replace(f" {name} ", "  ")
            found.append(name)
    return found, left.split()


def _head(text: str) -> str:
    """A phrase without where the thing is; the phrase itself if nothing were left."""
    head = _PLACE.sub("", f" {text}").strip()
    return head or text


def _spelt(phrase: str) -> str:
    text = phrase.lower()
    for short, long in _SHORT.items():
        text = text.replace(short, long)
    return text
