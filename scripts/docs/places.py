"""What the places of documentation pages are filled with when the site is built.

A place is a comment of its own line, ``<!-- made: NAME -->``; NAME may carry an argument, as in
``<!-- made: result latency -->``. So a new command, option, key, model or measurement changes no
page by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import cell_columns
import cli_page
import keys_table
import models_table

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import scale_costs  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
PICTURES = ROOT / "docs" / "pictures"
_PLACE = re.compile(r"^<!-- made: (\w+)(?: ([\w-]+))? -->$", re.MULTILINE)


class PlaceError(ValueError):
    """A page has a place that nothing fills."""


def filled(page: str) -> str:
    """The text of a page with all of its places filled.

    Raises
    ------
    PlaceError
        If nothing is known of a place's name.
    """
    return _PLACE.sub(lambda match: made(match[1], match[2] or ""), page)


def made(name: str, argument: str = "") -> str:
    """What stands at the place of this name."""
    makers: dict[str, Callable[[], str]] = {
        "cli": cli_page.commands,
        "columns": cell_columns.table,
        "costs": scale_costs.table,
        "keys": keys_table.table,
        "models": models_table.table,
    }
    if name == "result":
        return result(argument)
    if name == "picture":
        return picture(argument)
    if name == "results":
        return results_list()
    if name not in makers:
        raise PlaceError(f"Nothing fills the place {name!r}; known are {', '.join(makers)}.")
    return makers[name]()


def result(stem: str) -> str:
    """A file of `benchmarks/results` without its title.

    Raises
    ------
    PlaceError
        If there is no such file.
    """
    path = RESULTS / f"{stem}.md"
    if not path.is_file():
        raise PlaceError(f"There is no {path.name} in benchmarks/results.")
    return re.sub(r"\A# .*\n+", "", path.read_text(encoding="utf-8")).strip()


def title_of(stem: str) -> str:
    """The title of a file of `benchmarks/results`; made of its name where it has none."""
    found = re.match(r"# (.*)", (RESULTS / f"{stem}.md").read_text(encoding="utf-8"))
    return found[1] if found else stem.replace("-", " ").capitalize()


def results() -> list[str]:
    """The names of all measurements, sorted."""
    return sorted(path.stem for path in RESULTS.glob("*.md"))


def results_list() -> str:
    """A list of all measurements that links to their pages."""
    return "\n".join(f"- [{_heading(stem)}]({stem}.md)" for stem in results())


def picture(name: str) -> str:
    """A picture of a dock, where `make pictures` has been run; nothing elsewhere."""
    if not (PICTURES / f"{name}.png").is_file():
        return ""
    return f"![The {name.capitalize()} dock](../pictures/{name}.png)"


def _heading(stem: str) -> str:
    """The title of a measurement's page."""
    page = ROOT / "docs" / "benchmarks" / f"{stem}.md"
    if not page.is_file():
        return title_of(stem)
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
