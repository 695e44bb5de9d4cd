"""Stains and optics made up: colours, blur, noise and compression that real slides show.

Optical density here is ``-ln((I + 1) / 256)`` of uint8 RGB, (h, w, 3) float32; stains add in it.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage as ndi
from skimage.transform import resize

from histoprompt.pipelines.evaluate.simulate import Rng, smooth_noise

Float = NDArray[np.float32]
Rgb = NDArray[np.uint8]

# Absorption of haematoxylin and eosin in RGB: Ruifrok & Johnston, Anal Quant Cytol Histol 23, 2001.
HAEMATOXYLIN = np.array([0.650, 0.704, 0.286], np.float32)
EOSIN = np.array([0.072, 0.990, 0.105], np.float32)


def to_od(rgb: Rgb) -> Float:
    """Optical density of an (h, w, 3) uint8 image."""
    return -np.log((rgb.astype(np.float32) + 1) / 256)


def to_rgb(od: Float) -> Rgb:
    """The image of an optical density, (h, w, 3) uint8."""
    return (256 * np.exp(-np.maximum(od, 0)) - 1).clip(0, 255).round().astype(np.uint8)


def jittered(vector: Float, rng: Rng, spread: float) -> Float:
    """A stain vector turned at random, unit length, all parts at least 0.02."""
    turned = np.maximum(vector + rng.normal(0, spread, 3), 0.02).astype(np.float32)
    return turned / np.linalg.norm(turned)


def unmix(od: Float) -> tuple[Float, Float, Float]:
    """Haematoxylin, eosin (h, w) and the residual density (h, w, 3) that neither explains."""
    basis = np.stack([HAEMATOXYLIN, EOSIN / np.linalg.norm(EOSIN)])
    amounts = np.maximum(od @ np.linalg.pinv(basis), 0).astype(np.float32)
    return amounts[..., 0], amounts[..., 1], od - amounts @ basis


def restain(rgb: Rgb, rng: Rng, strength: float = 1.0) -> Rgb:
    """Change how strongly, and in which hue, each stain took.

    Both stains get their own gain (log-normal, sd 0.25), offset and direction (sd 0.06).
    """
    haem, eosin, rest = unmix(to_od(rgb))
    gain = np.exp(rng.normal(0, 0.25 * strength, 2))
    offset = rng.normal(0, 0.03 * strength, 2)
    h_vector = jittered(HAEMATOXYLIN, rng, 0.06 * strength)
    e_vector = jittered(EOSIN, rng, 0.06 * strength)
    od = (haem * gain[0] + offset[0])[..., None] * h_vector
    od = od + (eosin * gain[1] + offset[1])[..., None] * e_vector + rest
    return to_rgb(od.astype(np.float32))


def faded(rgb: Rgb, labels: NDArray[np.int32], rng: Rng) -> Rgb:
    """Some nuclei paler, towards the tissue around them, and at times a bluish haze over all.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    labels : (h, w) int32
        Its nuclei. Each keeps 40 % of its contrast or more: what nobody could see is not asked for.
    """
    od = to_od(rgb)
    outside = (labels == 0).astype(np.float32)
    seen = ndi.gaussian_filter(outside, 6)[..., None]
    around = ndi.gaussian_filter(od * outside[..., None], (6, 6, 0)) / np.maximum(seen, 1e-3)
    count = int(labels.max()) + 1
    kept = np.where(rng.random(count) < rng.uniform(0.2, 1), rng.uniform(0.4, 0.9, count), 1)
    kept[0] = 1
    share = ndi.gaussian_filter(kept[labels].astype(np.float32), 0.8)[..., None]
    share = np.where(seen > 0.05, share, 1)
    paler = (around + (od - around) * share).astype(np.float32)
    if rng.random() < 0.4:
        haze = rng.uniform(0.02, 0.2) * smooth_noise(labels.shape, rng.uniform(2, 12), rng)
        paler = paler + haze[..., None] * jittered(HAEMATOXYLIN, rng, 0.06)
    return to_rgb(paler.astype(np.float32))


def tissue_texture(shape: tuple[int, int], rng: Rng) -> Float:
    """Density (h, w, 3) of made tissue: eosin in broad fields and fibres, faint haematoxylin."""
    broad = smooth_noise(shape, rng.uniform(20, 60), rng)
    fibres = ndi.gaussian_filter(rng.random(shape), (rng.uniform(1, 2), rng.uniform(6, 20)))
    fibres = ndi.rotate(np.tile(fibres, (2, 2)), rng.uniform(0, 180), reshape=False, order=1)
    fibres = fibres[: shape[0], : shape[1]]
    fibres = (fibres - fibres.mean()) / (fibres.std() + 1e-6)
    eosin = rng.uniform(0.1, 0.9) * broad + rng.uniform(0.02, 0.12) * fibres + 0.05
    eosin = np.where(smooth_noise(shape, 40, rng) > rng.uniform(0.55, 1), 0.02, eosin)
    haem = rng.uniform(0, 0.25) * smooth_noise(shape, rng.uniform(4, 20), rng)
    od = np.maximum(eosin, 0)[..., None] * jittered(EOSIN, rng, 0.08)
    return (od + haem[..., None] * jittered(HAEMATOXYLIN, rng, 0.05)).astype(np.float32)


def paint_nuclei(amount: Float, inside: NDArray[np.bool_], tissue: Float, rng: Rng) -> Rgb:
    """Put nuclei into tissue in the space of optical density.

    Parameters
    ----------
    amount : (h, w) float32
        How much nuclear stain lies at each pixel, about 1 in a dark nucleus.
    inside : (h, w) bool
        Where nuclei are; eosin is weaker there.
    tissue : (h, w, 3) float32
        Density of what lies around and beneath.
    """
    shade = ndi.gaussian_filter(inside.astype(np.float32), 1.0)[..., None]
    under = tissue * (1 - shade * rng.uniform(0.2, 0.9))
    stain = jittered(HAEMATOXYLIN, rng, 0.08)
    gain = np.exp(rng.normal(-0.1, 0.3))
    if inside.any():  # a nucleus is darker in red than what lies around it, be it ever so dark
        around = np.percentile(tissue[..., 0], 75) - np.median(under[inside][:, 0])
        gain = max(gain, (around + rng.uniform(0.12, 0.5)) / float(stain[0]))
    return to_rgb(under + gain * amount[..., None] * stain)


def optics(rgb: Rgb, rng: Rng, fine: float = 1.0) -> Rgb:
    """Blur or coarse sampling, brightness, colour balance, noise and JPEG, each at random.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    fine : float
        Pixels per 0.25 um; coarse images are blurred by less.
    """
    image = rgb.astype(np.float32)
    kind = rng.random()
    if kind < 0.35:  # a 20x scan enlarged to 40x
        factor = max(1.0, rng.uniform(1.5, 2.4) * min(1.0, fine))
        small = resize(image, [round(n / factor) for n in rgb.shape[:2]], anti_aliasing=True)
        image = resize(small, rgb.shape[:2], order=int(rng.choice([1, 3]))).astype(np.float32)
    elif kind < 0.6:
        image = ndi.gaussian_filter(image, (*[rng.uniform(0.4, 1.6) * min(1.0, fine)] * 2, 0))
    gamma = np.exp(rng.normal(0, 0.12))
    balance = rng.normal(1, 0.03, 3) * rng.uniform(0.85, 1.05)
    image = 255 * (image.clip(0, 255) / 255) ** gamma * balance
    image = image + rng.normal(0, rng.uniform(0, 5), image.shape)
    return jpeg(image.clip(0, 255).astype(np.uint8), int(rng.integers(40, 96)))


def jpeg(rgb: Rgb, quality: int) -> Rgb:
    """The image after JPEG compression."""
    with io.BytesIO() as buffer:
        Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer).convert("RGB"))
