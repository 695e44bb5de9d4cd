"""Training images: what they show, what is known of them, and at what scale the network sees them.

Every sample is a square field of 256 px, at a scale drawn at random: mostly near 0.25 um/px, at
times as coarse as 0.6. Where a source states no scale, its nuclei are taken to be 6.5 um wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from glob import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage as ndi
from skimage.io import imread
from skimage.measure import regionprops
from skimage.transform import resize

from histoprompt.core.errors import LabelError
from histoprompt.core.files.tables import read_table
from histoprompt.core.readers.naming import without_suffix
from histoprompt.pipelines.evaluate.simulate import Rng
from histoprompt.training import augment, chromatin, recolour
from histoprompt.training.augment import Float, Rgb

FIELD = 256
MPP = 0.25
FADED = 0.4  # share of fields in which nuclei are made paler
NUCLEUS_UM = 6.5  # median diameter where no scale is known
Labels = NDArray[np.int32]
Known = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """One training field.

    Attributes
    ----------
    image : (256, 256, 3) uint8
    labels : (256, 256) int32
        0 is background, other values are objects.
    known : (256, 256) bool
        False where nobody knows what is there; nothing is learnt from such pixels.
    source : str
        Where it comes from, ``"set/group/name"``.
    parted : (256, 256) bool or None
        False where several nuclei may go as one object, so that its outline says nothing of each;
        None if that is nowhere so.
    """

    image: Rgb
    labels: Labels
    known: Known
    source: str
    parted: Known | None = None


@dataclass(frozen=True)
class Annotated:
    """An image with its instance labels on disk.

    Attributes
    ----------
    kind, group, name : str
    image, labels : Path
    mpp : float or None
        Microns per pixel, if known.
    silver : bool
        Whether no person parted the nuclei that touch.
    balance : bool
        Whether its background is to be made white at random.
    brown : float
        Share of its fields that are made haematoxylin and DAB.
    """

    kind: str
    group: str
    name: str
    image: Path
    labels: Path
    mpp: float | None = None
    silver: bool = False
    balance: bool = False
    brown: float = 0.14

    def read(self) -> tuple[Rgb, Labels]:
        """The (h, w, 3) uint8 image and (h, w) int32 labels."""
        image = imread(self.image)
        rgb = np.stack([image] * 3, -1) if image.ndim == 2 else image[..., :3]
        return np.ascontiguousarray(rgb), imread(self.labels).astype(np.int32)


def annotated_in(folder: Path) -> list[Annotated]:
    """The labelled images of a folder with `index.csv` or `images/`, or of folders in it.

    Parameters
    ----------
    folder : Path
        Holds ``index.csv`` (columns kind, name, background) beside ``<kind>/images`` and
        ``<kind>/labels``, or just ``images`` beside ``labels`` or ``masks`` with files of equal
        stems, as tiles are exported. A folder with none of these is searched one level down.

    Raises
    ------
    LabelError
        If the folder holds neither, or an image has no labels.
    """
    index = folder / "index.csv"
    if index.exists():
        table = read_table(index, "The index", LabelError, ("kind", "background", "name"))
        return [
            _entry(folder / row["kind"], row["kind"], row["background"], row["name"])
            for _, row in table.rows
        ]
    if (folder / "images").is_dir():
        stems = sorted(p.stem for p in (folder / "images").iterdir())
        return [_entry(folder, "export", "", stem) for stem in stems]
    parts = sorted(p.parent for name in ("index.csv", "images") for p in folder.glob(f"*/{name}"))
    if not parts:
        raise LabelError(
            f"{folder} holds no training data: it needs images/ beside labels/ or masks/, "
            "as an export of tiles writes them."
        )
    return [item for part in parts for item in annotated_in(part)]


def _entry(base: Path, kind: str, group: str, name: str) -> Annotated:
    images = _named(base / "images", name)
    found = [*_named(base / "labels", name), *_named(base / "masks", name)]
    if not images or not found:
        raise LabelError(f"{base} holds no image with labels named {name}.")
    return Annotated(kind, group, name, images[0], found[0])


def _named(folder: Path, name: str) -> list[Path]:
    """The files of this name, whatever their format; names may hold dots and brackets."""
    if "\0" in name or Path(name).name != name:
        return []
    found = sorted(folder.glob(f"{escape(name)}.*"))
    return [path for path in found if name in (path.stem, without_suffix(path))]


def median_diameter(labels: Labels) -> float:
    """Median diameter in px of the circle that has an object's area; 0 without objects."""
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    return float(np.sqrt(4 * np.median(areas) / np.pi)) if areas.size else 0.0


def rescaled(image: Float | Rgb, labels: Labels, factor: float) -> tuple[Float, Labels]:
    """Image (float32, same range) and labels enlarged by a factor."""
    shape = [max(1, round(n * factor)) for n in labels.shape]
    big = resize(image.astype(np.float32), shape, order=1, anti_aliasing=factor < 1)
    rows, cols = (
        ((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, labels.shape, strict=True)
    )
    return big.astype(np.float32), labels[np.ix_(rows, cols)]


def crop_or_pad(
    image: Float, labels: Labels, rng: Rng, size: int = FIELD
) -> tuple[Float, Labels, Known]:
    """A random square of the image; beyond its edges it is mirrored and not known."""
    h, w = labels.shape
    known = np.ones((h, w), bool)
    pad = [(max(0, size - n) // 2, max(0, size - n + 1) // 2) for n in (h, w)]
    image = np.pad(image, [*pad, *[(0, 0)] * (image.ndim - 2)], mode="symmetric")
    labels, known = np.pad(labels, pad), np.pad(known, pad)
    r, c = (int(rng.integers(0, n - size + 1)) for n in labels.shape)
    at = np.s_[r : r + size, c : c + size]
    return image[at], labels[at], known[at]


def dihedral(rng: Rng, *arrays: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """The arrays turned and flipped together, at random."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    turned = [np.rot90(a, turns) for a in arrays]
    return [np.ascontiguousarray(a[::-1] if flip else a) for a in turned]


def drawn_mpp(rng: Rng) -> float:
    """Microns per pixel a field is brought to: half near 0.25, else 0.2 to 0.6."""
    if rng.random() < 0.5:
        return float(rng.uniform(0.2, 0.3))
    return float(np.exp(rng.uniform(np.log(0.2), np.log(0.6))))


def pixel_size(item: Annotated, labels: Labels) -> float:
    """Microns per pixel of an image; where nobody knows, from the size of its nuclei."""
    return item.mpp or NUCLEUS_UM / max(median_diameter(labels), 4)


def scaled_crop(
    image: Rgb, labels: Labels, factor: float, rng: Rng, size: int = FIELD
) -> tuple[Rgb, Labels]:
    """A random square of an image that is enlarged by a factor, mirrored where it is too small.

    A nucleus cut by the edge is a whole one, mirrored, beyond it: it has one label there too.
    """
    side = round(size / factor)
    pad = [(max(0, side - n) // 2, max(0, side - n + 1) // 2) for n in labels.shape]
    r, c = (
        int(rng.integers(0, n + sum(p) - side + 1)) for n, p in zip(labels.shape, pad, strict=True)
    )
    rows, cols = (
        mirrored(np.arange(start, start + side) - p[0], n)
        for start, p, n in zip((r, c), pad, labels.shape, strict=True)
    )
    cut = np.ascontiguousarray(image[np.ix_(rows, cols)])
    kind = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.HAMMING
    shown = np.asarray(Image.fromarray(cut).resize((size, size), kind))
    at = ((np.arange(size) + 0.5) * side / size).astype(int)
    return shown, renumbered(labels[np.ix_(rows[at], cols[at])])


def mirrored(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Positions reflected into [0, length), the edge pixel repeated."""
    folded = np.mod(index, 2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


def renumbered(labels: Labels) -> Labels:
    """Objects from 1 on, each in one piece: what a mirror doubled apart are two."""
    pieces, count = ndi.label(labels > 0)
    several = labels.astype(np.int64) * (count + 1) + pieces
    _, numbers = np.unique(np.where(labels > 0, several, 0), return_inverse=True)
    numbers = numbers.reshape(labels.shape)
    return (numbers if (labels == 0).any() else numbers + 1).astype(np.int32)


def whole_nuclei(labels: Labels) -> Known:
    """Background, and pieces of foreground that are one round object: (h, w) bool.

    Where foreground was drawn by a person and parted by a watershed, nothing else tells where one
    nucleus ends.
    """
    pieces, count = ndi.label(labels > 0)
    low = ndi.minimum(labels, pieces, np.arange(count + 1))
    high = ndi.maximum(labels, pieces, np.arange(count + 1))
    single = np.asarray(low == high)
    for region in regionprops(pieces):
        single[region.label] &= region.solidity >= 0.9
    single[0] = True
    return np.asarray(single[pieces])


def stained_field(item: Annotated, rng: Rng, mpp: float | None = None) -> Sample:
    """A field of an annotated image of stained tissue, its stains and scale changed at random."""
    image, labels = item.read()
    wanted = mpp or drawn_mpp(rng)
    rgb, labels = scaled_crop(image, labels, pixel_size(item, labels) / wanted, rng)
    if item.balance:
        rgb = recolour.balanced(rgb, rng)
    if rng.random() < FADED:
        rgb = augment.faded(rgb, labels, rng)
    brown = rng.random() < item.brown
    rgb = recolour.with_dab(rgb, labels, rng) if brown else augment.restain(rgb, rng)
    known = np.ones(labels.shape, bool)
    return _finish(augment.optics(rgb, rng, MPP / wanted), labels, known, item, rng)


def plain_field(item: Annotated, mpp: float = MPP) -> Sample:
    """A whole annotated image brought to scale and otherwise untouched; for checks.

    Its sides are made multiples of 16; what is added is not known.
    """
    image, labels = item.read()
    factor = pixel_size(item, labels) / mpp
    picture, labels = rescaled(image, labels, factor)
    pad = [(0, -n % 16) for n in labels.shape]
    known = np.pad(np.ones(labels.shape, bool), pad)
    shown = np.pad(picture.clip(0, 255).astype(np.uint8), [*pad, (0, 0)], mode="symmetric")
    return Sample(shown, np.pad(labels, pad), known, _source(item))


def made_field(item: Annotated, tissue: Float, rng: Rng) -> Sample:
    """The nuclei of an annotated image of any kind, put into H&E tissue.

    Parameters
    ----------
    tissue : (256, 256, 3) float32
        Optical density of tissue without nuclei.
    """
    image, labels = item.read()
    amount = nuclear_amount(image, labels, item.kind)
    wanted = drawn_mpp(rng)
    width = NUCLEUS_UM * np.exp(rng.normal(0, 0.2)) / wanted
    factor = width / max(median_diameter(labels), 4)
    amount, labels, known = crop_or_pad(*rescaled(amount, labels, factor), rng)
    labels, amount = np.where(known, labels, 0), amount * known
    if rng.random() < 0.5:
        amount, labels = chromatin.drawn_out(amount, labels, rng)
    inside = labels > 0
    around = ndi.gaussian_filter(inside.astype(np.float32), 1.2)
    amount = amount * np.maximum(around, rng.uniform(0, 0.6))
    if item.kind == "fluorescence":  # even discs in the original
        amount = chromatin.textured(amount, labels, rng)
    tissue = tissue * chromatin.vacuoles(labels.shape, rng)[..., None]
    tissue = tissue + chromatin.distractors(labels.shape, ~inside, rng)
    rgb = augment.paint_nuclei(amount.astype(np.float32), inside, tissue, rng)
    everywhere = np.ones_like(known)  # the mirrored rim holds tissue and no nuclei
    rgb = augment.optics(rgb, rng, MPP / wanted)
    return _finish(rgb, labels, everywhere, item, rng, prefix="made-")


def nuclear_amount(image: Rgb, labels: Labels, kind: str) -> Float:
    """Nuclear stain at each pixel, about 1 in a dark nucleus, 0 in the background, (h, w)."""
    if kind == "fluorescence":
        grey = image.astype(np.float32).mean(-1)
    else:
        grey = augment.to_od(image).mean(-1)
    outside = grey[labels == 0]
    floor = np.median(outside) if outside.size else grey.min()
    inside = grey[labels > 0]
    top = np.percentile(inside, 90) if inside.size else grey.max()
    scaled = (grey - floor) / max(float(top - floor), 1e-3)
    return np.asarray(scaled.clip(0, 1.6), np.float32)


def _finish(
    rgb: Rgb, labels: Labels, known: Known, item: Annotated, rng: Rng, *, prefix: str = ""
) -> Sample:
    parted = whole_nuclei(labels) if item.silver else known
    picture, turned, seen, apart = dihedral(rng, rgb, labels, known, parted)
    return Sample(picture, turned, seen, prefix + _source(item), apart)  # type: ignore[arg-type]


def _source(item: Annotated) -> str:
    return f"{item.kind}/{item.group or 'none'}/{item.name}"
