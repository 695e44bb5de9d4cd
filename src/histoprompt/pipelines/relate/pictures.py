"""Example pictures of patients: the part of a slide that goes with what it is an example of."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.slides.thumbnail import thumbnail
from histoprompt.core.task import Task
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.project.table import ProjectSlide
from histoprompt.pipelines.relate.sights import Sights, Spot, part_side

Rows = NDArray[np.intp]
Values = NDArray[np.float64]
_SIDE = 160
_OVERVIEW = 400
# What a picture shows where nothing tells which part goes with it.
DENSEST = "the densest tissue"


@dataclass(frozen=True)
class ExamplePicture:
    """A picture of a patient's slide.

    Attributes
    ----------
    patient, slide : str
    value : float
        Of the feature.
    address : str
        The picture as a ``data:`` address; empty where the slide cannot be read.
    shows : str
        How its part was chosen.
    words : tuple of str
        Words of reports that go with the part.
    """

    patient: str
    slide: str
    value: float
    address: str
    shows: str
    words: tuple[str, ...] = ()


class Pictures:
    """Pictures of slides.

    Parameters
    ----------
    project : Project
    slides : mapping of str to ProjectSlide
    sights : Sights
        Tells where on a slide something is seen.
    many : int
        Of highest patients, and of lowest.
    """

    def __init__(
        self, project: Project, slides: Mapping[str, ProjectSlide], sights: Sights, many: int
    ) -> None:
        self._project, self._slides, self._sights, self._many = project, slides, sights, many

    def of_feature(self, feature: str, task: Task) -> list[list[ExamplePicture]]:
        """Of the patients with the highest and with the lowest values of a feature."""
        study = self._sights.study
        values = study.values[:, study.names.index(feature)]
        rows = np.flatnonzero(np.isfinite(values))
        return self._both(
            rows, values[rows], task,
            lambda patient, high: self._sights.of_feature(patient, feature, task, highest=high),
        )  # fmt: skip

    def of_word(
        self, said: Values, rows: Sequence[int], predicted: Values, task: Task
    ) -> list[list[ExamplePicture]]:
        """Of the patients whose images go most, and least, with a word.

        Parameters
        ----------
        said : (patients,) float64
            Which reports affirm it.
        rows : sequence of int
            Patients.
        predicted : (n,) float64
            Of each, from the others.
        task : Task
        """
        return self._both(
            np.array(rows), predicted, task,
            lambda patient, high: self._sights.of_values(patient, said, task, highest=high),
        )  # fmt: skip

    def _both(
        self, rows: Rows, values: Values, task: Task, find: Callable[[int, bool], Spot | None]
    ) -> list[list[ExamplePicture]]:
        # of patients whose slides cannot be looked at there is no picture
        there = [i for i, row in enumerate(rows.tolist()) if self._first(row) is not None]
        rows, values = rows[there], values[there]
        order = np.argsort(values, kind="stable").tolist()
        many = min(self._many, len(order) // 2)
        sides = [(order[::-1][:many], True), (order[:many], False)] if many else []
        found = []
        for side, high in sides:
            examples = []
            for i in side:
                task.repeat()
                spot = find(int(rows[i]), high)
                examples.append(self._example(int(rows[i]), float(values[i]), spot))
            found.append(examples)
        return found

    def _first(self, patient: int) -> str | None:
        slides = self._sights.study.slides[patient]
        return next((s for s in slides if self._project.has_file(self._slides[s])), None)

    def _example(self, patient: int, value: float, spot: Spot | None) -> ExamplePicture:
        slide_id = str(self._first(patient)) if spot is None else spot.slide
        address = ""
        try:
            with self._project.open(self._slides[slide_id]) as slide:
                box = None if spot is None else spot.box.shift_inside(slide.box)
                address = _address(_read(slide, box or _densest(slide)))
        except (HistopromptError, OSError):  # a slide that cannot be read has no picture
            address = ""
        shows, words = (DENSEST, ()) if spot is None else (spot.shows, spot.words)
        name = self._sights.study.patients[patient]
        return ExamplePicture(name, slide_id, value, address, shows, words)


def _read(slide: Slide, box: Box) -> Image.Image:
    return Image.fromarray(slide.read(box, (_SIDE, _SIDE))[0])


def _densest(slide: Slide) -> Box:
    """Where the overview is darkest over a part's size."""
    small = thumbnail(slide, _OVERVIEW).astype(np.float32).mean(axis=2)
    side = min(part_side(slide.mpp), *slide.shape)
    step = slide.shape[0] / small.shape[0]
    window = max(1, round(side / step))
    sums = np.cumsum(np.cumsum(np.pad(255 - small, ((1, 0), (1, 0))), axis=0), axis=1)
    h, w = (max(1, n - window + 1) for n in small.shape)
    dark = (sums[window : window + h, window : window + w] - sums[:h, window : window + w]
            - sums[window : window + h, :w] + sums[:h, :w])  # fmt: skip
    row, col = np.unravel_index(int(dark.argmax()), dark.shape)
    r0, c0 = int(row * step), int(col * step)
    return Box(r0, c0, r0 + int(side), c0 + int(side)).shift_inside(slide.box)


def _address(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
