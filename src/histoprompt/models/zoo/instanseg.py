"""Adapter of InstanSeg, for those who have installed the package `instanseg-torch`."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import WeightsError
from histoprompt.models.card import ModelCard
from histoprompt.models.cells.windowed import GLASS_CONTRAST, WindowedCells
from histoprompt.models.weights import trust

CARD = ModelCard(
    id="instanseg",
    role="cells",
    title="InstanSeg (brightfield nuclei)",
    loader="histoprompt.models.zoo.instanseg:load",
    input_size=1024,
    window_stride=768,
    licence="Apache-2.0 (code and weights)",
    citation="Goldsborough et al., InstanSeg, arXiv:2408.15954, 2024",
    mpp=0.5,
    memory_mib=1500,
    n_params=3_800_000,
    needs=("instanseg", "napari-histoprompt[instanseg]"),
    description="Nuclei of H&E and IHC, quick; its own package and a TorchScript model.",
    program="histoprompt.models.zoo.instanseg:program_file",
)
_NAME = "brightfield_nuclei"
_FILE = "instanseg.pt"
# Smallest side that its published models state.
_LEAST = 32


def load(card: ModelCard, weights: Path | None, device: str) -> WindowedCells:
    """Wrap the package's model.

    Parameters
    ----------
    weights : Path, optional
        A TorchScript file that InstanSeg exported, or a folder with its `instanseg.pt`; by default
        the published brightfield model where the package keeps it.

    Raises
    ------
    WeightsError
        If the model is not there or is of another kind; nothing is downloaded unasked.
    """
    from instanseg import InstanSeg

    network = _read(_place(card, weights))
    model: Any = InstanSeg(network, device=device, verbosity=0)
    # one that was exported without its pixel size takes images as they are
    seen_at = card.mpp if network.pixel_size > 0 else None

    def find(window: NDArray[np.uint8]) -> NDArray[np.int32]:
        h, w = window.shape[:2]
        room = [(0, max(0, _LEAST - side)) for side in (h, w)]
        image = np.pad(window, (*room, (0, 0)), mode="symmetric")
        with warnings.catch_warnings():  # it asks for CUDA's half precision on every device
            warnings.simplefilter("ignore", UserWarning)
            found = model.eval_small_image(
                image, pixel_size=seen_at, return_image_tensor=False, target="nuclei"
            )
        return np.asarray(found[0, 0].cpu().numpy()[:h, :w], np.int32)

    return WindowedCells(find, card.input_size, card.window_stride, GLASS_CONTRAST)


def program_file(card: ModelCard, weights: Path | None) -> Path:
    """The file that `load` would run; raises as it does."""
    return _place(card, weights)


def _place(card: ModelCard, weights: Path | None) -> Path:
    path = _newest() if weights is None else weights / _FILE if weights.is_dir() else weights
    if path is None or not path.is_file():
        raise WeightsError(
            f"The model of {card.title} is missing{'' if path is None else f': {path}'}. With a "
            f"network the package fetches it: python -c 'import instanseg; "
            f'instanseg.InstanSeg("{_NAME}")\'. Without one, unpack {_NAME}.zip of '
            f"github.com/instanseg/instanseg/releases, and name its {_FILE} with --weights."
        )
    return path


def _newest() -> Path | None:
    """The model as the package's own download leaves it, the highest version."""
    import instanseg.utils

    home = os.environ.get("INSTANSEG_BIOIMAGEIO_PATH")
    assert instanseg.utils.__file__ is not None
    folder = Path(home) if home else Path(instanseg.utils.__file__).parents[1] / "bioimageio_models"
    return max(folder.glob(f"{_NAME}/*/{_FILE}"), key=_version, default=None)


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parent.name)]


def _read(path: Path) -> Any:
    import torch

    trust.require(CARD, path)
    try:
        with warnings.catch_warnings():  # torch would rather have models exported otherwise
            warnings.simplefilter("ignore", FutureWarning)
            # to the CPU first: what fails is then the file, and not the memory of a device
            network = torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        # of a page of text the first sentence says what is wrong
        reason = str(error).strip().splitlines()[0].partition(". ")[0]
        raise WeightsError(
            f"{path} is no TorchScript file: {reason}. Name an {_FILE} as InstanSeg exports it."
        ) from error
    if not all(hasattr(network, name) for name in ("pixel_size", "cells_and_nuclei")):
        raise WeightsError(f"{path} is a TorchScript file, but no model that InstanSeg exported.")
    return network
