"""The sample images napari lists under File > Open Sample > histoprompt."""

from __future__ import annotations

from histoprompt._qt.layers.make import provenance
from histoprompt._qt.reader import LayerData, read
from histoprompt.core.slides.sample import SLIDE, sample_file


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
    return read(sample_file(SLIDE))


def sample_ihc() -> list[LayerData]:
    """The real immunohistochemistry image that scikit-image ships: colon, H-DAB.

    Returns
    -------
    list of LayerData
        One (512, 512, 3) uint8 RGB image. Its pixel size is not stated, so it has no scale.
    """
    from skimage.data import immunohistochemistry

    # a slide like those of files: opened beside another, it takes the other's place
    about = {"name": "IHC colon (H-DAB)", "rgb": True, "metadata": provenance(kind="slide")}
    return [(immunohistochemistry(), about, "image")]
