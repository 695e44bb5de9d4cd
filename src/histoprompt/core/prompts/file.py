"""Prompts as a JSON file.

The format, level-0 pixels, boxes half-open::

    {"objects": [{"id": 1,
                  "box": [r0, c0, r1, c1],
                  "points": [[r, c], ...], "labels": [1, ...],
                  "scribbles": {"positive": [[[r, c], ...], ...], "negative": []}}]}

Every part but ``id`` may be missing; ``labels`` defaults to all inside (1; 0 is outside).
"""

from __future__ import annotations

import json
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ExportError, HistopromptError, PromptError, RegionError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import read_json
from histoprompt.core.geometry import Box
from histoprompt.core.prompts.prompt import Prompt, Strokes

MAX_ID = 2**31 - 1
_OBJECT_KEYS = frozenset({"id", "box", "points", "labels", "scribbles", "class"})
_SCRIBBLE_KEYS = frozenset({"positive", "negative"})


@dataclass(frozen=True, eq=False)
class ObjectPrompt:
    """The prompt of one object.

    Attributes
    ----------
    id : int
        Label value the object gets, at least 1.
    prompt : Prompt
        In level-0 pixels.
    """

    id: int
    prompt: Prompt


def read_prompts(path: str | Path) -> list[ObjectPrompt]:
    """Read a prompts file.

    Raises
    ------
    PromptError
        If the file is missing, is no JSON, or a key is wrong; the message names the key.
    """
    path = Path(path)
    document = read_json(path, PromptError)
    try:
        return parse_prompts(document)
    except HistopromptError as error:
        raise PromptError(f"{path}: {error}") from error


def parse_prompts(document: Any) -> list[ObjectPrompt]:
    """Turn a decoded prompts document into prompts; see `read_prompts`."""
    if not isinstance(document, Mapping) or "objects" not in document:
        raise PromptError('the key "objects" is missing: {"objects": [...]} is expected.')
    unknown = sorted(set(document) - {"objects"})
    if unknown:
        raise PromptError(f'unknown key "{unknown[0]}"; only "objects" is known here.')
    items = document["objects"]
    if not isinstance(items, Sequence) or isinstance(items, str) or not items:
        raise PromptError('"objects" must be a list of at least one object.')
    objects = [_object(item, f"objects[{i}]") for i, item in enumerate(items)]
    twice = sorted(i for i, times in Counter(o.id for o in objects).items() if times > 1)
    if twice:
        raise PromptError(f'"id" {twice[0]} is used by more than one object.')
    return objects


def write_prompts(path: str | Path, objects: Sequence[ObjectPrompt]) -> None:
    """Write prompts so that `read_prompts` gives them back; painted scribbles become points.

    The file is written beside and renamed into place.
    """
    text = json.dumps({"objects": [_document(o) for o in objects]}, indent=1)
    try:
        replace_file(path, text)
    except ExportError as error:
        raise PromptError(f"{path}: cannot be written. {error}") from error


def _object(item: Any, where: str) -> ObjectPrompt:
    if not isinstance(item, Mapping):
        raise PromptError(f"{where} must be an object with keys such as id, box and points.")
    _no_unknown(item, _OBJECT_KEYS, where)
    prompt = Prompt(
        *_clicks(item, where),
        box=_box(item["box"], f"{where}.box") if item.get("box") is not None else None,
        strokes=_scribbles(item.get("scribbles"), f"{where}.scribbles"),
    )
    if not prompt.is_positive:
        raise PromptError(
            f"{where} says nowhere where the object is: give a box, a point with label 1, "
            "or a positive scribble."
        )
    return ObjectPrompt(_id(item, where), prompt)


def _id(item: Mapping[str, Any], where: str) -> int:
    value = item.get("id")
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ID:
        raise PromptError(
            f"{where}.id must be a whole number from 1 to {MAX_ID}, not {reprlib.repr(value)}."
        )
    return value


def _clicks(item: Mapping[str, Any], where: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    points = _points(item.get("points") or [], f"{where}.points")
    labels = item.get("labels")
    if labels is None:
        return points, np.ones(len(points), bool)
    if not isinstance(labels, list) or not all(v in (0, 1) for v in labels):
        raise PromptError(f"{where}.labels must be a list of 1 (inside) and 0 (outside).")
    if len(labels) != len(points):
        raise PromptError(f"{where}.labels has {len(labels)} entries for {len(points)} points.")
    return points, np.array(labels, dtype=bool)


def _box(value: Any, where: str) -> Box:
    numbers = _numbers(value, 4, where, "[r0, c0, r1, c1]")
    try:
        return Box(*numbers)
    except RegionError as error:
        raise PromptError(f"{where}: {error}") from error


def _points(value: Any, where: str) -> NDArray[np.float64]:
    if not isinstance(value, list):
        raise PromptError(f"{where} must be a list of [row, col].")
    rows = [_numbers(p, 2, f"{where}[{i}]", "[row, col]") for i, p in enumerate(value)]
    return np.array(rows, dtype=float).reshape(-1, 2)


def _scribbles(value: Any, where: str) -> Strokes:
    if value is None:
        return Strokes()
    if not isinstance(value, Mapping):
        raise PromptError(f'{where} must be {{"positive": [...], "negative": [...]}}.')
    _no_unknown(value, _SCRIBBLE_KEYS, where)
    return Strokes(
        _lines(value.get("positive"), f"{where}.positive"),
        _lines(value.get("negative"), f"{where}.negative"),
    )


def _lines(value: Any, where: str) -> tuple[NDArray[np.float64], ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise PromptError(f"{where} must be a list of lines, each a list of [row, col].")
    lines = tuple(_points(line, f"{where}[{i}]") for i, line in enumerate(value))
    if any(len(line) == 0 for line in lines):
        raise PromptError(f"{where} holds a line without points.")
    return lines


def _numbers(value: Any, count: int, where: str, shape: str) -> list[float]:
    good = (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
        # not NaN, and no more than a float holds to the pixel
        and all(-(2**53) < v < 2**53 for v in value)
    )
    if not good:
        raise PromptError(f"{where} must be {shape} in level-0 pixels, not {reprlib.repr(value)}.")
    return [float(v) for v in value]


def _no_unknown(item: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(set(item) - known)
    if unknown:
        raise PromptError(
            f'{where} has the unknown key "{unknown[0]}"; known are {", ".join(sorted(known))}.'
        )


def _document(item: ObjectPrompt) -> dict[str, Any]:
    prompt = item.prompt
    out: dict[str, Any] = {"id": item.id}
    if prompt.box is not None:
        out["box"] = list(prompt.box)
    if len(prompt.points):
        out["points"] = prompt.points.tolist()
        out["labels"] = prompt.labels.astype(int).tolist()
    strokes = prompt.all_strokes()
    if strokes:
        out["scribbles"] = {
            "positive": [line.tolist() for line in strokes.positive],
            "negative": [line.tolist() for line in strokes.negative],
        }
    return out
