"""Three parts of the sample slide as a project of three patients, with what is really there."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import tifffile

from histoprompt.core.readers.open import open_slide
from histoprompt.pipelines.project.project import add_slides, new_project
from histoprompt.pipelines.project.table import ProjectSlide

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"
# Where tumour, stroma and lymphocytes lie together; top left corners.
CORNERS = ((1500, 1080), (660, 180), (960, 1380))
SIDE = 420
TAGS = """
[[tags]]
name = "tumour"
wordings = ["tumour", "carcinoma"]
drafted = ["neoplasm"]
attributes = { size = ["large"], shape = ["round"] }
[[tags]]
name = "lymphocyte"
wordings = ["lymphocyte", "lymphoid tissue", "inflammation"]
attributes = { size = ["small"], colour = ["dark"] }
[[tags]]
name = "stroma"
wordings = ["stroma", "fibrous tissue"]
not = ["muscle"]
attributes = { shape = ["spindle"] }
"""


def make_study(folder: Path) -> Path:
    """Write the project, ``tags.toml`` and ``truth.csv``; gives the project's folder."""
    with open_slide(SAMPLE / "slide.ome.tif") as slide:
        pixels, mpp = np.asarray(slide.levels[0][:]), slide.mpp
    labels = tifffile.imread(SAMPLE / "labels.tif")
    with (SAMPLE / "classes.csv").open() as file:
        classes = {int(row["id"]): row["class"] for row in csv.DictReader(file)}
    slides, truth = [], []
    for number, (r, c) in enumerate(CORNERS):
        part = slice(r, r + SIDE), slice(c, c + SIDE)
        path = folder / f"part{number}.tif"
        tifffile.imwrite(
            path, pixels[part], photometric="rgb", resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
        )  # fmt: skip
        slides.append(ProjectSlide(path.stem, str(path), patient=f"p{number}"))
        for label in np.unique(labels[part])[1:].tolist():
            rows, cols = np.nonzero(labels[part] == label)
            truth.append((path.stem, rows.mean(), cols.mean(), classes[label]))
    project, _ = add_slides(new_project(folder / "study"), slides)
    (folder / "tags.toml").write_text(TAGS)
    with (folder / "truth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("slide", "row", "col", "tag"), *truth])
    return project.folder
