"""HTML pages from templates that lie beside the code that fills them.

Texts are escaped by the template engine, and a fact that is missing is an error, never a gap. What
all reports look like is told once, in ``templates/report.css`` here, which their templates include.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page(template: Path, facts: Mapping[str, Any]) -> str:
    """A template filled with facts.

    Parameters
    ----------
    template : Path
        A file of this package.
    facts : mapping of str to value
        By the names the template has for them.
    """
    return _environment(template.parent).get_template(template.name).render(facts)


_SHARED = Path(__file__).parent / "templates"


@cache
def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader([folder, _SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
