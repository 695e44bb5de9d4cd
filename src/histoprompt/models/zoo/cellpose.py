"""Adapter of Cellpose-SAM, for those who have installed the package `cellpose`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import WeightsError
from histoprompt.models.card import ModelCard
from histoprompt.models.cells.windowed import GLASS_CONTRAST, WindowedCells

CARD = ModelCard(
    id="cellpose",
    role="cells",
    title="Cellpose-SAM",
    loader="histoprompt.models.zoo.cellpose:load",
    input_size=1024,
    window_stride=768,
    licence="BSD-3-Clause (code); of the weights: see their page",
    citation="Pachitariu, Rariden and Stringer, Cellpose-SAM, bioRxiv 2025",
    mpp=0.25,
    memory_mib=4000,
    n_params=300_000_000,
    needs=("cellpose", "napari-histoprompt[cellpose]"),
    description="Whole cells or nuclei of any kind; its own package and weights, best on a GPU.",
)
# As the package names them, newest first.
_NAMES = ("cpsam_v2", "cpsam")


def load(card: ModelCard, weights: Path | None, device: str) -> WindowedCells:
    """Wrap the package's model.

    Raises
    ------
    WeightsError
        If the weights are not where the package keeps them; nothing is downloaded unasked.
    """
    import torch
    from cellpose import models

    kept = [Path(models.MODEL_DIR) / name for name in _NAMES]
    path = weights or next((p for p in kept if p.is_file()), kept[0])
    if not path.is_file():
        raise WeightsError(
            f"The weights of {card.title} are missing: {path}. Put the file there (`cellpose` "
            f"fetches it when first run, 1.2 GB), or name one with --weights. {card.licence}."
        )
    target = torch.device(device)
    model: Any = models.CellposeModel(
        device=target, pretrained_model=str(path), use_bfloat16=target.type != "cpu"
    )

    def find(window: NDArray[np.uint8]) -> NDArray[np.int32]:
        masks = model.eval(window, channel_axis=2)[0]
        return np.asarray(masks, np.int32)

    return WindowedCells(find, card.input_size, card.window_stride, GLASS_CONTRAST)
