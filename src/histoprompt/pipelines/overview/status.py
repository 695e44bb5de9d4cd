"""What was made of each slide of a project: committed objects, counts, audits, notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoprompt.annotations.place import StoreManifest, store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import HistopromptError
from histoprompt.pipelines.count.files import AUDIT_COLUMNS, COUNTS_CSV
from histoprompt.pipelines.count.listed import listed
from histoprompt.pipelines.count.result_folders import COUNT, MADE, facts_of
from histoprompt.pipelines.count.stored import StoredCount, stored_by_slide
from histoprompt.pipelines.embedding.kept import is_indexed
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.project.table import ProjectSlide


@dataclass(frozen=True)
class FoundCount:
    """A count of a slide, wherever it is kept.

    Attributes
    ----------
    folder : Path
    where : {"project", "kept"}
        With the results of the project, or kept by the window to be worked on.
    region : tuple of int or None
        r0, c0, r1, c1; None for the tissue of the whole slide.
    segmenter : str
    classes : tuple of str
    cells : int or None
        None where an unfinished count does not tell.
    complete : bool
    audited : bool
    made : float
        When the folder was last written to, seconds since 1970.
    """

    folder: Path
    where: str
    region: tuple[int, ...] | None
    segmenter: str
    classes: tuple[str, ...]
    cells: int | None
    complete: bool
    audited: bool
    made: float


@dataclass(frozen=True)
class SlideState:
    """What there is of a slide.

    Attributes
    ----------
    slide : ProjectSlide
    found : bool
        Whether its file is where the table says; addresses are not asked.
    objects : int
        Committed ones.
    counts : tuple of FoundCount
    notes : tuple of str
        Of its counts.
    indexed : bool
        Whether an encoder has looked at all of its tissue.
    """

    slide: ProjectSlide
    found: bool
    objects: int = 0
    counts: tuple[FoundCount, ...] = ()
    notes: tuple[str, ...] = ()
    indexed: bool = False

    @property
    def cells(self) -> int | None:
        """Cells of the project's own count; None if it was not counted."""
        own = next((c for c in self.counts if c.where == "project"), None)
        return None if own is None else own.cells

    @property
    def audited(self) -> bool:
        """Whether any of its counts was."""
        return any(count.audited for count in self.counts)

    @property
    def words(self) -> tuple[str, ...]:
        """Its state for a table: missing, labelled, counted (or partly), indexed, audited."""
        own = [c for c in self.counts if c.where == "project"]
        said = [] if self.found else ["missing"]
        said += ["labelled"] if self.objects else []
        said += ["counted" if c.complete else "partly counted" for c in own[:1]]
        said += ["indexed"] if self.indexed else []
        return (*said, *(["audited"] if self.audited else []))


def states(project: Project) -> Iterator[SlideState]:
    """The state of each slide, in the order of the table; nothing of a slide is read."""
    kept = stored_by_slide()
    for slide in project.slides:
        yield state_of(project, slide, kept)


def state_of(
    project: Project, slide: ProjectSlide, kept: Mapping[str, Sequence[StoredCount]]
) -> SlideState:
    """The state of one slide; `kept` are the counts that the window keeps, by slides' keys."""
    counts, notes = _counts(project, slide, kept)
    indexed = is_indexed(slide.key)
    return SlideState(slide, project.has_file(slide), _objects(slide), counts, notes, indexed)


def counts_of(project: Project, slide: ProjectSlide) -> tuple[FoundCount, ...]:
    """All counts of a slide that this machine knows, the newest first."""
    counts, _ = _counts(project, slide, stored_by_slide())
    return tuple(sorted(counts, key=lambda count: -count.made))


def _counts(
    project: Project, slide: ProjectSlide, kept: Mapping[str, Sequence[StoredCount]]
) -> tuple[tuple[FoundCount, ...], tuple[str, ...]]:
    """The counts of a slide, the project's own first, and the notes of that one."""
    folder = project.results(slide) / COUNT
    made = facts_of(folder)
    own = (_own_count(folder, made),) if made else ()
    others = (_kept(one, slide.key) for one in kept.get(slide.key, ()))
    return (*own, *others), tuple(map(str, made.get("notes", ())))


def _objects(slide: ProjectSlide) -> int:
    """Committed objects; 0 where they cannot be read now."""
    if not slide.key:
        return 0
    folder = store_folder(slide.key)
    try:
        mark = StoreManifest.read(folder)
        if mark is None:
            return 0
        with LabelStore.open(folder, mark.shape, slide.key, read_only=True) as store:
            return store.count
    except (HistopromptError, OSError):
        return 0


def _own_count(folder: Path, made: Mapping[str, Any]) -> FoundCount:
    """The project's own count, as its facts tell of it."""
    whole = not made.get("picked") and not made.get("regions")
    region = None if whole else tuple(map(int, made.get("region", ())))
    return FoundCount(
        folder,
        "project",
        region,
        str(made.get("segmenter", "")),
        tuple(map(str, made.get("classes", ()) or ())),
        int(made.get("cells", 0)),
        bool(made.get("complete")),
        _has_audit(folder),
        (folder / MADE).stat().st_mtime,
    )


def _has_audit(folder: Path) -> bool:
    """Whether the table of counts has an interval."""
    try:
        head, first, *_ = (folder / COUNTS_CSV).read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        return False
    cells = dict(zip(head.split(","), first.split(","), strict=False))
    return any(cells.get(column) for column in AUDIT_COLUMNS)


def _kept(count: StoredCount, slide: str) -> FoundCount:
    """A count that the window keeps."""
    told = listed(slide, count)
    region = tuple(round(v) for v in count.box) if count.chosen else None
    return FoundCount(
        count.folder, "kept", region, count.segmenter, told.classes, told.cells, False,
        told.audited, count.made,
    )  # fmt: skip
