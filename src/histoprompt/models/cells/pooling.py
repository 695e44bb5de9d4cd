"""What an encoder saw of each cell: its embedding, averaged under the cell's mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from skimage.transform import resize


def pool(
    embedding: NDArray[np.floating], labels: NDArray[np.integer], stride: int
) -> NDArray[np.float32]:
    """Mean of an embedding under each label, every pixel of a cell counting alike.

    Parameters
    ----------
    embedding : (c, h, w) float
        Of an image; value (i, j) stands for the pixels [i s, (i + 1) s) x [j s, (j + 1) s).
    labels : (H, W) integer
        0 background, cells from 1; at most (h s, w s) pixels, from the same corner.
    stride : int
        Pixels s of the labels a value of the embedding.

    Returns
    -------
    (n, c) float32
        Row i is label i + 1; NaN for a label that no pixel has.

    Raises
    ------
    ValueError
        If labels reach outside the embedding.
    """
    channels, h, w = embedding.shape
    if labels.shape[0] > h * stride or labels.shape[1] > w * stride:
        raise ValueError(f"Labels {labels.shape} reach outside {h} x {w} values of {stride} px.")
    n = int(labels.max(initial=0))
    rows, cols = np.nonzero(labels)
    index = labels[rows, cols].astype(np.intp) - 1
    place = rows // stride * w + cols // stride
    ones = np.ones(len(index), np.float32)
    # Pixels of the same cell and place are added up, so this holds areas.
    areas = csr_array((ones, (index, place)), shape=(n, h * w))
    flat = np.asarray(embedding, np.float32).reshape(channels, h * w)
    total = np.asarray(areas.sum(axis=1), np.float32).reshape(-1, 1)
    total[total == 0] = np.nan
    return np.asarray(areas @ flat.T, np.float32) / total


def crops(
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    ids: NDArray[np.integer],
    margin: float,
    size: int,
) -> NDArray[np.uint8]:
    """A picture of each cell with what is around it, for models that look at pictures.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
    labels : (h, w) integer
    ids : (n,) integer
        Labels of the cells wanted; each must be there.
    margin : float
        Side of the crop over the longer side of the cell's box; 1.5 to 2 shows its surroundings.
    size : int
        Pixels a side of what is returned.

    Returns
    -------
    (n, size, size, 3) uint8
        Squares around the centres of the cells' boxes, mirrored where they reach over the edge.

    Raises
    ------
    ValueError
        If a label is not there.
    """
    out = np.zeros((len(ids), size, size, 3), np.uint8)
    for i, (box, name) in enumerate(zip(_boxes(labels, ids), ids.tolist(), strict=True)):
        if box is None:
            raise ValueError(f"No pixel has the label {name}.")
        middle = [(s.start + s.stop - 1) / 2 for s in box]
        side = max(3, round(margin * max(s.stop - s.start for s in box)))
        out[i] = _resized(_window(image, middle, side), size)
    return out


def _boxes(
    labels: NDArray[np.integer], ids: NDArray[np.integer]
) -> list[tuple[slice, slice] | None]:
    from scipy.ndimage import find_objects

    found = find_objects(labels.astype(np.int32))
    return [found[i - 1] if 0 < i <= len(found) else None for i in ids.tolist()]


def _window(image: NDArray[np.uint8], middle: list[float], side: int) -> NDArray[np.uint8]:
    rows, cols = (
        _mirrored(round(m - (side - 1) / 2) + np.arange(side), n)
        for m, n in zip(middle, image.shape, strict=False)
    )
    return image[np.ix_(rows, cols)]


def _mirrored(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Positions reflected into [0, length), the edge pixel repeated."""
    folded = np.mod(index, 2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


def _resized(window: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if window.shape[0] == size:
        return window
    shrinks = window.shape[0] > size
    out = resize(window, (size, size), order=1, preserve_range=True, anti_aliasing=shrinks)
    return np.asarray(out.round().clip(0, 255), np.uint8)
