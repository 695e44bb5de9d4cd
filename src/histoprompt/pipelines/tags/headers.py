"""A header for each picture, of its wording and of what was measured.

"small dark round nucleus in stroma, 24 µm²: lymphocyte". Sizes and dyes are told against the other
candidates of the slide, shapes by fixed limits, the place by the tissue words around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.tissue.words import normal, same_word
from histoprompt.models import registry
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.tiles import embed_images, read_square, run_parts
from histoprompt.pipelines.embedding.words import probabilities
from histoprompt.pipelines.tags.candidates import Candidates
from histoprompt.pipelines.tags.tag_file import Tag

# Shares of a slide's candidates below and above which one is small or large, pale or dark.
_LOW, _HIGH = 25.0, 75.0
# Fewest candidates that a share says something of.
_FEW: Final = 8
_ROUND, _LONG = 0.75, 0.9
# Microns around a candidate that are its place, and how likely a tissue word must be.
PLACE_UM: Final = 64.0
_SURE: Final = 0.5
_PLACES: Final = ("tumour", "stroma", "muscle", "lymphocyte", "necrosis", "fat", "gland", "mucus")
_AS_PLACE: Final = {"lymphocyte": "lymphoid tissue"}
# Words of attributes that mean the same as those that are measured.
_MEANS: Final = {
    "elongated": ("spindle", "spindled", "oval", "long", "fusiform", "thin"),
    "round": ("circular", "rounded", "regular", "roundish"),
    "dark": ("hyperchromatic", "deep blue", "basophilic", "dark blue", "dense", "dark purple"),
    "pale": ("light", "vesicular", "hypochromatic", "clear", "faint"),
    "small": ("tiny", "little"),
    "large": ("big", "enlarged", "huge"),
}


@dataclass(frozen=True)
class MeasuredFacts:
    """What was measured of a candidate, in words; empty where nothing stands out.

    Attributes
    ----------
    size, colour, shape, place : str
    area_um2 : float
    """

    size: str
    colour: str
    shape: str
    place: str
    area_um2: float

    def get(self, attribute: str) -> str:
        """The word for an attribute."""
        return str(getattr(self, attribute))


def facts_of(found: Candidates, places: Sequence[str]) -> tuple[MeasuredFacts, ...]:
    """The facts of a slide's candidates."""
    names = found.feature_names
    sizes = _against(found.area_um2, ("small", "large"))
    dark = _column(found, "haematoxylin_mean")
    colours = _against(dark, ("pale", "dark"))
    eccentric = _column(found, "eccentricity")
    shapes = np.where(eccentric > _LONG, "elongated", np.where(eccentric < _ROUND, "round", ""))
    if "eccentricity" not in names:  # tiles are all of one size and shape
        sizes = shapes = np.full(len(found), "")
    rows = zip(sizes, colours, shapes, places, found.area_um2.tolist(), strict=True)
    return tuple(MeasuredFacts(str(s), str(c), str(h), p, a) for s, c, h, p, a in rows)


def headers(tag: Tag | None, wording: int, facts: MeasuredFacts, noun: str) -> tuple[str, ...]:
    """The headers of a picture, the one of its best wording first.

    Parameters
    ----------
    tag : Tag or None
    wording : int
        Which of the tag's wordings fits best.
    facts : MeasuredFacts
    noun : str
        "nucleus" or "tissue".
    """
    looks = " ".join(filter(None, (facts.size, facts.colour, facts.shape, noun)))
    where = f" in {facts.place}" if facts.place else ""
    plain = f"{looks}{where}, {facts.area_um2:,.0f} µm²"
    if tag is None:
        return (plain,)
    words = [tag.wordings[wording], *(w for i, w in enumerate(tag.wordings) if i != wording)]
    rest = [f"{word}, {looks}{where}" for word in words]
    return (f"{plain}: {words[0]}", *rest)


def contradictions(tag: Tag | None, facts: MeasuredFacts) -> tuple[str, ...]:
    """Attributes of a tag that measured facts speak against, such as "round, not elongated"."""
    told: list[str] = []
    for attribute, wanted in (tag.attributes if tag else {}).items():
        measured = facts.get(attribute)
        if measured and not any(_same(word, measured) for word in wanted):
            told.append(f"{' or '.join(wanted)} expected, {measured} measured")
    return tuple(told)


def places(slide: Slide, centres: NDArray[np.float64], job: ScoreJob, task: Task) -> list[str]:
    """The tissue around each candidate by the embedded word list; empty where it is not sure.

    Candidates that lie in one square of `PLACE_UM` share their place.
    """
    assert slide.mpp is not None
    card = registry.card(registry.DEFAULT_WORDS)
    own = ScoreJob(job.manager, card, batch=job.batch)
    side = max(2, round(PLACE_UM / slide.mpp))
    squares = np.floor((centres + 0.5) / side).astype(np.int64)
    corners, of = np.unique(squares, axis=0, return_inverse=True)
    with job.manager.lease(card, task) as model:
        words, scale = model.embed_texts(list(_PLACES)), float(model.logit_scale)
    told: list[str] = []
    for start in range(0, len(corners), own.batch):
        task.step(start, len(corners), f"Naming places in {slide.name}")
        boxes = [Box(r * side, c * side, (r + 1) * side, (c + 1) * side)
                 for r, c in corners[start : start + own.batch].tolist()]  # fmt: skip
        shown = np.stack([read_square(slide, box, card.input_size) for box in boxes])
        vectors = np.asarray(run_parts(own, task, embed_images, shown), np.float32)
        chance = probabilities(vectors @ words.T, scale, len(_PLACES))
        best = chance.argmax(axis=1)
        told += [
            _AS_PLACE.get(_PLACES[b], _PLACES[b]) if chance[i, b] >= _SURE else ""
            for i, b in enumerate(best.tolist())
        ]
    return [told[i] for i in np.ravel(of).tolist()]


def _column(found: Candidates, name: str) -> NDArray[np.float64]:
    if name not in found.feature_names:
        return np.full(len(found), np.nan)
    return np.asarray(found.features[:, found.feature_names.index(name)], np.float64)


def _against(values: NDArray[np.float64], words: tuple[str, str]) -> NDArray[np.str_]:
    """A word for what is low and for what is high among all; empty between."""
    known = values[np.isfinite(values)]
    if len(known) < _FEW or known.min() == known.max():
        return np.full(len(values), "", dtype="<U16")
    low, high = np.percentile(known, [_LOW, _HIGH])
    told = np.where(values <= low, words[0], np.where(values >= high, words[1], ""))
    return np.asarray(told)


def _same(wanted: str, measured: str) -> bool:
    """Whether a word of an attribute means what was measured."""
    wanted = normal(wanted).removeprefix("in ")
    known = {normal(measured), *map(normal, _MEANS.get(measured, ()))}
    tissue = "lymphocyte" if measured == "lymphoid tissue" else measured
    return wanted in known or bool(same_word(wanted) & same_word(tissue))
