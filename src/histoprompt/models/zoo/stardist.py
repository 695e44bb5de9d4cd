"""Adapter of StarDist, for those who have installed the packages `stardist` and `tensorflow`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import WeightsError
from histoprompt.models.card import ModelCard
from histoprompt.models.windowed import WindowedCells

CARD = ModelCard(
    id="stardist",
    role="cells",
    title="StarDist (H&E)",
    loader="histoprompt.models.zoo.stardist:load",
    input_size=1024,
    step=768,
    licence="BSD-3-Clause",
    citation="Schmidt et al., Cell Detection with Star-convex Polygons, MICCAI 2018",
    mpp=0.25,
    memory_mib=2000,
    needs=("stardist", "napari-histoprompt[stardist]"),
    description="Round nuclei of H&E as star-convex polygons; needs tensorflow beside torch.",
)
_NAME = "2D_versatile_he"


def load(card: ModelCard, weights: Path | None, device: str) -> WindowedCells:
    """Wrap the package's model; tensorflow chooses the device itself.

    Parameters
    ----------
    weights : Path, optional
        A StarDist model's folder, or a file in it; by default the published H&E model where the
        package keeps it.

    Raises
    ------
    WeightsError
        If the model is not there; nothing is downloaded unasked.
    """
    from csbdeep.utils import normalize
    from stardist.models import StarDist2D

    folder = _folder(weights)
    if not (folder / "config.json").is_file():
        raise WeightsError(
            f"The model of {card.title} is missing: {folder} holds no config.json. The package "
            f"fetches it when first asked: stardist.models.StarDist2D.from_pretrained({_NAME!r}); "
            "or name its folder with --weights."
        )
    model: Any = StarDist2D(None, name=folder.name, basedir=str(folder.parent))

    def find(window: NDArray[np.uint8]) -> NDArray[np.int32]:
        # as StarDist's H&E example: percentiles of all channels together
        scaled = normalize(window, 1, 99.8, axis=(0, 1, 2))
        labels, _ = model.predict_instances(scaled, axes="YXC")
        return np.asarray(labels, np.int32)

    return WindowedCells(find, card.input_size, card.step)


def _folder(weights: Path | None) -> Path:
    if weights is not None:
        return weights if weights.is_dir() else weights.parent
    return Path.home() / ".keras" / "models" / "StarDist2D" / _NAME / _NAME
