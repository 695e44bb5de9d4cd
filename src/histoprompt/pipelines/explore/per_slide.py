"""Where the files of each slide lie among results of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from histoprompt.core.files.own_folder import own_folder
from histoprompt.core.strings.names import fitted
from histoprompt.pipelines.explore.tile_set import TiledSlide


def folders_of(folder: Path, slides: Sequence[TiledSlide]) -> list[tuple[int, Path]]:
    """The number of each slide and its folder: that of the results where there is one slide.

    Slides of one name get numbers. Raises `ExportError` where a link lies in the place of one.
    """
    if len(slides) == 1:
        return [(0, folder)]
    found: list[tuple[int, Path]] = []
    taken: set[str] = set()
    for number, slide in enumerate(slides):
        plain = name = fitted("".join("_" if c in '/\\:*?"<>|' else c for c in slide.name))
        count = 1
        while name.lower() in taken:
            count += 1
            name = f"{plain} {count}"
        taken.add(name.lower())
        found.append((number, own_folder(folder / name)))
    return found
