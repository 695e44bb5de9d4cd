"""What all models of the SAM family have in common; what differs is how they prepare an image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError, PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import KIND_WORDS, Prompt, PromptKind
from histoprompt.core.results import Logits, Mask
from histoprompt.models.card import ModelCard
from histoprompt.models.networks.decoding import PromptDecoder
from histoprompt.models.networks.fitting import InputFit, Prepare, mask_from_logits
from histoprompt.models.networks.precision import computing_in, half_on
from histoprompt.models.roles import Embedding

if TYPE_CHECKING:
    from torch import Tensor

# Prompts decoded at once: more make the intermediate arrays fall out of a CPU's cache.
DECODE_BATCH = 4


@dataclass(frozen=True, eq=False)
class Features:
    """The data of an embedding.

    Attributes
    ----------
    tensor : (1, c, h, w) float32 on the CPU
        The image encoder's output.
    fit : InputFit
        How the image was fitted into the input.
    """

    tensor: Tensor
    fit: InputFit


class SamFamily:
    """A `PromptSegmenter` made of SAM's three parts.

    Parameters
    ----------
    card : ModelCard
        Gives the id, the prompts it takes and the side of the input.
    net : torch.nn.Module
        Has ``image_encoder``, ``prompt_encoder`` and ``mask_decoder``; in evaluation mode.
    device : str
        Where the network is.
    prepare : callable
        Makes the (3, side, side) input of an (h, w, 3) uint8 image, exactly as published.
    scored : bool
        Whether the predicted IoU means anything for these weights.
    whole_boxes : bool
        Whether boxes are cut to integers in the input's pixels, as in training.
    three_always : bool
        Whether every prompt gives three masks, not only a lone click.
    resize_probabilities : bool
        Whether the recipe takes the sigmoid before the mask is resized to the image, not after.
    """

    def __init__(
        self,
        card: ModelCard,
        net: Any,
        device: str,
        prepare: Prepare,
        *,
        scored: bool = True,
        whole_boxes: bool = False,
        three_always: bool = False,
        resize_probabilities: bool = False,
    ) -> None:
        self.card = card
        self._net = net
        self._device = device
        self._prepare = prepare
        self._scored = scored
        self._whole_boxes = whole_boxes
        self._three_always = three_always
        self._half = half_on(card, device)
        self._resize_probabilities = resize_probabilities
        self._decode = PromptDecoder(net.prompt_encoder, net.mask_decoder)

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """The kinds of prompt the model was trained for."""
        return self.card.accepts

    def embed(self, image: NDArray[np.uint8]) -> Embedding:
        """Look at an (h, w, 3) uint8 RGB image once, for any number of prompts.

        Raises
        ------
        ModelError
            If the array is of another kind.
        """
        import torch

        check_image(image)
        array, fit = self._prepare(image, self.card.input_size)
        with torch.inference_mode(), computing_in(self._half, self._device):
            batch = torch.from_numpy(array)[None].to(self._device)
            tensor = self._net.image_encoder(batch).float().cpu()
        return Embedding(self.card.id, fit.shape, Features(tensor, fit), tensor.nbytes)

    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[list[Mask]]:
        """Segment several objects of one image; see `PromptSegmenter.segment`.

        One positive click alone is ambiguous and gives three candidates, best first; everything
        else gives one mask.

        Raises
        ------
        PromptError
            If a prompt is of a kind the model does not accept, or selects nothing.
        ModelError
            If the embedding is another model's.
        """
        for prompt in prompts:
            self._check_prompt(prompt)
        features = self._features(embedding)
        frame = Frame(Box.of_shape(embedding.shape), embedding.shape)
        found: dict[int, list[Mask]] = {}
        for members in _alike([self._shown(prompt) for prompt in prompts]):
            decoded = self.logits(embedding, [prompts[i] for i in members])
            for index, logits, iou in zip(members, *decoded, strict=True):
                order = np.argsort(-iou, kind="stable") if len(iou) > 1 else [0]
                found[index] = [
                    Mask(
                        self._mask(logits[k], features.fit),
                        frame,
                        self._score(iou[k]),
                        self._kept(logits[k], features.fit),
                    )
                    for k in order
                ]
        return [found[i] for i in range(len(prompts))]

    def logits(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the decoder says before it becomes masks, for prompts of one structure.

        Parameters
        ----------
        embedding : Embedding
            From `embed`.
        prompts : sequence of n Prompt
            All with the same number of clicks, all or none with a box, and all or none with an
            answer before.

        Returns
        -------
        logits : (n, m, s, s) float32
            Low-resolution logits of m candidates.
        iou : (n, m) float32
            Predicted quality.
        """
        import torch

        features = self._features(embedding)
        prompts = [self._shown(prompt) for prompt in prompts]
        with torch.inference_mode():
            before = self._before(prompts, features.fit)
            tokens = self._tokens(prompts, features.fit)
            sparse, dense = self._net.prompt_encoder(**tokens, masks=before)
            tensor = features.tensor.to(self._device)
            three = self._three_always or _is_ambiguous(prompts[0])
            logits, iou = self._decode(tensor, sparse, three, None if before is None else dense)
        return logits.float().cpu().numpy(), iou.float().cpu().numpy()

    def _shown(self, prompt: Prompt) -> Prompt:
        """The prompt as the network sees it: with its answer before only if it learnt to use it."""
        return prompt if self.card.corrects else replace(prompt, previous=None)

    def _before(self, prompts: Sequence[Prompt], fit: InputFit) -> Tensor | None:
        """The answers before as (n, 1, s, s) low-resolution logits; None if there are none."""
        import torch

        side = self._net.prompt_encoder.mask_input_size[0] if prompts[0].previous else 0
        masks = [p.previous.as_logits(self._low(fit, side)) for p in prompts if p.previous]
        return torch.from_numpy(np.stack(masks))[:, None].to(self._device) if masks else None

    def _low(self, fit: InputFit, side: int) -> Frame:
        """Where low-resolution logits lie on the image: the padding reaches beyond it."""
        rows, cols = (self.card.input_size / scale for scale in fit.scale)
        return Frame(Box(0, 0, rows, cols), (side, side))

    def _kept(self, logits: NDArray[np.float32], fit: InputFit) -> Logits | None:
        """The logits as the network is to be shown them again."""
        return Logits(logits, self._low(fit, len(logits))) if self.card.corrects else None

    def _tokens(self, prompts: Sequence[Prompt], fit: InputFit) -> dict[str, Any]:
        """Points and boxes as the prompt encoder wants them: (x, y), input pixels."""
        import torch

        def on_device(values: Any, dtype: torch.dtype) -> Tensor:
            return torch.as_tensor(np.array(values), dtype=dtype, device=self._device)

        to_xy = np.array(fit.scale)[::-1]
        points = boxes = None
        if len(prompts[0].points):
            coords = [p.points[:, ::-1] * to_xy for p in prompts]
            points = (
                on_device(coords, torch.float32),
                on_device([p.labels for p in prompts], torch.int),
            )
        if prompts[0].box is not None:
            corners = [_corners(p.box) * to_xy for p in prompts if p.box is not None]
            if self._whole_boxes:
                corners = [c.astype(int) for c in corners]
            boxes = on_device(corners, torch.float32).reshape(-1, 4)
        return {"points": points, "boxes": boxes}

    def _mask(self, logits: NDArray[np.float32], fit: InputFit) -> NDArray[np.bool_]:
        # The hyperbolic tangent of half the logit is the probability, moved so that 1/2 lies at 0.
        values = np.tanh(logits / 2) if self._resize_probabilities else logits
        return mask_from_logits(values, fit)

    def _features(self, embedding: Embedding) -> Features:
        if embedding.model_id != self.card.id or not isinstance(embedding.data, Features):
            raise ModelError(
                f"{self.card.id} was handed an embedding made by {embedding.model_id}: "
                "an embedding is good only for the model that made it."
            )
        return embedding.data

    def _check_prompt(self, prompt: Prompt) -> None:
        if refused := prompt.kinds - self.accepts:
            raise PromptError(
                f"{self.card.title} takes {_names(self.accepts)}, not {_names(refused)}."
            )
        if not prompt.is_positive:
            raise PromptError("The prompt says nowhere where the object is: add a click or a box.")

    def _score(self, iou: np.float32) -> float | None:
        return min(max(float(iou), 0.0), 1.0) if self._scored else None


def _alike(prompts: Sequence[Prompt]) -> Iterator[list[int]]:
    """Indices of prompts that can be decoded together, a batch at a time."""
    groups: dict[tuple[int, bool, bool], list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        parts = len(prompt.points), prompt.box is not None, prompt.previous is not None
        groups[parts].append(index)
    for members in groups.values():
        for start in range(0, len(members), DECODE_BATCH):
            yield members[start : start + DECODE_BATCH]


def _is_ambiguous(prompt: Prompt) -> bool:
    return len(prompt.points) == 1 and prompt.box is None and prompt.previous is None


def _corners(box: Box) -> NDArray[np.float64]:
    """((x0, y0), (x1, y1)) of the half-open box.

    The last pixel inside would be a pixel of the image too few once it is enlarged to the input:
    on stained nuclei in fields of 96 to 192 px that costs LiteMedSAM 0.03 of mean IoU.
    """
    return np.array([(box.c0, box.r0), (box.c1, box.r1)])


def _names(kinds: frozenset[PromptKind]) -> str:
    return " and ".join(KIND_WORDS[kind] for kind in sorted(kinds))


def check_image(image: NDArray[np.uint8]) -> None:
    """Refuse what is no (h, w, 3) uint8 image with a ModelError."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ModelError(
            f"An image must be (rows, columns, 3) uint8 and not empty, not {image.shape} "
            f"{image.dtype}."
        )
