"""Gather a training set: annotated images, restained and put into tissue, and real H&E."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from skimage.transform import resize

from histoprompt.core.geometry import Box
from histoprompt.core.slide_io import open_slide
from histoprompt.core.task import Task
from histoprompt.models.zoo.lite_encoder import embed
from histoprompt.training import augment, pseudo
from histoprompt.training.augment import Float, Rgb, Rng
from histoprompt.training.data import (
    FIELD,
    Annotated,
    Sample,
    dihedral,
    made_field,
    plain_field,
    stained_field,
)
from histoprompt.training.encode import Encoded, box_masks

MPP = 0.25
STAINED_KINDS = frozenset({"stained", "export"})


@dataclass(frozen=True, eq=False)
class RealField:
    """A field of real tissue that nobody has annotated, at 0.25 um/px.

    Attributes
    ----------
    image : (256, 256, 3) uint8
    name : str
    """

    image: Rgb
    name: str


def real_fields(path: Path, mpp: float | None, count: int, rng: Rng) -> list[RealField]:
    """Up to `count` fields of a slide that hold tissue, in random order.

    Parameters
    ----------
    mpp : float or None
        Microns a pixel where the file does not say; 0.25 where nobody does.
    """
    with open_slide(path, mpp) as slide:
        side = round(FIELD * MPP / (slide.mpp or MPP))
        rows, cols = (range(0, n - side + 1, side) for n in slide.shape)
        places = rng.permutation([(r, c) for r in rows for c in cols]).reshape(-1, 2)
        found: list[RealField] = []
        for r, c in places.tolist():
            image, _ = slide.read(Box(r, c, r + side, c + side))
            if len(found) < count and holds_tissue(image):
                found.append(RealField(_to_field(image), f"{path.stem}/{r}_{c}"))
        return found


def holds_tissue(image: Rgb) -> bool:
    """Whether 40 % of an (h, w, 3) image is stained, and hardly any of it is missing."""
    missing = (image == 0).all(-1).mean() > 0.01 or (image == 255).all(-1).mean() > 0.2
    return not missing and bool((augment.to_od(image).mean(-1) > 0.12).mean() >= 0.4)


def _to_field(image: Rgb) -> Rgb:
    if image.shape[0] == FIELD:
        return image
    big = resize(image.astype(np.float32), (FIELD, FIELD), order=3, anti_aliasing=True)
    return np.asarray(big.clip(0, 255), np.uint8)


def random_tissue(real: Sequence[RealField], rng: Rng) -> Float:
    """Density of tissue without nuclei: mostly real and painted over, else made, else none."""
    kind = rng.random()
    if real and kind < 0.7:
        bare = pseudo.bare_tissue(real[rng.integers(len(real))].image, rng)
        density = np.asarray(dihedral(rng, bare)[0], np.float32)
        if rng.random() < 0.7:
            density = augment.to_od(augment.restain(augment.to_rgb(density), rng))
        return density
    if kind < 0.93:
        return augment.tissue_texture((FIELD, FIELD), rng)
    return np.full((FIELD, FIELD, 3), 0.03, np.float32)


def pseudo_sample(net: Any, field: RealField) -> Encoded:
    """A real field with the nuclei that stain and LiteMedSAM agree on."""
    embedding = embed(net, field.image)
    labels, known = pseudo.propose(field.image)
    labels, known = pseudo.agreed(labels, known, *box_masks(net, embedding, labels))
    sample = Sample(field.image, labels, known, f"real/{field.name}")
    return Encoded(sample, embedding[0].cpu().numpy().astype(np.float16))


def noisy_view(sample: Sample, rng: Rng) -> Sample:
    """Another look at a real field: stains, optics and position changed, labels kept."""
    image = augment.optics(augment.restain(sample.image, rng), rng)
    turned: list[Any] = dihedral(rng, image, sample.labels, sample.known)
    return Sample(turned[0], turned[1], turned[2], sample.source)


@dataclass(frozen=True, eq=False)
class Recipe:
    """One sample that will be made: its file's name, and how."""

    name: str
    make: Callable[[], Sample]


def recipes(
    items: Sequence[Annotated], real: Sequence[RealField], variants: int, seed: int
) -> list[Recipe]:
    """All samples of annotated images: stained ones restained, all of them put into tissue."""
    out: list[Recipe] = []
    for item in items:
        for k in range(variants):
            stem = f"{item.kind}-{item.name}-{k}"
            rng = np.random.default_rng([seed, zlib.crc32(stem.encode())])
            if item.kind in STAINED_KINDS:
                out.append(Recipe(f"stain-{stem}", _stained(item, rng)))
            out.append(Recipe(f"made-{stem}", _made(item, real, rng)))
    return out


def _stained(item: Annotated, rng: Rng) -> Callable[[], Sample]:
    return lambda: stained_field(item, rng)


def _made(item: Annotated, real: Sequence[RealField], rng: Rng) -> Callable[[], Sample]:
    return lambda: made_field(item, random_tissue(real, rng), rng)


def plain_recipes(items: Sequence[Annotated]) -> list[Recipe]:
    """Annotated images as they are, for checks."""
    return [Recipe(f"plain-{i.kind}-{i.name}", lambda i=i: plain_field(i)) for i in items]


def encode_all(
    net: Any, wanted: Sequence[Recipe], folder: Path, task: Task, text: str
) -> list[Encoded]:
    """Make and encode samples; those already in the folder are read."""
    folder.mkdir(parents=True, exist_ok=True)
    out: list[Encoded] = []
    for done, recipe in enumerate(wanted):
        task.step(done, len(wanted), text)
        path = folder / f"{recipe.name}.npz"
        if not path.exists():
            sample = recipe.make()
            embedding = embed(net, sample.image)[0].cpu().numpy().astype(np.float16)
            Encoded(sample, embedding).save(path)
        out.append(Encoded.load(path))
    return out
