"""Training samples made once and kept on disk, so that many epochs cost little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.task import Task
from histoprompt.training.data import Sample
from histoprompt.training.targets import relative_distance


@dataclass(frozen=True, eq=False)
class Pooled:
    """A sample and the distance map of its objects, (256, 256) uint8 of 255."""

    sample: Sample
    distance: NDArray[np.uint8]

    @classmethod
    def of(cls, sample: Sample) -> Pooled:
        """Work out the distance map."""
        return cls(sample, (relative_distance(sample.labels) * 255).round().astype(np.uint8))

    def save(self, path: Path) -> None:
        """Write to an .npz file; it appears whole or not at all."""
        s = self.sample
        with replacing_file(path) as part, Path(part).open("wb") as file:
            np.savez(
                file,
                image=s.image,
                labels=s.labels.astype(np.int16),
                known=s.known,
                parted=s.known if s.parted is None else s.parted,
                source=s.source,
                distance=self.distance,
            )

    @classmethod
    def load(cls, path: Path) -> Pooled:
        """Read what `save` wrote."""
        with np.load(path) as z:
            labels = z["labels"].astype(np.int32)
            sample = Sample(z["image"], labels, z["known"], str(z["source"]), z["parted"])
            return cls(sample, z["distance" if "distance" in z else "depth"])


@dataclass(frozen=True, eq=False)
class Recipe:
    """One sample that will be made: its file's name, and how."""

    name: str
    make: Callable[[], Sample]


def make_all(recipes: Sequence[Recipe], folder: Path, task: Task, text: str) -> list[Path]:
    """Make samples into a folder; those already there are left as they are.

    Returns
    -------
    list of Path
        One a recipe, in their order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{r.name}.npz" for r in recipes]
    for done, (recipe, path) in enumerate(zip(recipes, paths, strict=True)):
        task.step(done, len(recipes), text)
        if not path.exists():
            Pooled.of(recipe.make()).save(path)
    return paths
