"""Folders of results, a slide each: none is taken that holds another slide's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from histoprompt.core.files.atomic import explained
from histoprompt.core.files.durable import make_folder
from histoprompt.core.files.locks import hold_file
from histoprompt.core.files.own_folder import own_folder
from histoprompt.pipelines.count.run import UNFINISHED
from histoprompt.pipelines.count.store_files import SETTINGS, SLIDE, read_settings
from histoprompt.pipelines.recipes.recipe import RECIPE, slide_told

# The folder of a count among the results of a slide, and the file of its facts.
COUNT, MADE = "count", "count.json"
_LOOK = 0.01


def facts_of(folder: Path) -> dict[str, Any]:
    """The facts of a count from its folder; empty if there are none that can be read."""
    found = read_settings(folder / MADE)
    return found if isinstance(found, dict) else {}


def free_folder(out: Path, stem: str, key: str, taken: Iterable[Path] = ()) -> Path:
    """The folder for a slide's results: none of another slide, not even one of the same name.

    Parameters
    ----------
    out : Path
    stem : str
        The slide's name without suffix.
    key : str
        The slide's key: results of the same slide are replaced.
    taken : iterable of Path
        Folders this run has used.

    Raises
    ------
    ExportError
        If a link lies in its place.
    """
    number, folder, taken = 1, out / stem, set(taken)
    while folder in taken or slide_in(own_folder(folder)) not in (None, key):
        number += 1
        folder = out / f"{stem}-{number}"
    return folder


def claimed_folder(out: Path, stem: str, key: str, taken: Iterable[Path] = ()) -> Path:
    """As `free_folder`, and made known to other programs that count at the same moment.

    Raises
    ------
    ExportError
        If it cannot be written, or a link lies in its place.
    """
    taken = set(taken)
    while True:
        folder = free_folder(out, stem, key, taken)
        if _claim(folder, key):
            return folder
        taken.add(folder)


def unclaim(folder: Path) -> None:
    """Take away a claimed folder in which nothing was written, such as a slide without scale."""
    path = folder / UNFINISHED / SLIDE
    with contextlib.suppress(OSError):  # there is work in it, or somebody holds it: it stays
        if [there.name for there in path.parent.iterdir()] == [SLIDE]:
            path.unlink()
            path.parent.rmdir()
            folder.rmdir()


def slide_in(folder: Path) -> str | None:
    """The key of the slide whose results a folder holds; None if it holds none, or damaged ones."""
    for path in (folder / MADE, folder / UNFINISHED / SETTINGS):
        if path.is_file() and (key := slide_of(path)) is not None:
            return key
    with contextlib.suppress(OSError, ValueError):
        if key := (folder / UNFINISHED / SLIDE).read_text(encoding="utf-8"):
            return key
    return slide_told(folder / RECIPE)  # of other results than those of a count


def slide_of(path: Path) -> str | None:
    """The slide a JSON file of a count is about; None if the file is damaged."""
    raw = read_settings(path)
    key = raw.get("slide") if isinstance(raw, dict) else None
    return key if isinstance(key, str) else None


def _claim(folder: Path, key: str) -> bool:
    """Write into a folder whose it is, unless another slide's program was faster."""
    path = own_folder(folder / UNFINISHED) / SLIDE
    with explained(folder):
        while True:
            make_folder(path.parent)
            try:
                held = hold_file(path)
            except FileNotFoundError:
                continue  # a count that is done has just removed the folder
            if held is None:
                time.sleep(_LOOK)  # it is being written
                continue
            with held:
                there = held.read().decode(errors="replace")
                if there not in ("", key):
                    return False
                held.write(key.encode())
            return True
