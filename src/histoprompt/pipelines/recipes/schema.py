"""All steps with their parameters, for programs: what `histoprompt describe` prints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from histoprompt import __version__
from histoprompt.core.parameters import ParameterField, fields_of
from histoprompt.pipelines.recipes.recipe import FORMAT
from histoprompt.pipelines.recipes.step import STEPS, step

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}


def described() -> dict[str, Any]:
    """Every step: what it does, what must come before it, its parameters as a JSON schema."""
    steps = {}
    for name in STEPS:
        one = step(name)
        steps[name] = {
            "about": one.about,
            "after": list(one.after),
            "params": {
                "type": "object",
                "additionalProperties": False,
                "properties": {f.name: _property(f) for f in fields_of(one.params)},
            },
        }
    return {"histoprompt": __version__, "format": FORMAT, "steps": steps}


def _property(field: ParameterField) -> dict[str, Any]:
    one: dict[str, Any] = {"type": _TYPES[field.kind]}
    if field.choices:
        one["enum"] = list(field.choices)
    if math.isfinite(field.about.low):
        one["minimum"] = field.about.low
    if math.isfinite(field.about.high):
        one["maximum"] = field.about.high
    found: dict[str, Any] = {"type": "array", "items": one} if field.many else one
    found = {"title": field.title, **found}
    if field.about.help:
        found["description"] = field.about.help
    if field.default is not None:
        value = field.default
        plain = list(value) if field.many else value
        found["default"] = str(plain) if isinstance(plain, Path) else plain
    return found
