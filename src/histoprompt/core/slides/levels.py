"""Any lazy image seen as what a slide's level must be: (H, W, 3) uint8."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import SlideError
from histoprompt.core.files.read_errors import READ_ERRORS
from histoprompt.core.slides.pixel_rule import PixelRule, white_level
from histoprompt.core.strings.printable import one_line, reason_of

_SAMPLED_BYTES = 64 * 2**20
_SAMPLED_WINDOWS, _SAMPLED_SIDE = 8, 64


class Source(Protocol):
    """An array that is read by slicing: numpy, zarr, dask, or one of this package's readers."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    def __getitem__(self, key: Any) -> Any: ...


class RgbLevel:
    """A source seen as a lazy (H, W, 3) uint8 level; nothing is read before it is indexed.

    Parameters
    ----------
    source : array-like
        Read by slicing.
    axes : str
        A letter an axis of the source: Y, X, and S or C for the channels; any other axis is
        shown at its first position.
    name : str
        Named in the message when the pixels cannot be decoded.
    rule : PixelRule
        How values become colours.
    chunks : (rows, cols), optional
        Of the source, so that a viewer can read whole tiles.

    Raises
    ------
    SlideError
        On indexing, if the pixels cannot be decoded.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(
        self,
        source: Source,
        axes: str,
        name: str,
        rule: PixelRule | None = None,
        chunks: tuple[int, int] | None = None,
    ) -> None:
        self._source, self._axes, self._name = source, axes, name
        self._rule = PixelRule() if rule is None else rule
        h, w = source.shape[axes.index("Y")], source.shape[axes.index("X")]
        self.shape = (int(h), int(w), 3)
        self.chunks = None if chunks is None else (*chunks, 3)

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1] * 3

    @property
    def nbytes(self) -> int:
        """Bytes if it were read whole."""
        return self.size

    @property
    def stored_pixels(self) -> int:
        """Pixels of the file that a read of the whole level decodes."""
        return int(getattr(self._source, "stored_pixels", self.shape[0] * self.shape[1]))

    def is_blank(self, rows: slice, cols: slice) -> bool:
        """Whether the file is known to leave out these pixels, which are then white."""
        known = getattr(self._source, "is_blank", None)
        return known is not None and bool(known(rows, cols))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<level of {self._name}: {self.shape[0]} x {self.shape[1]} RGB>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        rows, cols, channels = complete(key)
        row, one_row = as_slice(rows, self.shape[0])
        col, one_col = as_slice(cols, self.shape[1])
        block = self._read(row, col)
        return block[0 if one_row else slice(None), 0 if one_col else slice(None), channels]

    def _read(self, rows: slice, cols: slice) -> NDArray[np.uint8]:
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return np.empty((len(_range(rows)), len(_range(cols)), 3), np.uint8)
        index = {"Y": rows, "X": cols, "S": slice(None), "C": slice(None)}
        try:
            block = np.asarray(self._source[tuple(index.get(a, 0) for a in self._axes)])
        except READ_ERRORS as error:
            raise damaged(self._name, self.shape, (rows, cols), error) from error
        return self._rule.apply(channels_last(block, self._axes))


def damaged(
    name: str, shape: tuple[int, ...], part: tuple[slice, slice], error: BaseException
) -> SlideError:
    """What a person is told where pixels of a level cannot be decoded."""
    rows, cols = part
    advice = "The file is damaged or incomplete: copy or download it again."
    if isinstance(error, MemoryError):
        advice = "Close other programs, or ask for less at a time."
    return SlideError(
        f"{one_line(name)}: rows {rows.start} to {rows.stop - 1}, columns {cols.start} "
        f"to {cols.stop - 1} of the {shape[0]} x {shape[1]} level cannot be decoded "
        f"({reason_of(error)}). {advice}"
    )


def complete(key: Any) -> tuple[Any, Any, Any]:
    """Spell out an index of up to three axes, ellipsis included."""
    keys = key if isinstance(key, tuple) else (key,)
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        filler = (slice(None),) * (4 - len(keys))
        keys = keys[:at] + filler + keys[at + 1 :]
    keys += (slice(None),) * (3 - len(keys))
    if len(keys) > 3:
        raise IndexError(f"A level has 3 axes; {len(keys)} indices were given.")
    return keys[0], keys[1], keys[2]


def as_slice(key: Any, length: int) -> tuple[slice, bool]:
    """Turn an integer or slice into an explicit slice, and tell whether it was an integer."""
    if isinstance(key, slice):
        start, stop, step = key.indices(length)
        if step < 1:
            raise IndexError("A level is read forwards: the step must be positive.")
        return slice(start, stop, step), False
    at = operator.index(key)
    if not -length <= at < length:
        raise IndexError(f"Index {at} is outside an axis of {length} pixels.")
    return slice(at % length, at % length + 1, 1), True


def window(key: Any, shape: tuple[int, ...]) -> tuple[slice, slice, Any]:
    """The rows, columns and channels of an index of slices into an (h, w, c) array."""
    rows, cols, channels = complete(key)
    return as_slice(rows, shape[0])[0], as_slice(cols, shape[1])[0], channels


def _range(s: slice) -> range:
    return range(s.start, s.stop, s.step)


def channels_last(block: NDArray[Any], axes: str) -> NDArray[Any]:
    """What was read of a source of these axes, as (h, w, c)."""
    kept = [a for a in axes if a in "YXSC"]
    order = [kept.index("Y"), kept.index("X")]
    order += [i for i, a in enumerate(kept) if a in "SC"]
    block = block.transpose(order)
    return block[..., None] if block.ndim == 2 else block


class WholeImage:
    """An image its codec can only decode whole: decoded at the first read, then kept.

    Parameters
    ----------
    shape, dtype
        Of the decoded array, known from the header.
    decode : callable
        Gives the array.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], decode: Callable[[], NDArray[Any]]
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._decode = decode
        self._pixels: NDArray[Any] | None = None
        self._lock = threading.Lock()

    def __getitem__(self, key: Any) -> NDArray[Any]:
        with self._lock:
            if self._pixels is None:
                self._pixels = self._decode()
        part: NDArray[Any] = self._pixels[key]
        return part


def sample(source: Source, axes: str = "YXS") -> NDArray[Any]:
    """Take values that stand for a whole array: all of a small one, else an even grid of windows.

    Returns
    -------
    (n,) array of the source's dtype, always the same for the same pixels.
    """
    nbytes = int(np.prod(source.shape, dtype=np.int64)) * source.dtype.itemsize
    if nbytes <= _SAMPLED_BYTES:
        key = tuple(slice(0, n, 1) for n in source.shape)
        return np.asarray(source[key]).ravel()
    h, w = source.shape[axes.index("Y")], source.shape[axes.index("X")]
    rows = np.linspace(0, max(h - _SAMPLED_SIDE, 0), _SAMPLED_WINDOWS).astype(int)
    cols = np.linspace(0, max(w - _SAMPLED_SIDE, 0), _SAMPLED_WINDOWS).astype(int)
    return np.concatenate([_window(source, axes, r, c) for r in rows for c in cols])


def _window(source: Source, axes: str, row: int, col: int) -> NDArray[Any]:
    side = _SAMPLED_SIDE
    index = {"Y": slice(row, row + side), "X": slice(col, col + side)}
    key = tuple(index.get(a, slice(None) if a in "SC" else 0) for a in axes)
    return np.asarray(source[key]).ravel()


def peak_of(
    source: Source, axes: str, bits: int | None = None, name: str = "The image"
) -> tuple[float, str | None]:
    """Say which stored value is shown as 255, by `white_level` of some of a source's values.

    Parameters
    ----------
    source : array-like
        The coarsest level: its values are read unless its type says all.
    axes : str
        A letter an axis of the source.
    bits : int, optional
        Bits a value as the file states them.
    name : str
        Of the file, for the message.

    Raises
    ------
    SlideError
        If the values are no numbers.
    """
    stated = bits is not None and bits < 8 * source.dtype.itemsize
    known = source.dtype == np.uint8 or source.dtype.kind not in "uif" or stated
    return white_level(np.empty(0, source.dtype) if known else sample(source, axes), bits, name)


# Of the values of a channel: what its ground does not exceed, and what hardly any does.
_GROUND, _BRIGHT = 0.01, 0.999


def bright_range(source: Source) -> tuple[float, float]:
    """The values of an (H, W) channel that are shown as black and as its full colour."""
    values = sample(source, "YX")
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.quantile(values, (_GROUND, _BRIGHT)))
    high = high if high > low else float(values.max())
    return (low, high) if high > low else (low, low + 1.0)
