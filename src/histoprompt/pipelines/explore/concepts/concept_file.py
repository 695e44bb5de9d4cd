"""Concepts and their weights as JSON that a person can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import FEW_BYTES, Count, Finite, Shape, read_json
from histoprompt.pipelines.classes.classifiers import Linear
from histoprompt.pipelines.explore.concepts.fit import ConceptModel, HeldOut
from histoprompt.pipelines.explore.concepts.measured import MEASURED
from histoprompt.pipelines.explore.concepts.values import Concept

FORMAT: Final = "histoprompt concepts 1"


class _Concept(TypedDict):
    name: str
    phrase: str
    middle: Finite
    spread: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    coefficients: dict[str, Finite]


class _HeldOut(TypedDict):
    balanced_accuracy: Finite
    macro_f1: Finite
    by: Literal["mark", "slide"]


class _File(TypedDict):
    format: Literal["histoprompt concepts 1"]
    looked_at: dict[str, str]
    classes: Annotated[dict[str, Count], Field(min_length=2)]
    intercepts: dict[str, Finite]
    concepts: Annotated[list[_Concept], Field(min_length=1)]
    left_out: _HeldOut | None
    left_out_with_struck: _HeldOut | None
    struck: list[str]


_SHAPE: Shape[_File] = Shape(_File)


def write_concepts(path: Path, model: ConceptModel) -> None:
    """Keep concepts: the same ones give the same bytes.

    Raises
    ------
    ExportError
        If it cannot be written; the file is whole or as it was before.
    """
    weights, names = model.linear.weights, model.classes
    data = {
        "format": FORMAT,
        "looked_at": dict(model.about),
        "classes": {name: model.examples[name] for name in names},
        "intercepts": dict(zip(names, model.linear.bias.tolist(), strict=True)),
        "concepts": [
            {
                "name": one.name,
                "phrase": one.phrase,
                "middle": float(model.middle[k]),
                "spread": float(model.spread[k]),
                "coefficients": dict(zip(names, weights[:, k].tolist(), strict=True)),
            }
            for k, one in enumerate(model.concepts)
        ],
        "left_out": _told(model.held_out),
        "left_out_with_struck": _told(model.with_struck),
        "struck": list(model.struck),
    }
    replace_file(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_concepts(path: Path) -> ConceptModel:
    """Read what `write_concepts` wrote.

    Raises
    ------
    LabelError
        If it cannot be read, or is no file of concepts.
    """
    raw = read_json(path, LabelError, FEW_BYTES)
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise LabelError(f"{path} is no file of concepts. Choose a file that was learnt as such.")
    data = _SHAPE.of(raw, str(path), advice="Learn the concepts again.")
    names, rows = tuple(data["classes"]), data["concepts"]
    for table in (data["intercepts"], *(row["coefficients"] for row in rows)):
        if set(table) != set(names):
            raise LabelError(f"{path} is damaged: its classes differ. Learn the concepts again.")
    for row in rows:
        if not row["phrase"].strip() and row["name"] not in MEASURED:
            raise LabelError(
                f"{path} has the measured property {row['name']!r}, which is not known. Learn the "
                "concepts again."
            )
    return ConceptModel(
        concepts=tuple(Concept(row["name"], row["phrase"]) for row in rows),
        classes=names,
        middle=np.array([row["middle"] for row in rows], np.float32),
        spread=np.array([row["spread"] for row in rows], np.float32),
        linear=Linear(
            np.array([[row["coefficients"][n] for row in rows] for n in names], np.float32),
            np.array([data["intercepts"][n] for n in names], np.float32),
        ),
        examples=data["classes"],
        held_out=_read(data["left_out"]),
        with_struck=_read(data["left_out_with_struck"]),
        struck=tuple(data["struck"]),
        about=data["looked_at"],
    )


def _told(one: HeldOut | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {"balanced_accuracy": one.balanced_accuracy, "macro_f1": one.macro_f1, "by": one.by}


def _read(one: _HeldOut | None) -> HeldOut | None:
    return None if one is None else HeldOut(**one)
