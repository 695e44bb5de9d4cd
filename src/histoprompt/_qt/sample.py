"""The sample images napari lists under File > Open Sample > histoprompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histoprompt._qt.reader import get_reader
from histoprompt.core.errors import SlideError
from histoprompt.core.sample import SLIDE, sample_file

if TYPE_CHECKING:
    from napari.types import LayerData


def sample_slide() -> list[LayerData]:
    """A small made H&E slide, read as any other slide is.

    Returns
    -------
    list of LayerData
        One multiscale RGB image with its scale in microns.

    Raises
    ------
    SlideError
        If the file is missing or cannot be read.
    """
    path = str(sample_file(SLIDE))
    read = get_reader(path)
    if read is None:
        raise SlideError(f"{path} is not a slide. Install napari-histoprompt again.")
    return read(path)


def sample_ihc() -> list[LayerData]:
    """The real immunohistochemistry image that scikit-image ships: colon, H-DAB.

    Returns
    -------
    list of LayerData
        One (512, 512, 3) uint8 RGB image. Its pixel size is not stated, so it has no scale.
    """
    from skimage.data import immunohistochemistry

    return [(immunohistochemistry(), {"name": "IHC colon (H-DAB)", "rgb": True}, "image")]
