"""The list of classes of a QuPath project, ``classifiers/classes.json``, read and written.

QuPath writes ``{"pathClasses": [{"name": "Tumor", "color": [200, 0, 0]}, ...]}``; older versions a
packed number, ``"colorRGB": -3670016``. Names that end with ``*`` are ignored classes there too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from histoprompt.annotations.class_list import ObjectClass, full_list
from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import read_json
from histoprompt.core.labels.classes import Colour
from histoprompt.core.strings.names import tidy

_UNNAMED = "Unclassified"


def read_class_list(path: Path) -> tuple[ObjectClass, ...]:
    """The classes of a file, in its order; those without a colour get one of a palette.

    Raises
    ------
    LabelError
        If the file is no list of classes.
    """
    data = read_json(path)
    rows = data.get("pathClasses") if isinstance(data, dict) else data
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LabelError(f"{path} is no list of classes as QuPath writes it.")
    found: dict[str, Colour | None] = {}
    for row in rows:
        name = tidy(str(row.get("name") or ""))
        if name and name != _UNNAMED:  # QuPath's own word for none
            found.setdefault(name, _colour(row))
    coloured = [ObjectClass(name, colour) for name, colour in found.items() if colour is not None]
    classes = {item.name: item for item in full_list(coloured, found)}
    return tuple(classes[name] for name in found)


def write_class_list(path: Path, classes: Sequence[ObjectClass]) -> None:
    """Write classes as `read_class_list` and QuPath read them.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    rows = [{"name": item.name, "color": list(item.colour)} for item in classes]
    replace_file(path, json.dumps({"pathClasses": rows}, ensure_ascii=False, indent=2))


def _colour(row: dict[str, Any]) -> Colour | None:
    listed, packed = row.get("color"), row.get("colorRGB", row.get("color"))
    if isinstance(listed, list) and len(listed) >= 3:
        if all(type(value) is int and 0 <= value <= 255 for value in listed[:3]):
            return listed[0], listed[1], listed[2]
        return None
    if type(packed) is int and -(2**31) <= packed < 2**32:
        return packed >> 16 & 255, packed >> 8 & 255, packed & 255
    return None
