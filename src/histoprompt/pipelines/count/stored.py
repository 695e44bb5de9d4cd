"""The counts of a slide that are kept on disk, opened to be read: no model is needed for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NotRequired

import shapely
from pydantic import Field
from typing_extensions import TypedDict

from histoprompt.core import settings
from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.files.documents import FEW_BYTES, Corners, Shape, read_json
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.cells.find import tiles_of
from histoprompt.pipelines.cells.stains import stains_of
from histoprompt.pipelines.classes.labelling import FILE as LABELS
from histoprompt.pipelines.classes.labelling import read_labelling
from histoprompt.pipelines.classes.lesson import learn
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.count.kept import KeptCount, correction_log
from histoprompt.pipelines.count.pyramid import label_pyramid
from histoprompt.pipelines.count.region import CountRegion, count_region
from histoprompt.pipelines.count.run import UNFINISHED, CountJob, CountProgress
from histoprompt.pipelines.count.store import CountStore
from histoprompt.pipelines.count.store_files import SETTINGS
from histoprompt.pipelines.formats.regions import Region

# What of the settings of a store is not what the job was made with.
_PLACE = frozenset(
    {
        "slide",
        "mpp",
        "region",
        "regions",
        "chosen",
        "tile",
        "algorithm",
        "tissue",
        "dyes",
        "intensities",
    }
)


class _Settings(TypedDict):
    """What is read of the settings of a store."""

    slide: str
    region: Corners
    regions: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    chosen: bool
    segmenter: str
    without: NotRequired[list[Annotated[list[str], Field(min_length=2, max_length=2)]]]


_SHAPE: Shape[_Settings] = Shape(_Settings)


@dataclass(frozen=True)
class StoredCount:
    """A count of a slide as it lies on disk.

    Attributes
    ----------
    folder : Path
        Its name is that of the count.
    segmenter : str
        Id of the model that found the cells.
    box : Box
        What holds all of what was counted.
    regions : tuple of str
        Names of the drawn regions, if it was limited to any.
    chosen : bool
        Whether a person chose where; else it is the tissue of the whole slide.
    """

    folder: Path
    segmenter: str
    box: Box
    regions: tuple[str, ...]
    chosen: bool

    @property
    def name(self) -> str:
        """Enough of the folder's name to tell it from others."""
        return self.folder.name[:8]

    @property
    def made(self) -> float:
        """When it was last worked on, seconds since 1970."""
        return (self.folder / UNFINISHED).stat().st_mtime


def stored_by_slide() -> dict[str, list[StoredCount]]:
    """All counts that are kept, by the keys of their slides, the newest of each first."""
    found: dict[str, list[StoredCount]] = {}
    for path in settings.counts_folder().glob(f"*/{UNFINISHED}/{SETTINGS}"):
        raw = _settings(path)
        if raw is not None:
            names = tuple(name for name, _ in raw["regions"])
            box, folder = Box(*raw["region"]), path.parent.parent
            count = StoredCount(folder, raw["segmenter"], box, names, raw["chosen"])
            found.setdefault(raw["slide"], []).append(count)
    for counts in found.values():
        counts.sort(key=lambda one: -one.made)
    return found


def stored_counts(slide: Slide) -> list[StoredCount]:
    """The counts of a slide that are kept, the newest first."""
    return stored_by_slide().get(slide.key, [])


def find_count(slide: Slide, name: str = "") -> StoredCount:
    """The count whose folder begins like a name; the only one if none is given.

    Raises
    ------
    LabelError
        If there is none, or several.
    """
    there = stored_counts(slide)
    found = [one for one in there if one.folder.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if not there:
        raise LabelError(f"No count of {slide.name} is kept: count it in the Count dock first.")
    names = ", ".join(one.name for one in there)
    told = "No kept count begins with" if not found else "Several kept counts begin with"
    raise LabelError(f"{told} {name!r}: choose one of {names}.")


def open_count(slide: Slide, stored: StoredCount, task: Task) -> KeptCount:
    """Open a kept count as it was left, with its corrections; nothing is counted.

    Parameters
    ----------
    slide : Slide
        Of the count.
    stored : StoredCount
    task : Task

    Raises
    ------
    LabelError
        If the count is damaged.
    ExportError
        If it is worked on in another window.
    """
    place = stored.folder / UNFINISHED
    raw: dict[str, Any] = read_json(place / SETTINGS, LabelError, FEW_BYTES)
    ground = _ground(slide, _SHAPE.of(raw, str(place / SETTINGS)))
    chosen = {name: value for name, value in raw.items() if name not in _PLACE}
    job = CountJob(None, chosen, raw.get("tile"))
    with CountStore(place, ground.box, raw) as store:
        progress = _progress(slide, ground, store, raw.get("tile"))
        if not progress.complete:
            ground = replace(ground, parts=progress.done)
        levels = label_pyramid(store, task)
    log = correction_log(stored.folder, store, slide) if progress.complete else None
    notes = (*store.notes, *(() if log is None else log.notes))
    mm2 = (ground.analysed_mm2(), ground.region_mm2()) if progress.done else (0.0, 0.0)
    cells = store.table()
    work = KeptCount(slide, job, ground, progress, cells, levels, mm2, stored.folder, notes)
    return replace(work, found=cells, log=log).corrected()


def open_to_work(slide: Slide, stored: StoredCount, task: Task) -> KeptCount:
    """As `open_count`, ready for cells to be added by hand; raises as it does."""
    work = open_count(slide, stored, task)
    return replace(work, dyes=stains_of(slide, work.ground.tissue, work.ground.box))


def with_given_classes(work: KeptCount, task: Task) -> tuple[CellTable, str]:
    """The cells with the classes learnt from the labels a person gave, and how; as in the dock.

    Raises
    ------
    LabelError
        If the labels are damaged.
    """
    path = work.folder / LABELS
    if not path.is_file():
        return work.cells, ""
    given = read_labelling(path, work.cells, work.ever).of_cells(work.cells)
    if not given.review.labels:
        return replace(work.cells, palette=given.palette), ""
    lesson = learn(work.cells, None, TrainParams(), given.review, task=task)
    cells = replace(lesson.fit.cells, palette=given.palette)
    told = ", ".join(f"{n} {name}" for name, n in lesson.fit.examples.items())
    return cells, f"{lesson.fit.classifier.method}, learnt from {told}"


def _settings(path: Path) -> _Settings | None:
    try:
        return _SHAPE.of(read_json(path, LabelError, FEW_BYTES), str(path))
    except LabelError:
        return None


def _ground(slide: Slide, raw: _Settings) -> CountRegion:
    box = Box(*raw["region"])
    if not slide.box.covers(box):
        raise RegionError(f"What was counted, {tuple(box)}, is not on {slide.name}.")
    regions = [Region(name, shapely.from_wkt(text)) for name, text in raw["regions"]]
    without = [Region(name, shapely.from_wkt(text)) for name, text in raw.get("without", ())]
    return count_region(slide, box if raw["chosen"] else None, regions, without=without)


def _progress(
    slide: Slide, ground: CountRegion, store: CountStore, tile: float | None
) -> CountProgress:
    grid = tiles_of(slide, ground.box, tile)
    wanted = {(tile.row, tile.col) for tile in grid if ground.meets(tile.inner)}
    done = tuple(grid.tile(*tile.place).inner for tile in store.done if tile.place in wanted)
    return CountProgress(store, done, len(wanted), len(store.done))
