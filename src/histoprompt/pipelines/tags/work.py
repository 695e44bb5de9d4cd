"""What a run of tagging keeps beside its table, so that reviews and detectors can go on from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from histoprompt.core.errors import HistopromptError, RecordError
from histoprompt.core.files.atomic import replace_file, replacing_file
from histoprompt.core.files.documents import Shape, read_json
from histoprompt.core.parameters import from_table, to_table
from histoprompt.pipelines.tags.candidates import Candidates
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.tag_file import Tag

Float = NDArray[np.float32]
FACTS, ARRAYS = "tagging.json", "tagging.npz"
_SCHEMA: Final = "histoprompt-tagging/1"
# Share of the patients whose candidates no detector learns from.
FROZEN_SHARE: Final = 0.3


@dataclass(frozen=True)
class TaggedSlide:
    """A slide that was tagged.

    Attributes
    ----------
    id : str
    path : str
    mpp : float
    patient : str
        The slide itself where nobody said whose it is.
    key : str
    found : int
        Cells or tiles it has, of which some were looked at.
    """

    id: str
    path: str
    mpp: float
    patient: str
    key: str
    found: int


@dataclass(frozen=True, eq=False)
class TaggedCandidates:
    """n candidates of some slides, as tagging left them.

    Attributes
    ----------
    tags : tuple of Tag
    params : TagParams
    slides : tuple of TaggedSlide
    frozen : tuple of str
        Patients that no detector learns from.
    of : (n,) int64
        The slide of each candidate.
    candidates : Candidates
        Of all slides.
    vectors : (n, d) float32
        What the model of words saw.
    code : (n,) int64
        The tag that words proposed; the number of tags for none.
    counts : (n, k + 1) int64
        Votes.
    probability : (n, k) float32
    headers : tuple of tuple of str
    doubts : tuple of tuple of str
        What measured facts have against the tag.
    shown : (m,) int64
        The candidates a person is shown, in an order that puts disagreements first.
    pictures : (m, 64, 64, 3) uint8
    """

    tags: tuple[Tag, ...]
    params: TagParams
    slides: tuple[TaggedSlide, ...]
    frozen: tuple[str, ...]
    of: NDArray[np.int64]
    candidates: Candidates
    vectors: Float
    code: NDArray[np.int64]
    counts: NDArray[np.int64]
    probability: Float
    headers: tuple[tuple[str, ...], ...]
    doubts: tuple[tuple[str, ...], ...]
    shown: NDArray[np.int64]
    pictures: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.of)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tags."""
        return tuple(tag.name for tag in self.tags)

    @property
    def proposed(self) -> list[str]:
        """The tag that words proposed for each candidate; empty for none."""
        names = (*self.names, "")
        return [names[i] for i in self.code.tolist()]

    @property
    def patients(self) -> list[str]:
        """The patient of each candidate."""
        return [self.slides[i].patient for i in self.of.tolist()]

    def votes_against(self, i: int) -> int:
        """How many of a candidate's votes went elsewhere than to its tag."""
        return int(self.counts[i].sum() - self.counts[i, self.code[i]])

    @property
    def features(self) -> tuple[Float, tuple[str, ...]]:
        """What a detector learns from: what was measured and seen of cells; of tiles, vectors."""
        if self.candidates.feature_names:
            return self.candidates.features, self.candidates.feature_names
        names = tuple(f"{self.params.model}_{i}" for i in range(self.vectors.shape[1]))
        return self.vectors, names


def frozen_patients(patients: Sequence[str]) -> tuple[str, ...]:
    """Patients for testing, by their names alone: about three of ten, at least one of two."""
    order = sorted(set(patients), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    if len(order) < 2:
        return ()
    return tuple(order[: max(1, round(FROZEN_SHARE * len(order)))])


def write_work(folder: Path, work: TaggedCandidates) -> None:
    """Write what is kept; raises `ExportError`."""
    facts = {
        "schema": _SCHEMA,
        "tags": [asdict(tag) for tag in work.tags],
        "params": to_table(work.params),
        "slides": [asdict(slide) for slide in work.slides],
        "frozen": list(work.frozen),
        "headers": [list(lines) for lines in work.headers],
        "doubts": [list(lines) for lines in work.doubts],
        "feature_names": list(work.candidates.feature_names),
        "found": work.candidates.found,
    }
    bits = [np.packbits(mask.ravel()) for mask in work.candidates.masks]
    arrays: dict[str, NDArray[Any]] = {
        "of": work.of, "boxes": work.candidates.boxes, "centres": work.candidates.centres,
        "area_um2": work.candidates.area_um2, "features": work.candidates.features,
        "masks": np.concatenate(bits) if bits else np.zeros(0, np.uint8),
        "vectors": work.vectors, "code": work.code, "counts": work.counts,
        "probability": work.probability, "shown": work.shown, "pictures": work.pictures,
    }  # fmt: skip
    with replacing_file(folder / ARRAYS) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    replace_file(folder / FACTS, json.dumps(facts, ensure_ascii=False, indent=1))


class _Facts(TypedDict):
    schema: str
    tags: list[dict[str, Any]]
    params: dict[str, Any]
    slides: list[dict[str, Any]]
    frozen: list[str]
    headers: list[list[str]]
    doubts: list[list[str]]
    feature_names: list[str]
    found: int


_SHAPE: Shape[_Facts] = Shape(_Facts)


def read_work(folder: Path) -> TaggedCandidates:
    """Read what a run of tagging kept.

    Raises
    ------
    RecordError
        If the folder holds none, or it is damaged.
    """
    path = folder / FACTS
    if not path.is_file():
        raise RecordError(f"{folder} holds no tagging. Tag slides into it first.")
    facts = _SHAPE.of(read_json(path, RecordError), str(path), RecordError, "Tag the slides again.")
    try:
        with np.load(folder / ARRAYS, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        work = _work(facts, arrays)
        if not len(work.of) == len(work.headers) == len(work.candidates) == len(work.code):
            raise ValueError("its parts differ in length")
    except (OSError, KeyError, ValueError, TypeError, EOFError, HistopromptError) as error:
        raise RecordError(
            f"{folder / ARRAYS} is damaged: {error}. Tag the slides again."
        ) from error
    return work


def _work(facts: _Facts, arrays: Mapping[str, NDArray[Any]]) -> TaggedCandidates:
    boxes = arrays["boxes"]
    candidates = Candidates(
        boxes, arrays["centres"], _unpacked(boxes, arrays["masks"]), arrays["area_um2"],
        arrays["features"], tuple(facts["feature_names"]), facts["found"],
    )  # fmt: skip
    return TaggedCandidates(
        tags=tuple(_tag(one) for one in facts["tags"]),
        params=from_table(TagParams, facts["params"]),
        slides=tuple(TaggedSlide(**one) for one in facts["slides"]),
        frozen=tuple(facts["frozen"]),
        of=arrays["of"],
        candidates=candidates,
        vectors=arrays["vectors"],
        code=arrays["code"],
        counts=arrays["counts"],
        probability=arrays["probability"],
        headers=tuple(map(tuple, facts["headers"])),
        doubts=tuple(map(tuple, facts["doubts"])),
        shown=arrays["shown"],
        pictures=arrays["pictures"],
    )


def _tag(one: Mapping[str, Any]) -> Tag:
    attributes = {key: tuple(words) for key, words in one["attributes"].items()}
    return Tag(
        one["name"], tuple(one["wordings"]), attributes, tuple(one["is_not"]), tuple(one["drafted"])
    )


def _unpacked(boxes: NDArray[np.int64], bits: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], ...]:
    masks, start = [], 0
    for r0, c0, r1, c1 in boxes.tolist():
        size = (r1 - r0) * (c1 - c0)
        stop = start + -(-size // 8)
        masks.append(np.unpackbits(bits[start:stop], count=size).reshape(r1 - r0, c1 - c0) > 0)
        start = stop
    return tuple(masks)
