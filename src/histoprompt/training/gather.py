"""Gather a training set: annotated images, restained and put into tissue, and real H&E."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from skimage.transform import resize

from histoprompt.core.geometry import Box
from histoprompt.core.readers.naming import slide_name
from histoprompt.core.readers.open import open_slide
from histoprompt.pipelines.evaluate.simulate import Rng
from histoprompt.training import augment, pseudo
from histoprompt.training.augment import Float, Rgb
from histoprompt.training.data import (
    FIELD,
    MPP,
    Annotated,
    Sample,
    dihedral,
    made_field,
    stained_field,
)
from histoprompt.training.pool import Recipe

STAINED_KINDS = frozenset({"stained", "export"})


@dataclass(frozen=True)
class PoolConfig:
    """How many samples are made.

    Attributes
    ----------
    variants : int
        Of each stained annotated image.
    made : int
        Of nuclei put into tissue.
    empty : int
        Without nuclei.
    views : int
        Of each real field, once a network has labelled it.
    """

    variants: int = 16
    made: int = 2000
    empty: int = 150
    views: int = 8


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


def real_fields(
    path: Path, mpp: float | None, count: int, rng: Rng, *, trust_size: bool = False
) -> list[RealField]:
    """Up to `count` fields of a slide that hold tissue, in random order.

    Parameters
    ----------
    mpp : float or None
        Microns a pixel where the file does not say; 0.25 where nobody does.
    trust_size : bool
        As for `open_slide`.
    """
    with open_slide(path, mpp, trust_size=trust_size) as slide:
        side = round(FIELD * MPP / (slide.mpp or MPP))
        rows, cols = (range(0, n - side + 1, side) for n in slide.shape)
        places = rng.permutation([(r, c) for r in rows for c in cols]).reshape(-1, 2)
        found: list[RealField] = []
        for r, c in places.tolist():
            image, _ = slide.read(Box(r, c, r + side, c + side))
            if len(found) < count and holds_tissue(image):
                found.append(RealField(_to_field(image), f"{slide_name(path)}/{r}_{c}"))
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
        bare = pseudo.bare_tissue(real[int(rng.integers(len(real)))].image, rng)
        density = np.asarray(dihedral(rng, bare)[0], np.float32)
        if rng.random() < 0.7:
            density = augment.to_od(augment.restain(augment.to_rgb(density), rng))
        return density
    if kind < 0.93:
        return augment.tissue_texture((FIELD, FIELD), rng)
    return np.full((FIELD, FIELD, 3), 0.03, np.float32)


def noisy_view(sample: Sample, rng: Rng) -> Sample:
    """Another look at a real field: stains, optics and position changed, labels kept."""
    image = augment.optics(augment.restain(sample.image, rng), rng)
    turned: list[Any] = dihedral(rng, image, sample.labels, sample.known)
    return Sample(turned[0], turned[1], turned[2], sample.source)


def stained_recipes(
    items: Sequence[Annotated], variants: int, salt: tuple[int, ...]
) -> list[Recipe]:
    """Fields of stained images, each restained and scaled several times."""
    stained = [i for i in items if i.kind in STAINED_KINDS]
    name = "-".join(str(s) for s in salt)
    return [
        Recipe(f"stained-{name}-{k:05d}", partial(_Stained(stained), k, _seeded(*salt, k)))
        for k in range(len(stained) * variants)
    ]


def made_recipes(
    items: Sequence[Annotated], real: Sequence[RealField], config: PoolConfig, seed: int
) -> tuple[list[Recipe], list[Recipe]]:
    """Nuclei of all kinds of images put into tissue; and tissue and glass without nuclei."""
    sure = [i for i in items if not i.silver]
    made, empty = _Made(sure, real), _Empty(real)
    return (
        [
            Recipe(f"made-{seed}-{k:05d}", partial(made, k, _seeded(seed, 1001, k)))
            for k in range(config.made)
        ],
        [
            Recipe(f"empty-{seed}-{k:05d}", partial(empty, k, _seeded(seed, 1002, k)))
            for k in range(config.empty)
        ],
    )


@dataclass(frozen=True, eq=False)
class _Stained:
    items: Sequence[Annotated]

    def __call__(self, k: int, rng: Rng) -> Sample:
        return stained_field(self.items[k % len(self.items)], rng)


@dataclass(frozen=True, eq=False)
class _Made:
    """Nuclei of any image in tissue; each kind of image has the same chance."""

    items: Sequence[Annotated]
    real: Sequence[RealField]

    def __call__(self, k: int, rng: Rng) -> Sample:
        kind = rng.choice(sorted({i.kind for i in self.items}))
        same = [i for i in self.items if i.kind == kind]
        return made_field(same[rng.integers(len(same))], random_tissue(self.real, rng), rng)


@dataclass(frozen=True, eq=False)
class _Empty:
    """Glass and tissue without nuclei: a bright field has noise, and must stay empty."""

    real: Sequence[RealField]

    def __call__(self, k: int, rng: Rng) -> Sample:
        density = random_tissue(self.real, rng)
        if rng.random() < 0.6:
            density = density * rng.choice([0, 0.05, 0.1])
        tint = rng.uniform(0, 0.1) + rng.normal(0, 0.02, 3)
        image = augment.optics(augment.to_rgb(np.asarray(density + tint, np.float32)), rng)
        nothing = np.zeros((FIELD, FIELD), np.int32)
        return Sample(image, nothing, np.ones((FIELD, FIELD), bool), "empty")


def real_recipes(labelled: Sequence[Callable[[], Sample]], views: int, seed: int) -> list[Recipe]:
    """Views of real fields that a network labels when it is asked, dyes and optics changed."""
    return [
        Recipe(f"real-{k:04d}-{v}", partial(_view, sample, _seeded(seed, k, v)))
        for k, sample in enumerate(labelled)
        for v in range(views)
    ]


def _view(sample: Callable[[], Sample], rng: Rng) -> Sample:
    return noisy_view(sample(), rng)


def _seeded(*salt: int) -> Rng:
    return np.random.default_rng(salt)
