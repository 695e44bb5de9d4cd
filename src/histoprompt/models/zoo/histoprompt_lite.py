"""The project's own models: all nuclei, and one object from any mix of prompts.

Two small U-Nets, shipped with the package or read from a file that `histoprompt train` wrote. The
first looks at an image once; prompts are answered from what it found by the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from histoprompt.core.errors import ModelError, PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import INSIDE, OUTSIDE, Prompt, PromptKind
from histoprompt.core.prompts.scribbles import rasterise
from histoprompt.core.results import Mask
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.cells.instances import decode
from histoprompt.models.cells.postprocess import tidied
from histoprompt.models.networks.lite_cells import ALGORITHM, SHIFT, WINDOW, LiteCellModel
from histoprompt.models.networks.lite_networks import FILENAME, Networks
from histoprompt.models.networks.precision import half_on
from histoprompt.models.networks.prompt_maps import RasterPrompt, hints
from histoprompt.models.roles import Embedding

if TYPE_CHECKING:
    import torch

FIELD = 256
NEAR = 128  # side of the window that answers prompts on objects up to half as large
BATCH = 16
ACCEPTS: frozenset[PromptKind] = frozenset({"point", "box", "scribble"})

_WEIGHTS = WeightsSpec(
    filename=FILENAME,
    source="https://pypi.org/project/napari-histoprompt/",
    n_bytes=3_598_488,
    digest="sha256:9f427e5e4c4d6952183051c6f7eac10693be70d31c4e0d5134de6223ae20497b",
    package=("histoprompt", f"weights/{FILENAME}"),
)
_SHARED: dict[str, Any] = {
    "licence": "BSD-3-Clause; trained on CC0 and CC BY data",
    "citation": "Trained by this project, see MODEL_CARD.md",
    "weights": _WEIGHTS,
    "blueprint": "histoprompt.models.networks.lite_networks:blueprint",
    "mpp": 0.25,
    "memory_mib": 300,
    "cpu_amp_dtype": "bfloat16",
}

CARD = ModelCard(
    id="histoprompt-lite",
    role="prompt",
    title="histoprompt lite (clicks, boxes, scribbles)",
    loader="histoprompt.models.zoo.histoprompt_lite:load_prompts",
    accepts=ACCEPTS,
    corrects=True,
    input_size=FIELD,
    description="Clicks, boxes and scribbles, any mix; trained on nuclei, works on regions too.",
    **_SHARED,
)
CELLS = ModelCard(
    id="histoprompt-cells",
    role="cells",
    title="histoprompt cells (all nuclei)",
    loader="histoprompt.models.zoo.histoprompt_lite:load_cells",
    input_size=WINDOW,
    window_stride=SHIFT,
    algorithm=ALGORITHM,
    description="Finds all nuclei of H&E at about 0.25 um/px; enlarge coarser images first.",
    **_SHARED,
)
CARDS = (CARD, CELLS)


def load_prompts(card: ModelCard, weights: Path | None, device: str) -> PromptModel:
    """The prompt segmenter; without a path the shipped heads."""
    return PromptModel(card.id, Networks.load(weights, device, half_on(card, device)))


def load_cells(card: ModelCard, weights: Path | None, device: str) -> LiteCellModel:
    """The segmenter of all nuclei; without a path the shipped heads."""
    return LiteCellModel(Networks.load(weights, device, half_on(card, device)))


@dataclass(frozen=True, eq=False)
class _Look:
    """What is kept of an image: its 256 px field, maps of nuclei and the nuclei themselves.

    Attributes
    ----------
    field : (256, 256, 3) uint8
    maps : (3, 256, 256) float16
    nuclei : (256, 256) int32
    inner : (rows, cols)
        The part of the field that the image fills.
    """

    field: NDArray[np.uint8]
    maps: NDArray[np.float16]
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
        h, w = image.shape[:2]
        scale = FIELD / max(h, w)
        inner = max(1, round(h * scale)), max(1, round(w * scale))
        pad = [(0, FIELD - n) for n in inner]
        field = np.pad(_resized(image, inner), [*pad, (0, 0)], mode="symmetric")
        maps, _ = self._networks.look(field)
        nuclei = decode(maps, self._networks.params)
        look = _Look(field, maps.astype(np.float16), nuclei, inner)
        n_bytes = field.nbytes + look.maps.nbytes + nuclei.nbytes
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
        drawn = [hints(s, look.nuclei)[: self._networks.prompt.hints] for s in said]
        windows = [_window(d) for d in drawn]
        found: dict[int, list[Mask]] = {}
        for members in _alike(windows):
            asked = [(drawn[i], windows[i], said[i].is_one_click) for i in members]
            found |= dict(zip(members, self._decoded(embedding, asked), strict=True))
        return [found[i] for i in range(len(said))]

    def _decoded(
        self, embedding: Embedding, asked: Sequence[tuple[NDArray[np.float32], Box, bool]]
    ) -> list[list[Mask]]:
        """Masks of prompts whose windows have one size."""
        import torch

        from histoprompt.models.networks.unet import USUAL_TRUST, fair

        look: _Look = embedding.data
        nets = self._networks
        maps = look.maps.astype(np.float32)
        boxes = [window for _, window, _ in asked]
        light = torch.cat([nets.light(look.field[b.slices()]) for b in boxes])
        planes = [
            torch.from_numpy(np.stack(cut)).to(nets.device)
            for cut in (
                [maps[:, *b.slices()] for b in boxes],
                [drawn[:, *b.slices()] for drawn, b, _ in asked],
            )
        ]
        with torch.inference_mode():
            logits, scores = nets.prompt(light, *planes)
        fairly = fair(scores.float(), nets.trust or USUAL_TRUST).clamp(0, 1)
        ious, logits = fairly.cpu().numpy(), logits.float().cpu()
        out = []
        for i, (drawn, window, one_click) in enumerate(asked):
            order = _shown_first(ious[i], nested=nets.trust is None) if one_click else [0]
            clean = _tidied(logits[i, order], drawn[:2, *window.slices()] > 0)
            arrays = _on_image(clean, window, look.inner, embedding.shape)
            frame = Frame(Box.of_shape(embedding.shape), embedding.shape)
            scored = zip(arrays, ious[i, order].tolist(), strict=True)
            out.append([Mask(array, frame, score) for array, score in scored])
        return out


def _shown_first(ious: NDArray[np.float32], *, nested: bool) -> NDArray[np.intp]:
    """Three of the four masks of a lone click, the best first.

    Scores that were never compared with the truth say nothing of the single mask beside the three
    nested ones: then it is none of them.
    """
    first = int(nested)
    return first + np.argsort(-ious[first:], kind="stable")[:3]


def _tidied(logits: torch.Tensor, said: NDArray[np.bool_]) -> torch.Tensor:
    """Logits (k, n, n) whose masks are tidy; what was said inside and outside is (2, n, n)."""
    import torch

    masks = logits.numpy() > 0
    tidy = np.stack([tidied(mask, *said) for mask in masks])
    changed = torch.from_numpy(tidy != masks)
    return torch.where(changed, torch.from_numpy(np.where(tidy, 1, -1)).to(logits), logits)


def _on_image(
    logits: torch.Tensor, window: Box, inner: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Masks (k, *shape) of the whole image from logits (k, n, n) of a window of its field."""
    import torch

    field = torch.full((len(logits), FIELD, FIELD), -20.0)
    field[:, *window.slices()] = logits
    field = field[:, : inner[0], : inner[1]]
    if inner != shape:
        field = torch.nn.functional.interpolate(
            field[None], shape, mode="bilinear", align_corners=False
        )[0]
    return np.asarray((field > 0).numpy())


def _window(drawn: NDArray[np.float32]) -> Box:
    """The part of the field to look at: around what was said to be inside, or all of it."""
    inside = np.delete(drawn, 1, axis=0)
    said = Box.of_mask(np.asarray((inside > 0).any(axis=0)))
    if said is None or max(said.shape) > NEAR // 2:
        return Box(0, 0, FIELD, FIELD)
    r0, c0 = (
        int(np.clip(round((low + high - NEAR) / 2), 0, FIELD - NEAR))
        for low, high in ((said.r0, said.r1), (said.c0, said.c1))
    )
    return Box(r0, c0, r0 + NEAR, c0 + NEAR)


def _alike(windows: Sequence[Box]) -> Iterator[list[int]]:
    """Indices of windows of one size, a batch at a time."""
    for side in (NEAR, FIELD):
        members = [i for i, window in enumerate(windows) if window.height == side]
        for start in range(0, len(members), BATCH):
            yield members[start : start + BATCH]


def _resized(image: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    if image.shape[:2] == shape:
        return image
    shrinks = shape[0] < image.shape[0]
    big = resize(image, shape, order=1, preserve_range=True, anti_aliasing=shrinks)
    return np.asarray(big.round().clip(0, 255), np.uint8)


def _said(prompt: Prompt, shape: tuple[int, int], inner: tuple[int, int]) -> RasterPrompt:
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
    before = None
    if p.previous is not None:
        before = np.zeros((FIELD, FIELD), bool)
        before[: inner[0], : inner[1]] = p.previous.sample(Frame(Box.of_shape(inner), inner))
    return RasterPrompt(
        np.stack([painted == INSIDE, painted == OUTSIDE]),
        tuple((r, c) for r, c in points),
        tuple(bool(v) for v in prompt.labels),
        box,
        before,
    )
