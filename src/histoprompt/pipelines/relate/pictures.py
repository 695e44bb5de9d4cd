"""Example pictures of patients: a part of a slide, where there is most tissue."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
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
from histoprompt.pipelines.relate.study import Study

Rows = NDArray[np.intp]
Values = NDArray[np.float64]
_SIDE = 160
_OVERVIEW = 400
# Microns a side of the part that is shown; level-0 pixels where the pixel size is not known.
_PART_UM, _PART_PX = 400.0, 800


@dataclass(frozen=True)
class Example:
    """A picture of a patient's slide.

    Attributes
    ----------
    patient, slide : str
    value : float
        Of the feature.
    address : str
        The picture as a ``data:`` address; empty where the slide cannot be read.
    """

    patient: str
    slide: str
    value: float
    address: str


class Pictures:
    """Pictures of slides, each made once.

    Parameters
    ----------
    project : Project
    slides : mapping of str to ProjectSlide
    """

    def __init__(self, project: Project, slides: Mapping[str, ProjectSlide]) -> None:
        self._project, self._slides = project, slides
        self._made: dict[str, str] = {}

    def extremes(self, study: Study, feature: str, many: int, task: Task) -> list[list[Example]]:
        """Pictures of the patients with the highest and with the lowest values of a feature."""
        values = study.values[:, study.names.index(feature)]
        rows = np.flatnonzero(np.isfinite(values))
        return self.of_scores(study, rows, values[rows], many, task)

    def of_scores(
        self, study: Study, rows: Rows, values: Values, many: int, task: Task
    ) -> list[list[Example]]:
        """Pictures of the patients (rows of the study) with the highest and the lowest values."""
        order = np.argsort(values, kind="stable").tolist()
        many = min(many, len(order) // 2)
        sides = [order[::-1][:many], order[:many]] if many else [[], []]
        return [
            [self._example(study, int(rows[i]), float(values[i]), task) for i in side]
            for side in sides
        ]

    def _example(self, study: Study, patient: int, value: float, task: Task) -> Example:
        slide = study.slides[patient][0]
        if slide not in self._made:
            task.repeat()
            self._made[slide] = self._picture(slide)
        return Example(study.patients[patient], slide, value, self._made[slide])

    def _picture(self, slide_id: str) -> str:
        row = self._slides[slide_id]
        if not self._project.has_file(row):
            return ""
        try:
            with self._project.open(row) as slide:
                return _address(_part(slide))
        except (HistopromptError, OSError):  # a slide that cannot be read has no picture
            return ""


def _part(slide: Slide) -> Image.Image:
    """Where the overview is darkest over a part's size."""
    small = thumbnail(slide, _OVERVIEW).astype(np.float32).mean(axis=2)
    side = min(_PART_UM / slide.mpp if slide.mpp else _PART_PX, *slide.shape)
    step = slide.shape[0] / small.shape[0]
    window = max(1, round(side / step))
    sums = np.cumsum(np.cumsum(np.pad(255 - small, ((1, 0), (1, 0))), axis=0), axis=1)
    h, w = (max(1, n - window + 1) for n in small.shape)
    dark = (sums[window : window + h, window : window + w] - sums[:h, window : window + w]
            - sums[window : window + h, :w] + sums[:h, :w])  # fmt: skip
    row, col = np.unravel_index(int(dark.argmax()), dark.shape)
    r0, c0 = int(row * step), int(col * step)
    box = Box(r0, c0, r0 + int(side), c0 + int(side)).shift_inside(slide.box)
    return Image.fromarray(slide.read(box, (_SIDE, _SIDE))[0])


def _address(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
