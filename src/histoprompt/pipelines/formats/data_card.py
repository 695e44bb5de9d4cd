"""The card of a set of tiles: what is in it, where it comes from, how it was split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histoprompt.pipelines.formats.job import ExportJob

CARD = "README.md"


@dataclass(eq=False)
class Tallies:
    """What the tiles of an export hold, counted as they are written.

    Attributes
    ----------
    tiles, empty : counter of str
        Tiles, and those without an object, by set.
    objects : counter of (str, str)
        Objects, or parts of them, by set and class.
    left_out : int
        Tiles that fit no set.
    """

    tiles: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    objects: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: int = 0

    def add(self, split: str, classes: list[str]) -> None:
        """Count a tile with the classes of its objects."""
        self.tiles[split] += 1
        self.empty[split] += not classes
        for name in classes:
            self.objects[split, name] += 1


def card_of(job: ExportJob, tile_mpp: float | None) -> str:
    """The card as Markdown."""
    slide, params, found = job.slide, job.params, job.tallies
    sets = [s for s in ("train", "val", "test") if found.tiles[s]]
    names = job.class_names
    scale = "not known" if tile_mpp is None else f"{tile_mpp:.4g} µm per pixel"
    lines = [
        f"# Tiles of {slide.name}",
        "",
        f"- Tiles: {params.tile_size} x {params.tile_size} pixels, {scale}",
        f"- Objects: {len(job.table)} of {len(names)} classes, outlined in histoprompt",
        f"- Split by {params.split_by}: an object that crosses tiles counts in each of them",
        f"- Licence of the images: {params.licence or 'not stated'}",
        f"- Slide: {slide.name}, {slide.shape[0]} x {slide.shape[1]} pixels, key `{slide.key}`",
    ]
    if params.split_by == "patient" and params.patient:
        lines.append(f"- Patient: {params.patient}")
    if found.left_out:
        lines.append(f"- Left out: {found.left_out:,} tiles that fit no set or no region")
    lines += ["", f"| | {' | '.join(sets)} |", f"|---{'|---' * len(sets)}|"]
    rows = [("tiles", found.tiles), ("of these without objects", found.empty)]
    lines += [f"| {title} | {' | '.join(str(n[s]) for s in sets)} |" for title, n in rows]
    for name in names:
        counts = " | ".join(str(found.objects[s, name]) for s in sets)
        lines.append(f"| {name.replace('|', '/')} | {counts} |")
    lines += [
        "",
        "How it was made stands in `export.json`. Outlines that one reader corrected are no "
        "consensus: audit them before numbers on them are reported.",
    ]
    return "\n".join(lines) + "\n"
