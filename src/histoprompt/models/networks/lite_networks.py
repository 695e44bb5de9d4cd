"""The project's own two networks, as a weights file holds them, and what they see of an image."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.models.blueprint import Blueprint
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.cells.familiar import Familiar
from histoprompt.models.cells.instances import DecodeParams
from histoprompt.models.cells.probability import ProbabilityCalibration
from histoprompt.models.networks.head_files import networks, read_heads
from histoprompt.models.networks.precision import computing_in

if TYPE_CHECKING:
    import torch

FILENAME = "histoprompt_lite.safetensors"
STEP = 16  # sides of what a network sees are multiples of this
_PARTS = ("cells.", "prompt.")  # of the names of tensors in a file
_COUNTER = "num_batches_tracked"
CONTRAST = 0.06  # share of red light a nucleus absorbs beyond the brightest 5 % of the image


def shipped_heads() -> AbstractContextManager[Path]:
    """The weights file that comes with the package."""
    return as_file(files("histoprompt") / "weights" / FILENAME)


@dataclass(frozen=True, eq=False)
class Networks:
    """Both networks, on one device.

    Attributes
    ----------
    cells, prompt : torch module
    params : DecodeParams
    device : str
    half : str or None
        Short type the network of nuclei multiplies in.
    calibration : ProbabilityCalibration or None
        How likely what was found is a nucleus; files of earlier versions do not say.
    familiar : Familiar or None
        How fields to learn from looked to the network of nuclei.
    trust : tuple of (offset, slope) or None
        What the scores of the four masks of a prompt are worth; the usual if None.
    """

    cells: Any
    prompt: Any
    params: DecodeParams
    device: str
    half: str | None = None
    calibration: ProbabilityCalibration | None = None
    familiar: Familiar | None = None
    trust: tuple[tuple[float, float], ...] | None = None

    @classmethod
    def load(cls, weights: Path | None, device: str, half: str | None = None) -> Networks:
        """Read the networks from a file.

        Raises
        ------
        WeightsError
            If the file does not fit them.
        """
        import torch

        with shipped_heads() as shipped:
            path = shipped if weights is None else weights
            heads = read_heads(path)
        cells, prompt = networks(heads, path)
        for net in (cells, prompt):
            net.eval().requires_grad_(False).to(device)
            net.to(memory_format=torch.channels_last)
        told = heads.calibration, heads.familiar, heads.trust
        return cls(cells, prompt, heads.params, device, half, *told)

    def light(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """What an (h, w, 3) image absorbs, (1, 3, h, w) on the device."""
        import torch

        from histoprompt.models.networks.unet import absorbed

        planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        return absorbed(planes.to(self.device)).contiguous(memory_format=torch.channels_last)

    def look(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Maps (3, h, w) in [0, 1] of an (h, w, 3) image, and features (c, h / 16, w / 16).

        Sides are multiples of 16.
        """
        import torch

        with torch.inference_mode(), computing_in(self.half, self.device):
            found, features = self.cells.described(self.light(image))
        maps = found[0].float().sigmoid().cpu().numpy()
        maps[0] *= darker_than_glass(image)
        return maps, features[0].float().cpu().numpy()


class HeadsBlueprint(Blueprint):
    """What a file of both networks has to hold, each on the trunk that the file is for."""

    def misfit(self, state: Mapping[str, torch.Tensor]) -> str:
        """What is wrong with the tensors of a file; empty if they fit."""
        wanted = Blueprint(_both(state), self.rename, self.under)
        if not any(key.startswith(_PARTS) for key in state):
            return wanted.misfit(state)
        counters = {k: v for k, v in wanted.net.state_dict().items() if k.endswith(_COUNTER)}
        return wanted.misfit({**counters, **state})


def blueprint(card: ModelCard, spec: WeightsSpec) -> Blueprint:
    """What a file of both networks has to hold; the counters of batches are in none."""
    with shipped_heads() as path:
        heads = read_heads(path)
    shipped = {f"cells.{k}": v for k, v in heads.cells.items()}
    shipped |= {f"prompt.{k}": v for k, v in heads.prompt.items()}
    return HeadsBlueprint(_both(shipped), dict, under=())


def _both(state: Mapping[str, torch.Tensor]) -> Any:
    """Both networks on the trunks that the tensors of a file are for."""
    import torch

    from histoprompt.models.networks.unet import NucleiNet, prompt_net_of, trunk_of

    cells, prompt = (
        {k.removeprefix(part): v for k, v in state.items() if k.startswith(part)} for part in _PARTS
    )
    return torch.nn.ModuleDict(
        {"cells": NucleiNet(trunk_of(cells)), "prompt": prompt_net_of(prompt)}
    )


def darker_than_glass(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where an (h, w, 3) image is dark enough in red for a nucleus.

    The networks look at an image relative to itself, so on glass they see nuclei in the noise.
    """
    red = ndi.gaussian_filter(1 - image[..., 0] / np.float32(255), 2)
    return np.asarray(red >= np.percentile(red, 5) + CONTRAST)
