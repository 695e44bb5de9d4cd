"""A project: a folder with a table of slides and what was made of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w

from histoprompt import __version__
from histoprompt.core.errors import HistopromptError, ProjectError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import read_toml
from histoprompt.core.files.durable import make_folder
from histoprompt.core.files.locks import alone_at
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.addresses import is_address
from histoprompt.core.task import Task
from histoprompt.pipelines.project.table import (
    SLIDES_CSV,
    ProjectSlide,
    SlideTable,
    free_id,
    id_of,
    read_slides,
    write_slides,
)

FORMAT = 1
PROJECT_TOML = "project.toml"
_RESULTS = "slides"
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


@dataclass(frozen=True)
class Project:
    """A project as it was read.

    Attributes
    ----------
    folder : Path
    name : str
    table : SlideTable
    settings : dict
        All of ``project.toml``.
    """

    folder: Path
    name: str
    table: SlideTable
    settings: dict[str, Any]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def slides(self) -> tuple[ProjectSlide, ...]:
        """Its slides in the order of the table."""
        return self.table.slides

    def slide(self, slide_id: str) -> ProjectSlide:
        """The slide of an id; raises `ProjectError` if there is none."""
        found = next((s for s in self.slides if s.id == slide_id), None)
        if found is None:
            raise ProjectError(f"{self.name} has no slide {slide_id}. It has {len(self):,} slides.")
        return found

    def results(self, slide: ProjectSlide) -> Path:
        """The folder that holds what was made of a slide."""
        return self.folder / _RESULTS / folder_name(slide.id)

    def place(self, slide: ProjectSlide) -> str:
        """Where a slide is: an absolute path, or an address as it stands in the table."""
        if is_address(slide.path) or not slide.path or _DRIVE.match(slide.path):
            return slide.path
        return str(self.folder / Path(slide.path).expanduser())

    def has_file(self, slide: ProjectSlide) -> bool:
        """Whether a slide's file is where the table says; addresses are not asked."""
        place = self.place(slide)
        return bool(place) and (is_address(place) or Path(place).exists())

    def open(self, slide: ProjectSlide, *, trust_size: bool = False) -> Slide:
        """Open a slide with the pixel size of the table; raises as `open_slide` does."""
        if not slide.path:
            raise ProjectError(f"{slide.id} has no path in {SLIDES_CSV}. Enter where its file is.")
        return open_slide(self.place(slide), slide.mpp, trust_size=trust_size)


def folder_name(slide_id: str) -> str:
    """The folder for the results of an id: another for every id, on every system."""
    plain = re.sub(r"[^\w .+=@-]+", "_", slide_id).strip(" .")[:80]
    if plain == slide_id and plain and not plain.startswith("_"):
        return plain
    return f"{plain or 'slide'}-{hashlib.sha256(slide_id.encode()).hexdigest()[:8]}"


def is_project(path: str | Path) -> bool:
    """Whether a path is the folder of a project, or its ``project.toml``."""
    place = Path(path)
    try:
        return (place / PROJECT_TOML).is_file() or (place.name == PROJECT_TOML and place.is_file())
    except OSError:
        return False


def open_project(path: str | Path) -> Project:
    """Read a project.

    Parameters
    ----------
    path : path
        Its folder, or its ``project.toml``.

    Raises
    ------
    ProjectError
        If it is none, was made by a later version, or its table cannot be read.
    """
    folder = Path(path).expanduser()
    folder = folder.parent if folder.name == PROJECT_TOML else folder
    file = folder / PROJECT_TOML
    if not file.is_file():
        raise ProjectError(f"{folder} is no project: it holds no {PROJECT_TOML}.")
    settings = read_toml(file, ProjectError)
    made = settings.get("format", FORMAT)
    if not isinstance(made, int) or made > FORMAT:
        raise ProjectError(
            f"{file} has format {made}; this version reads up to {FORMAT}. Update histoprompt."
        )
    table = folder / SLIDES_CSV
    slides = read_slides(table) if table.is_file() else SlideTable()
    return Project(folder.absolute(), str(settings.get("name") or folder.name), slides, settings)


def new_project(folder: Path, name: str = "") -> Project:
    """Make a project without slides.

    Raises
    ------
    ProjectError
        If there is one.
    ExportError
        If it cannot be written.
    """
    if (folder / PROJECT_TOML).exists():
        raise ProjectError(f"{folder} is a project already. Add slides to it.")
    settings = {
        "format": FORMAT,
        "name": name or folder.absolute().name,
        "histoprompt": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if not (folder / SLIDES_CSV).exists():
        write_slides(folder / SLIDES_CSV, SlideTable())
    replace_file(folder / PROJECT_TOML, tomli_w.dumps(settings))
    return open_project(folder)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Let nobody else change the table while a block runs; others wait."""
    make_folder(folder)
    with alone_at(folder / f".{SLIDES_CSV}"):
        yield


def add_slides(
    project: Project, slides: Sequence[ProjectSlide], task: Task | None = None
) -> tuple[Project, list[str]]:
    """Add slides to a project; each is opened once, for its key.

    Parameters
    ----------
    project : Project
    slides : sequence of ProjectSlide
        An id that is taken gets a number behind it. Paths are kept relative to the project where
        the file lies inside it.
    task : Task, optional

    Returns
    -------
    project : Project
        As it is now.
    notes : list of str
        Slides that were left out, or cannot be opened now, and why.
    """
    notes: list[str] = []
    missing: list[str] = []
    task = task or Task()
    with changing(project.folder):
        project = open_project(project.folder)
        kept = list(project.slides)
        keys = {s.key: s.id for s in kept if s.key}
        for done, named in enumerate(slides):
            task.step(done, len(slides), f"Looking at {named.id}")
            slide, fault = _looked_at(project, named)
            if fault and not project.has_file(slide):
                missing.append(slide.path)
            elif fault:
                notes.append(f"{slide.id}: {fault}")
            if slide.key and slide.key in keys:
                notes.append(f"{slide.path} is left out: it is {keys[slide.key]}.")
                continue
            taken = {s.id for s in kept}
            kept.append(replace(slide, id=free_id(slide.id or id_of(slide.path), taken)))
            keys |= {slide.key: kept[-1].id} if slide.key else {}
        write_slides(project.folder / SLIDES_CSV, project.table.with_slides(kept))
    if missing:
        more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
        notes.append(f"{missing[0]}{more} not there now. Enter where they are once you have them.")
    return open_project(project.folder), notes


def with_lines(project: Project, slides: Mapping[str, ProjectSlide]) -> Project:
    """Put other lines in place of those of the same ids, in the table as it is on disk now."""
    if not slides:
        return project
    with changing(project.folder):
        now = open_project(project.folder)
        write_slides(now.folder / SLIDES_CSV, now.table.replaced(slides))
    return open_project(project.folder)


def _looked_at(project: Project, slide: ProjectSlide) -> tuple[ProjectSlide, str]:
    """With its path as the table keeps it and its key, and why it has none."""
    slide = replace(slide, path=kept_path(project, slide.path))
    if not slide.path or slide.key:
        return slide, ""
    try:
        with project.open(slide) as opened:
            return replace(slide, key=opened.key), ""
    except HistopromptError as error:
        return slide, " ".join(str(error).split())


def kept_path(project: Project, path: str) -> str:
    """Relative to the project inside of it, else absolute; addresses as they are."""
    if not path or is_address(path) or _DRIVE.match(path):
        return path
    absolute = Path(path).expanduser()
    absolute = absolute if absolute.is_absolute() else Path.cwd() / absolute
    try:
        return absolute.resolve().relative_to(project.folder.resolve()).as_posix()
    except ValueError:
        return str(absolute)
