"""CellViT's ``cells.json``: ``{"wsi_metadata", "type_map", "cells": [{"contour", "type", ...}]}``.

Contours and centroids are (x, y) pixel centres of level 0 (Hörst et al., Medical Image Analysis
2024; TIO-IKIM/CellViT). Files with centroids alone (``cell_detection.json``) give points.
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

FILE = "cells.json"
_HALF = 0.5


def matches(path: Path) -> bool:
    """Whether a file is of this kind."""
    start = head_of(path, 65536, (".json",))
    return b'"cells"' in start and (b'"type_map"' in start or b'"wsi_metadata"' in start)


def read(reading: Reading) -> Iterator[Annotation]:
    """The cells of a file.

    Raises
    ------
    LabelError
        If it holds none.
    """
    names = json_head(reading.path, ("cells",)).get("type_map")
    found = False
    for key, number, item in json_parts(reading.path, ("cells",)):
        if key != "cells":
            continue
        if not isinstance(number, int):
            found = item == []
            break
        found, where = True, f"cell {number + 1}"
        if not isinstance(item, dict):
            reading.skip(where, "it is no table with a contour")
            continue
        about = {"class_name": type_name(item.get("type"), names), "kind": "cell"}
        centre = item.get("centroid")
        if item.get("contour") is not None:
            yield from read_contour(reading, where, item["contour"], **about)
        elif isinstance(centre, list) and len(centre) == 2 and _numbers(centre):
            yield from reading.at(where, centre[0] + _HALF, centre[1] + _HALF, **about)
        else:
            reading.skip(where, "it has neither a contour nor a centroid")
    if not found:
        raise LabelError(f"{reading.path.name} has no list of cells.")


def write(job: ExportJob) -> Written:
    """Write ``cells.json``; an object in parts keeps its largest, and holes are filled."""
    numbers = job.class_numbers()
    slide = job.slide
    head: dict[str, Any] = {
        "wsi_metadata": {"name": slide.name, "base_mpp": slide.mpp, "shape": list(slide.shape)},
        "type_map": {str(number): name for name, number in numbers.items()},
        "provenance": job.provenance(),
    }
    with JsonListFile(job.folder / FILE, head, "cells") as file:
        for label, box, _ in job.objects("Writing contours"):
            contour = contour_of(job.outlines(label, box))
            file.add(
                {
                    "bbox": [[round(box.r0), round(box.c0)], [round(box.r1), round(box.c1)]],
                    "centroid": [(box.c0 + box.c1 - 1) / 2, (box.r0 + box.r1 - 1) / 2],
                    "contour": contour,
                    "type_prob": 1.0,
                    "type": numbers[job.classes.of(label)],
                }
            )
        file.finish({})
    return Written((FILE,))


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
