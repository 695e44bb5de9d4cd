"""A slide: lazy pyramid levels and where they came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import RegionError, SlideError
from histoprompt.core.files.closing import Closing
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.slides.fingerprint import array_key
from histoprompt.core.slides.levels import RgbLevel, Source, bright_range, peak_of
from histoprompt.core.slides.pixel_rule import PixelRule
from histoprompt.core.slides.resample import read_resampled

MppSource = Literal["file", "typed"]


class LevelArray(Protocol):
    """What a pyramid level must offer: a lazy (H, W, 3) uint8 array."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    @property
    def ndim(self) -> int: ...  # noqa: D102
    def __getitem__(self, key: Any) -> NDArray[np.uint8]: ...


class PlaneArray(Protocol):
    """A level of a channel: a lazy (H, W) array of the values in the file."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    @property
    def chunks(self) -> tuple[int, int] | None: ...  # noqa: D102
    def __getitem__(self, key: Any) -> NDArray[Any]: ...


@dataclass(frozen=True, eq=False)
class Channel:
    """A channel of fluorescence.

    Attributes
    ----------
    name : str
        As the file has it, made to differ from the others.
    colour : str
        As ``#rrggbb``.
    levels : tuple of lazy (H, W) arrays
        Finest first, with the values in the file.
    """

    name: str
    colour: str
    levels: tuple[PlaneArray, ...]

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The values that are shown as black and as the full colour; read when first asked for."""
        return bright_range(self.levels[-1])


def _nothing() -> None:
    """Hold no file open."""


@dataclass(frozen=True, eq=False)
class Slide(Closing):
    """A whole-slide image or a plain one, opened lazily; reads are safe from many threads.

    Attributes
    ----------
    name : str
        For people: the file's stem or the layer's name.
    key : str
        Identifies the pixels: equal for the same file wherever it lies, used for caches and
        label stores.
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
        Further facts of the file (objective power, date, compression ...).
    channels : tuple of Channel
        Of fluorescence; none of a picture in colours.
    shown_channel : int or None
        Which of them `levels` show, dark on white.
    release : callable
        Closes the files behind the levels.

    Raises
    ------
    SlideError
        If there are no pixels, or `mpp` is not a positive number.
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
    channels: tuple[Channel, ...] = ()
    shown_channel: int | None = None
    release: Callable[[], None] = field(default=_nothing, repr=False)

    def __post_init__(self) -> None:
        if not self.levels:
            raise SlideError(f"{self.name} holds no image.")
        if min(self.shape) < 1:
            raise SlideError(f"{self.name} has an image of size {self.shape}: there are no pixels.")
        if self.mpp is not None and not (math.isfinite(self.mpp) and self.mpp > 0):
            raise SlideError(
                f"{self.name}: a pixel size of {self.mpp} um is not possible. "
                "Give a positive number of microns a pixel, such as 0.25."
            )

    @classmethod
    def from_arrays(
        cls,
        name: str,
        levels: Sequence[Source] | Source,
        *,
        mpp: float | None = None,
        mpp_source: MppSource | None = None,
        key: str | None = None,
        path: str | None = None,
    ) -> Slide:
        """Make a slide from arrays, such as the levels of a napari layer.

        Parameters
        ----------
        name : str
            For people.
        levels : array-like or sequence of array-likes
            Finest first; numpy, zarr or dask; (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA. They
            stay lazy; other types than uint8 are scaled to it as they are read.
        mpp, mpp_source
            Microns a level-0 pixel, and who said so ("typed" unless given).
        key, path
            Where they are known (a layer of the histoprompt reader carries them in its metadata);
            otherwise the key is made from the pixels.

        Raises
        ------
        SlideError
            If an array is empty or has other axes.
        """
        arrays = list(levels) if isinstance(levels, Sequence) else [levels]
        if not arrays or min(min(a.shape, default=0) for a in arrays) < 1:
            raise SlideError(f"{name} is empty: there are no pixels.")
        axes = [_axes_of(a, name) for a in arrays]
        peak, note = peak_of(arrays[-1], axes[-1], name=name)
        rule = PixelRule(peak=peak)
        return cls(
            name=name,
            key=array_key(arrays) if key is None else key,
            levels=tuple(
                a if isinstance(a, RgbLevel) else RgbLevel(a, x, name, rule)
                for a, x in zip(arrays, axes, strict=True)
            ),
            mpp=mpp,
            mpp_source=None if mpp is None else (mpp_source or "typed"),
            path=path,
            notes=tuple(n for n in (note,) if n),
        )

    def close(self) -> None:
        """Close the files behind the levels; what was read stays valid."""
        self.release()

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
        return tuple(sum(self._steps(i)) / 2 for i in range(len(self.levels)))

    def _steps(self, level: int) -> tuple[float, float]:
        (h, w), (lh, lw) = self.shape, self.levels[level].shape[:2]
        return _step(h, lh), _step(w, lw)

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

        Notes
        -----
        The finest level needed is read with a margin and resampled so that `frame` holds exactly:
        a pixel of the result is centred where `frame.to_slide` says.
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
        sr, sc = self._steps(level)
        there = Box(box.r0 / sr, box.c0 / sc, box.r1 / sr, box.c1 / sc)
        return read_resampled(self.levels[level], there, frame.shape), frame

    def level_for(self, downsample: float) -> int:
        """The coarsest level that is at least as fine as `downsample` (within one per cent)."""
        fine = [i for i, d in enumerate(self.downsamples) if d <= downsample * 1.01]
        return max(fine, key=lambda i: self.downsamples[i]) if fine else 0


def _step(full: int, reduced: int) -> float:
    """Level-0 pixels a pixel of a reduced level, along one axis.

    Writers halve (or quarter) exactly and then cut or fill the last pixel, so the ratio of the
    sizes is a little off: 4443 / 2221 pixels means 2, not 2.0005.
    """
    whole = max(1, round(full / reduced))
    if full // whole <= reduced <= -(-full // whole):
        return float(whole)
    return full / reduced


def _axes_of(array: Source, name: str) -> str:
    shape = tuple(array.shape)
    if len(shape) == 2:
        return "YX"
    if len(shape) == 3 and shape[2] in (1, 3, 4):
        return "YXS"
    raise SlideError(
        f"{name} has an array of shape {shape}: a slide is (rows, columns) grey, "
        "or (rows, columns, 3 or 4) RGB or RGBA."
    )
