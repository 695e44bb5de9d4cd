"""Adapter of StarDist, for those who have installed the packages `stardist` and `tensorflow`."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError, WeightsError
from histoprompt.models.card import ModelCard
from histoprompt.models.cells.windowed import GLASS_CONTRAST, WindowedCells
from histoprompt.models.preload import preload_triton

# Its makers state no pixel size. QuPath's manual finds 0.5 best for it, and in the H&E image that
# comes with the package nuclei are 15 to 20 pixels wide, as they are at 0.5.
CARD = ModelCard(
    id="stardist",
    role="cells",
    title="StarDist (H&E)",
    loader="histoprompt.models.zoo.stardist:load",
    input_size=1024,
    window_stride=768,
    licence="BSD-3-Clause",
    citation="Schmidt et al., Cell Detection with Star-convex Polygons, MICCAI 2018",
    mpp=0.5,
    memory_mib=2000,
    needs=("stardist", "napari-histoprompt[stardist]"),
    description="Round nuclei of H&E as star-convex polygons; needs tensorflow beside torch.",
)
_NAME = "2D_versatile_he"
_SUFFIXES = (".h5", ".hdf5")


def load(card: ModelCard, weights: Path | None, device: str) -> WindowedCells:
    """Wrap the package's model; tensorflow chooses the device itself.

    Parameters
    ----------
    weights : Path, optional
        A StarDist model's folder, or an .h5 file in it; by default the published H&E model where
        the package keeps it.

    Raises
    ------
    ModelError
        If tensorflow is missing.
    WeightsError
        If the model is not there, or is not one for RGB images; nothing is downloaded unasked.
    """
    folder, file = _place(card, weights)
    preload_triton()
    try:
        from csbdeep.utils import normalize
        from stardist.models import StarDist2D
    except RuntimeError as error:  # what the package makes of a missing or too old tensorflow
        raise ModelError(
            f"{card.title} cannot be loaded: {error}. pip install 'napari-histoprompt[stardist]'."
        ) from error
    _leave_memory_to_others()
    model = _read(StarDist2D, folder, file)

    def find(window: NDArray[np.uint8]) -> NDArray[np.int32]:
        # as StarDist's H&E example: percentiles of all channels together
        scaled = normalize(window, 1, 99.8, axis=(0, 1, 2))
        labels, _ = model.predict_instances(scaled, axes="YXC")
        return np.asarray(labels, np.int32)

    return WindowedCells(find, card.input_size, card.window_stride, GLASS_CONTRAST)


def _place(card: ModelCard, weights: Path | None) -> tuple[Path, Path | None]:
    """The model's folder, and the file in it if one was chosen."""
    if weights is None:
        found = next((p for p in _kept() if (p / "config.json").is_file()), None)
        if found is None:
            raise WeightsError(
                f"The model of {card.title} is missing: {_kept()[0]} holds no config.json. With a "
                "network the package fetches it: python -c 'from stardist.models import "
                f'StarDist2D; StarDist2D.from_pretrained("{_NAME}")\'. Without one, unpack '
                f"python_{_NAME}.zip of github.com/stardist/stardist-models/releases, and name the "
                "folder with --weights."
            )
        return found, None
    folder, file = (weights, None) if weights.is_dir() else (weights.parent, weights)
    usable = file is None or file.suffix in _SUFFIXES
    # without weights the package would go on with random ones
    if not usable or not (folder / "config.json").is_file() or not _weights_in(folder):
        raise WeightsError(
            f"{weights} is no StarDist model. Name the folder that holds its config.json and "
            "weights_best.h5, or the .h5 file in it."
        )
    return folder, file


def _kept() -> tuple[Path, ...]:
    """Where the package keeps its model, by the version of keras."""
    keras = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
    base = keras / "models" / "StarDist2D" / _NAME
    return base / _NAME, base / f"{_NAME}_extracted", base


def _weights_in(folder: Path) -> bool:
    return any(path.suffix in _SUFFIXES for path in folder.iterdir())


def _read(kind: Any, folder: Path, file: Path | None) -> Any:
    try:
        # what the package prints is no result of ours
        with contextlib.redirect_stdout(io.StringIO()):
            model = kind(None, name=folder.name, basedir=str(folder.parent))
            if file is not None:
                model.load_weights(file.name)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{folder} cannot be read as a StarDist model: {error}.") from error
    if (model.config.axes, model.config.n_channel_in) != ("YXC", 3):
        raise WeightsError(
            f"{folder} is a StarDist model for {model.config.n_channel_in} channels with the axes "
            f"{model.config.axes}; slides need one for 3 channels and YXC, such as {_NAME}."
        )
    return model


def _leave_memory_to_others() -> None:
    """Have tensorflow take a GPU's memory as it needs it, and not all at once from torch."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        # it cannot be changed once something else has used tensorflow
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
