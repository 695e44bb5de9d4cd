"""HoVer-Net's JSON of nuclei: ``{"mag", "nuc": {id: {"contour", "centroid", "bbox", "type"}}}``.

Contours and centroids are (x, y) pixel centres at the magnification of ``mag`` (Graham et al.,
Medical Image Analysis 2019; vqdang/hover_net). Types are numbers; ``type_names``, which the
original has not, keeps the names of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import head_of
from histoprompt.core.files.json_stream import json_head, json_parts
from histoprompt.pipelines.formats.annotation import Annotation, Reading
from histoprompt.pipelines.formats.contour_lists import contour_of, read_contour, type_name
from histoprompt.pipelines.formats.job import ExportJob, Written
from histoprompt.pipelines.formats.json_files import JsonListFile

FILE = "nuclei.json"


def matches(path: Path) -> bool:
    """Whether a file is of this kind."""
    return b'"nuc"' in head_of(path, suffixes=(".json",))


def read(reading: Reading) -> Iterator[Annotation]:
    """The nuclei of a file.

    Raises
    ------
    LabelError
        If it holds none.
    """
    names = json_head(reading.path, ("nuc",)).get("type_names")
    found = False
    for part, key, item in json_parts(reading.path, ("nuc",)):
        if part != "nuc":
            continue
        if not isinstance(key, str):
            found = item == {}
            break
        found, where = True, f"nucleus {key[:20]}"
        if not isinstance(item, dict):
            reading.skip(where, "it is no table with a contour")
            continue
        about = {
            "id": reading.identity(where, key),
            "class_name": type_name(item.get("type"), names),
            "kind": "cell",
        }
        yield from read_contour(reading, where, item.get("contour"), **about)
    if not found:
        raise LabelError(f"{reading.path.name} has no table of nuclei under the key nuc.")


def write(job: ExportJob) -> Written:
    """Write ``nuclei.json``; an object in parts keeps its largest, and holes are filled."""
    numbers = job.class_numbers()
    names = {str(number): name for name, number in numbers.items()}
    head: dict[str, Any] = {"mag": None, "type_names": names, "provenance": job.provenance()}
    with JsonListFile(job.folder / FILE, head, "nuc", named=True) as file:
        for label, box, _ in job.objects("Writing contours"):
            contour = contour_of(job.outlines(label, box))
            x, y = (sum(axis) / len(contour) for axis in zip(*contour, strict=True))
            file.add_named(
                str(label),
                {
                    "bbox": [[round(box.r0), round(box.c0)], [round(box.r1), round(box.c1)]],
                    "centroid": [x, y],
                    "contour": contour,
                    "type_prob": 1.0,
                    "type": numbers.get(job.classes.of(label)),
                },
            )
        file.finish({})
    return Written((FILE,))
