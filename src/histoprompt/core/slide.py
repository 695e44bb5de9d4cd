"""A slide: lazy pyramid levels and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from histoprompt.core.errors import RegionError, SlideError
from histoprompt.core.geometry import Box, Frame

MppSource = Literal["file", "typed"]


class LevelArray(Protocol):
    """What a pyramid level must offer: a lazy (H, W, 3) uint8 array."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def ndim(self) -> int: ...
    def __getitem__(self, key: Any) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, eq=False)
class Slide:
    """A whole-slide image or a plain one, opened lazily.

    Attributes
    ----------
    name : str
        For people: the file's stem or the layer's name.
    key : str
        Identifies the pixels: equal for the same file, used for caches and label stores.
    levels : tuple of lazy (H, W, 3) uint8 arrays
        Finest first.
    mpp : float or None
        Microns a level-0 pixel.
    mpp_source : "file", "typed" or None
        Who said so.
    vendor : str or None
        The scanner's maker as the file states it.
    path : str or None
        The file or folder; None for a slide made from arrays.
    notes : tuple of str
        What is missing or was assumed, for `histoprompt info`.
    properties : mapping
        Further facts of the file (objective power, bounds, compression ...).
    """

    name: str
    key: str
    levels: tuple[LevelArray, ...]
    mpp: float | None = None
    mpp_source: MppSource | None = None
    vendor: str | None = None
    path: str | None = None
    notes: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.levels:
            raise SlideError(f"{self.name} holds no image.")
        if min(self.shape) < 1:
            raise SlideError(f"{self.name} has an image of size {self.shape}: there are no pixels.")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of level 0."""
        h, w = self.levels[0].shape[:2]
        return int(h), int(w)

    @property
    def box(self) -> Box:
        """The whole slide."""
        return Box.of_shape(self.shape)

    @property
    def downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels a pixel of each level."""
        h, w = self.shape
        return tuple((h / a.shape[0] + w / a.shape[1]) / 2 for a in self.levels)

    def read(
        self, box: Box, shape: tuple[int, int] | None = None
    ) -> tuple[NDArray[np.uint8], Frame]:
        """Read a region at a resolution of choice.

        Parameters
        ----------
        box : Box
            Integer level-0 region, inside the slide.
        shape : (rows, cols), optional
            Of the result; the region's own size in level-0 pixels if not given.

        Returns
        -------
        image : (rows, cols, 3) uint8
        frame : Frame
            Where the image lies; its box is `box`.

        Raises
        ------
        RegionError
            If the box reaches outside the slide.
        SlideError
            If the file's pixels cannot be decoded.
        """
        box = box.to_pixels()
        if not self.box.covers(box):
            raise RegionError(
                f"Region {tuple(box)} reaches outside {self.name}, "
                f"which has {self.shape[0]} rows and {self.shape[1]} columns."
            )
        shape = box.shape if shape is None else shape
        frame = Frame(box, shape)
        level = self.level_for(min(frame.scale))
        image = self._read_level(level, box)
        if image.shape[:2] != shape:
            smaller = shape[0] < image.shape[0]
            resized = resize(image, shape, order=1, preserve_range=True, anti_aliasing=smaller)
            image = np.rint(resized).astype(np.uint8)
        return image, frame

    def level_for(self, downsample: float) -> int:
        """The coarsest level that is at least as fine as `downsample` (within one per cent)."""
        fine = [i for i, d in enumerate(self.downsamples) if d <= downsample * 1.01]
        return max(fine, key=lambda i: self.downsamples[i]) if fine else 0

    def _read_level(self, level: int, box: Box) -> NDArray[np.uint8]:
        raise NotImplementedError
