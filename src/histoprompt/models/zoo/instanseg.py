"""Adapter of InstanSeg, for those who have installed the package `instanseg-torch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import WeightsError
from histoprompt.models.card import ModelCard
from histoprompt.models.windowed import WindowedCells

CARD = ModelCard(
    id="instanseg",
    role="cells",
    title="InstanSeg (brightfield nuclei)",
    loader="histoprompt.models.zoo.instanseg:load",
    input_size=1024,
    step=768,
    licence="Apache-2.0 (code and weights)",
    citation="Goldsborough et al., InstanSeg, arXiv:2408.15954, 2024",
    mpp=0.5,
    memory_mib=1500,
    values=3_800_000,
    needs=("instanseg", "napari-histoprompt[instanseg]"),
    description="Nuclei of H&E and IHC, quick; its own package and a TorchScript model.",
)
_NAME = "brightfield_nuclei"


def load(card: ModelCard, weights: Path | None, device: str) -> WindowedCells:
    """Wrap the package's model.

    Raises
    ------
    WeightsError
        If no model is where the package keeps its own; nothing is downloaded unasked.
    """
    import torch
    from instanseg import InstanSeg

    path = weights or _newest()
    if path is None or not path.is_file():
        raise WeightsError(
            f"The model of {card.title} is missing. The package fetches it when it is first used: "
            f"instanseg.InstanSeg({_NAME!r}); or name an instanseg.pt with --weights."
        )
    network = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    model: Any = InstanSeg(network, device=device, verbosity=0)

    def find(window: NDArray[np.uint8]) -> NDArray[np.int32]:
        found = model.eval_small_image(
            window, pixel_size=card.mpp, return_image_tensor=False, target="nuclei"
        )
        return np.asarray(found.cpu().numpy(), np.int32).reshape(window.shape[:2])

    return WindowedCells(find, card.input_size, card.step)


def _newest() -> Path | None:
    """The model as the package's own download leaves it, the highest version."""
    import os

    import instanseg.utils

    home = os.environ.get("INSTANSEG_BIOIMAGEIO_PATH")
    assert instanseg.utils.__file__ is not None
    folder = Path(home) if home else Path(instanseg.utils.__file__).parents[1] / "bioimageio_models"
    return max(folder.glob(f"{_NAME}/*/instanseg.pt"), default=None)
