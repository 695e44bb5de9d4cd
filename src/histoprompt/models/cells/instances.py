"""From maps of foreground, distance and boundary to single nuclei: numpy only, bounded in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.segmentation import watershed

from histoprompt.core.labels.renumber import renumbered
from histoprompt.models.cells.joining import PIECE, Joining, Pieces, Saddle, saddles
from histoprompt.models.cells.postprocess import holes
from histoprompt.models.cells.windowed import no_step

# Raise it when the same maps become other cells: counts do not go on then.
ALGORITHM = 1
# Nuclei that touch share a border shorter than the smaller's diameter; cuts through one do not.
NECK = 0.85
# What settings were called in older files.
_FORMERLY = {"rim": "boundary"}


@dataclass(frozen=True, slots=True)
class DecodeParams:
    """How maps become objects; sizes in pixels of the maps.

    Attributes
    ----------
    foreground : float
        Least probability of a nucleus' pixel.
    seed : float
        Least height at a nucleus' seed; the height is the distance less `boundary` times
        the boundary.
    boundary : float
        Weight of the boundary.
    smooth : float
        Sigma of the smoothing of the height.
    prominence : float
        How far a seed rises above the saddle to a higher one; texture within a nucleus makes lower
        peaks.
    contact : float
        How much more prominence is asked for, the more two basins look like one nucleus cut in two:
        per unit by which the border they share is longer than `NECK` diameters of the smaller.
    area : float
        Smallest nucleus.
    certainty : float
        Least mean foreground probability within a nucleus.
    joining : Joining or None
        The learnt rule that says which pieces are one nucleus; without it `prominence` and
        `contact` say so.
    """

    foreground: float = 0.5
    seed: float = 0.3
    boundary: float = 0.5
    smooth: float = 2.0
    prominence: float = 0.1
    contact: float = 2.0
    area: float = 40
    certainty: float = 0.6
    joining: Joining | None = None

    @classmethod
    def stated(cls, values: Mapping[str, float]) -> DecodeParams:
        """Settings as a file has them; of those it leaves out, the usual ones."""
        known = {f.name for f in fields(cls)} - {"joining"}
        named = {_FORMERLY.get(name, name): value for name, value in values.items()}
        return cls(**{name: value for name, value in named.items() if name in known})  # type: ignore[arg-type]

    def numbers(self) -> dict[str, float]:
        """Settings as `stated` reads them, without the learnt rule."""
        return {name: value for name, value in asdict(self).items() if name != "joining"}


def decode(
    maps: NDArray[np.floating],
    params: DecodeParams = DecodeParams(),
    step: Callable[[], object] = no_step,
) -> NDArray[np.int32]:
    """Nuclei from probabilities by a watershed on the distance, seeded at its h-maxima.

    Seeds and seams are found at half resolution, outlines at full resolution.

    Parameters
    ----------
    maps : (3, h, w) float
        Foreground, distance and boundary, in [0, 1].
    params : DecodeParams
    step : callable
        Called between its parts, each of which takes a moment: what it raises ends the decoding.

    Returns
    -------
    (h, w) int32
        Objects numbered from 1 without gaps.
    """
    h, w = maps.shape[1:]
    even = _even(maps)
    front = even[0]
    basins = _basins(_half(even), params, step)
    step()
    large = basins.repeat(2, 0).repeat(2, 1)
    labels = np.where(large > 0, large, ndi.maximum_filter(large, 3))
    step()
    labels = np.where(_filled(front > params.foreground), labels, 0)[:h, :w]
    step()
    return _kept(labels, front[:h, :w], params)


def _even(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Maps with even sides."""
    h, w = maps.shape[1:]
    return np.pad(np.asarray(maps, np.float32), [(0, 0), (0, h % 2), (0, w % 2)], mode="edge")


def _half(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = maps[:, ::2] + maps[:, 1::2]
    return np.asarray((rows[:, :, ::2] + rows[:, :, 1::2]) / 4, np.float32)


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without holes."""
    gaps, is_hole = holes(mask)
    return np.asarray(mask | is_hole[gaps])


def pieces(maps: NDArray[np.floating], params: DecodeParams) -> tuple[NDArray[np.int32], Pieces]:
    """Basins by their prominence alone, whatever the learnt rule: what that rule is learnt from.

    Parameters
    ----------
    maps : (3, h, w) float
    params : DecodeParams

    Returns
    -------
    basins : (h / 2, w / 2) int32
        Sides rounded up.
    pieces : Pieces
        Of these basins.
    """
    half = _half(_even(maps))
    basins, height = _by_prominence(half, params)
    return basins, Pieces.of(basins, height, half[2])


def _basins(
    maps: NDArray[np.float32], params: DecodeParams, step: Callable[[], object]
) -> NDArray[np.int32]:
    """One basin a nucleus, at half resolution."""
    if params.joining is None:
        return _by_prominence(maps, params, step)[0]
    many = replace(params, prominence=PIECE, contact=0.0)
    basins, height = _by_prominence(maps, many, step)
    step()
    owners = Pieces.of(basins, height, maps[2]).joined(params.joining)
    return np.asarray(owners[basins], np.int32)


def _by_prominence(
    maps: NDArray[np.float32], params: DecodeParams, step: Callable[[], object] = no_step
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The basins of every peak, with slight ones joined, and the height, at half resolution."""
    front, distance, boundary = maps
    mask = _filled(front > params.foreground)
    height = ndi.gaussian_filter(distance - params.boundary * boundary, params.smooth / 2)
    height[~mask] = -np.inf
    step()
    seeds, count = ndi.label(mask & (height == ndi.maximum_filter(height, 3)), np.ones((3, 3)))
    step()
    basins = watershed(-height, seeds, mask=mask)
    step()
    peaks = np.append(-np.inf, ndi.maximum(height, seeds, np.arange(1, count + 1)))
    areas = np.bincount(basins.ravel(), minlength=count + 1)
    names = _joined(peaks, areas, saddles(basins, height, boundary), params)
    names[peaks[names] <= params.seed] = 0
    return np.asarray(names[basins], np.int32), height


def _joined(
    peaks: NDArray[np.float32],
    areas: NDArray[np.intp],
    passes: list[Saddle],
    params: DecodeParams,
) -> NDArray[np.intp]:
    """For each basin the one it belongs to.

    Passes are opened from the highest. The lower of two peaks stays one if it rises by the least
    prominence above the pass (the dynamics of Grimaud, 1992), and is high enough for a seed.
    """
    owner = list(range(len(peaks)))

    def top(basin: int) -> int:
        while owner[basin] != basin:
            owner[basin] = basin = owner[owner[basin]]
        return basin

    high, size = peaks.tolist(), areas.tolist()
    for saddle in passes:
        low, up = sorted((top(saddle.a), top(saddle.b)), key=high.__getitem__)
        if low == up:
            continue
        diameter = 2 * (min(size[low], size[up]) / np.pi) ** 0.5
        wide = max(0.0, saddle.border / diameter - NECK)
        needed = params.prominence * (1 + params.contact * wide)
        if high[low] - saddle.height < needed or high[low] <= params.seed:
            owner[low] = up
            size[up] += size[low]
    return np.array([top(basin) for basin in range(len(owner))], np.intp)


def _kept(
    labels: NDArray[np.int32], front: NDArray[np.floating], params: DecodeParams
) -> NDArray[np.int32]:
    count = int(labels.max()) + 1
    area = np.bincount(labels.ravel(), minlength=count)
    sure = np.bincount(labels.ravel(), weights=front.ravel(), minlength=count) / area.clip(1)
    keep = (area >= params.area) & (sure >= params.certainty)
    return renumbered(labels, keep[1:])
