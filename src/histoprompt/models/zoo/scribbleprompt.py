"""ScribblePrompt (Wong et al., ECCV 2024): clicks, scribbles and boxes on grey images.

Two models: a UNet that looks at 128 x 128 pixels anew for every prompt, and SAM ViT-B that takes
each pixel of a scribble as a click. Recipe: halleewong/ScribblePrompt, ``models/unet.py``,
``models/sam.py`` and ``demos/app.py``. Neither has seen colour: RGB becomes its luminance.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError, PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import INSIDE, OUTSIDE, Prompt, PromptKind
from histoprompt.core.prompts.scribbles import rasterise
from histoprompt.core.results import Logits, Mask
from histoprompt.models.blueprint import Blueprint
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.networks.fitting import InputFit, bilinear_matrix, mask_from_logits
from histoprompt.models.roles import Embedding
from histoprompt.models.zoo import sam
from histoprompt.models.zoo.family import SamFamily, check_image

ACCEPTS: frozenset[PromptKind] = frozenset({"point", "box", "scribble"})
SIDE = 128
BATCH = 16
MOST_CLICKS = 1024
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_DROPBOX = "https://www.dropbox.com/scl/fi/"


def grey_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The luminance of an (h, w, 3) uint8 image stretched to [0, 1], (h, w)."""
    grey = image.astype(np.float32) @ _LUMINANCE
    low, high = float(grey.min()), float(grey.max())
    return np.asarray((grey - low) / max(high - low, 1e-8), np.float32)


def resized(plane: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """An (h, w) array in another shape, bilinearly, without smoothing first, as published."""
    rows, cols = (bilinear_matrix(n, m) for n, m in zip(plane.shape, shape, strict=True))
    return np.asarray((cols @ (rows @ plane).T).T, np.float32)


class ScribbleUNetModel:
    """A `PromptSegmenter`; its embedding is the small grey image.

    Parameters
    ----------
    card : ModelCard
    net : torch.nn.Module
        `ScribbleUNet` in evaluation mode on `device`.
    device : str
    """

    def __init__(self, card: ModelCard, net: Any, device: str) -> None:
        self._card = card
        self._net = net
        self._device = device

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """Clicks, boxes and scribbles."""
        return self._card.accepts

    def embed(self, image: NDArray[np.uint8]) -> Embedding:
        """Make the grey (128, 128) image of an (h, w, 3) one; its aspect is not kept.

        Raises
        ------
        ModelError
            If the array is of another kind.
        """
        check_image(image)
        small = resized(grey_of(image), (SIDE, SIDE))
        return Embedding(self._card.id, (image.shape[0], image.shape[1]), small, small.nbytes)

    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[list[Mask]]:
        """One mask a prompt, without score; see `PromptSegmenter.segment`.

        Raises
        ------
        PromptError
            If a prompt says nowhere where the object is.
        ModelError
            If the embedding is another model's.
        """
        if embedding.model_id != self._card.id:
            raise ModelError(
                f"An embedding of {embedding.model_id} was handed to {self._card.id}: embed again."
            )
        for prompt in prompts:
            _check_positive(prompt)
        frame = Frame(Box.of_shape(embedding.shape), embedding.shape)
        whole = InputFit(embedding.shape, (1.0, 1.0), SIDE, (SIDE, SIDE))
        found: list[list[Mask]] = []
        for start in range(0, len(prompts), BATCH):
            for plane in self._logits(embedding, prompts[start : start + BATCH]):
                # The recipe resizes probabilities: half of them lies at 0 here, as in `SamFamily`.
                array = mask_from_logits(np.tanh(plane / 2), whole)
                found.append([Mask(array, frame, logits=Logits(plane, _grid(embedding.shape)))])
        return found

    def _logits(self, embedding: Embedding, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        import torch

        planes = np.stack([channels(embedding.data, p, embedding.shape) for p in prompts])
        with torch.inference_mode():
            logits = self._net(torch.from_numpy(planes).to(self._device))
        return np.asarray(logits[:, 0].float().cpu().numpy())


def channels(
    grey: NDArray[np.float32], prompt: Prompt, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """What the UNet sees, (5, 128, 128): image, box, inside, outside, logits of the answer before.

    Without an answer before the last plane is 0, as it was in training.

    Parameters
    ----------
    grey : (128, 128) float32
    prompt : Prompt
        In pixels of the image.
    shape : (rows, cols)
        Of the image.
    """
    out = np.zeros((5, SIDE, SIDE), np.float32)
    out[0] = grey
    scale = SIDE / np.array(shape)
    if prompt.box is not None:
        low = np.clip(np.array([prompt.box.r0, prompt.box.c0]) * scale, 0, SIDE - 1).astype(int)
        high = np.clip(np.array([prompt.box.r1, prompt.box.c1]) * scale, 1, SIDE).astype(int)
        high = np.maximum(high, low + 1)
        out[1, low[0] : high[0], low[1] : high[1]] = 1
    painted = rasterise(prompt, shape)
    for plane, value in ((2, INSIDE), (3, OUTSIDE)):
        if (drawn := painted == value).any():
            out[plane] = resized(drawn.astype(np.float32), (SIDE, SIDE))
    at = np.clip(prompt.points * scale, 0, SIDE - 1).astype(int)
    for (row, col), inside in zip(at, prompt.labels, strict=True):
        out[2 if inside else 3, row, col] = 1
    if prompt.previous is not None:
        out[4] = prompt.previous.as_logits(_grid(shape))
    return out


def _grid(shape: tuple[int, int]) -> Frame:
    """Where what the UNet sees lies on an image of this shape."""
    return Frame(Box.of_shape(shape), (SIDE, SIDE))


class ScribbleSam(SamFamily):
    """SAM with scribbles: every painted pixel is a click, every prompt gives three masks."""

    def logits(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `SamFamily.logits`; prompts may hold scribbles if all hold as many pixels of them."""
        return super().logits(embedding, [as_clicks(p, embedding.shape) for p in prompts])

    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[list[Mask]]:
        """See `SamFamily.segment`."""
        return super().segment(embedding, [as_clicks(p, embedding.shape) for p in prompts])


def as_clicks(prompt: Prompt, shape: tuple[int, int]) -> Prompt:
    """The prompt with a click in every pixel of its scribbles, or in evenly chosen ones of many."""
    if "scribble" not in prompt.kinds:
        return prompt
    painted = rasterise(prompt, shape)
    dots = [_thinned(np.argwhere(painted == value)) for value in (INSIDE, OUTSIDE)]
    inside = np.repeat([True, False], [len(d) for d in dots])
    return Prompt(
        points=np.concatenate([prompt.points, *dots]),
        labels=np.concatenate([prompt.labels, inside]),
        box=prompt.box,
        previous=prompt.previous,
    )


def _thinned(pixels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Evenly chosen pixels of a scribble: all of a filled one would take gigabytes to attend to."""
    return pixels[:: max(1, -(-len(pixels) // MOST_CLICKS))]


def prepare_sam(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], InputFit]:
    """Grey three times, a square bilinearly whatever the aspect, then SAM's mean and deviation."""
    shape = image.shape[0], image.shape[1]
    square = resized(grey_of(image), (side, side))[..., None]
    values = (255 * square - sam.MEAN) / sam.STD
    scale = side / shape[0], side / shape[1]
    planes = np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)
    return planes, InputFit(shape, scale, side, (side, side))


def _check_positive(prompt: Prompt) -> None:
    if not prompt.is_positive:
        raise PromptError(
            "The prompt says nowhere where the object is: add a click, a scribble or a box."
        )


def load_unet(card: ModelCard, weights: Path, device: str) -> ScribbleUNetModel:
    """The UNet with these weights; raises WeightsError for a file of another kind."""
    from histoprompt.models.weights.checkpoints import load_weights

    net = load_weights(blueprint(card), weights, card.title)
    return ScribbleUNetModel(card, net.to(device), device)


def blueprint(card: ModelCard, spec: WeightsSpec | None = None) -> Blueprint:
    """What the file of the UNet has to hold."""
    from histoprompt.models.networks.scribble_unet import ScribbleUNet

    return Blueprint(ScribbleUNet())


def load_sam(card: ModelCard, weights: Path, device: str) -> ScribbleSam:
    """SAM ViT-B with these weights; raises WeightsError for a file of another kind."""
    net = sam.built(card, weights, device)
    return ScribbleSam(card, net, device, prepare_sam, three_always=True)


def _card(
    card_id: str, title: str, loader: str, filename: str, link: str, *, n_params: int, **more: Any
) -> ModelCard:
    url = f"{_DROPBOX}{link}"
    return ModelCard(
        id=card_id,
        role="prompt",
        title=title,
        loader=f"histoprompt.models.zoo.scribbleprompt:{loader}",
        accepts=ACCEPTS,
        corrects=True,
        licence="Apache-2.0 (code; no other is stated for the weights)",
        citation="Wong et al., ScribblePrompt, ECCV 2024",
        weights=WeightsSpec(filename, url, n_params=n_params),
        crop_px=SIDE,
        **more,
    )


CARDS = (
    _card(
        "scribbleprompt-unet",
        "ScribblePrompt UNet",
        "load_unet",
        "ScribblePrompt_unet_v1_nf192_res128.pt",
        "pnw88n05irnv5z1snlklr/ScribblePrompt_unet_v1_nf192_res128.pt"
        "?rlkey=dr8xvkf0wj2r082h1zzpcmz5o&dl=1",
        n_params=3_991_882,
        blueprint="histoprompt.models.zoo.scribbleprompt:blueprint",
        input_size=SIDE,
        memory_mib=300,
        description="Small; any mix of prompts, sees 128 px of grey and no colour.",
    ),
    _card(
        "scribbleprompt-sam",
        "ScribblePrompt SAM (ViT-B)",
        "load_sam",
        "ScribblePrompt_sam_v1_vit_b_res128.pt",
        "s1xlyhyg92kle72dctoa5/ScribblePrompt_sam_v1_vit_b_res128.pt"
        "?rlkey=zc6p40kfvotdo4ts9l7w8o05g&dl=1",
        n_params=sam.VALUES["b"],
        architecture="vit_b",
        blueprint=sam.BLUEPRINT,
        input_size=1024,
        memory_mib=3200,
        description="SAM on grey images with scribbles: as many clicks as painted pixels.",
    ),
)
