"""How unlike the tissue that a network has learnt from a field looks to it. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.stain.deconvolution import optical_density

Float = NDArray[np.float32]


def appearance(features: Float, image: NDArray[np.uint8]) -> Float:
    """What a field looks like: to a network, and by its stains and sharpness.

    Parameters
    ----------
    features : (c, h, w) float32
        The network's, coarse.
    image : (H, W, 3) uint8

    Returns
    -------
    (c + 7,) float32
        Means of the features; mean and standard deviation of the optical density in red, green and
        blue; the logarithm of how much neighbouring pixels differ.
    """
    density = optical_density(image)
    rough = np.abs(np.diff(density, axis=0)).mean() + np.abs(np.diff(density, axis=1)).mean()
    stains = [*density.mean((0, 1)), *density.std((0, 1)), np.log(rough + 1e-3)]
    return np.concatenate([features.mean((1, 2)), np.array(stains)]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Familiar:
    """What the fields to learn from had in common.

    A field is as far off as its `appearance` is from their mean, in standard deviations along the
    directions in which they vary (a Mahalanobis distance with a floor for the others).

    Attributes
    ----------
    mean : (c,) float32
        Of the appearance of fields.
    directions : (m, c) float32
        Each divided by the standard deviation along it.
    bound : float
        The distance that is called far: `slack` times what 1 % of fields to learn from exceed.
    """

    mean: Float
    directions: Float
    bound: float

    @classmethod
    def of(
        cls, looks: Float, share: float = 0.99, floor: float = 0.02, slack: float = 1.25
    ) -> Familiar:
        """From the (n, c) appearance of fields to learn from.

        Parameters
        ----------
        share : float
            Of the fields within the bound.
        floor : float
            Least standard deviation along a direction, over the greatest: what hardly varied in
            a few hundred fields may vary in the next.
        slack : float
            What the bound is widened by: the same kind of tissue from other people lies somewhat
            farther off than fields that the directions were fitted to. Chosen on kept sets.
        """
        mean, scale = looks.mean(axis=0, dtype=np.float64), looks.std(axis=0, dtype=np.float64)
        scale = np.maximum(scale, 1e-6)
        _, spread, directions = np.linalg.svd((looks - mean) / scale, full_matrices=False)
        deviation = spread / np.sqrt(max(1, len(looks) - 1))
        deviation = np.maximum(deviation, max(floor * deviation[0], 1e-6))
        scaled = (directions / deviation[:, None] / scale).astype(np.float32)
        plain = cls(mean.astype(np.float32), scaled, 1.0)
        bound = slack * float(np.quantile(plain.strangeness(looks), share))
        return cls(plain.mean, scaled, max(bound, 1e-6))

    def strangeness(self, looks: Float) -> Float:
        """Distance of (n, c) appearances over the bound, (n,): hardly any learnt field is above 1.

        Raises
        ------
        ValueError
            If they are of another length.
        """
        moved = (looks - self.mean) @ self.directions.T
        return np.asarray(np.sqrt(np.mean(moved**2, axis=1)) / self.bound, np.float32)
