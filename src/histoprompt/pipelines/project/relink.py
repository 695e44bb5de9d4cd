"""Find files that were moved or renamed, by the keys of their slides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from histoprompt.core.errors import HistopromptError, ProjectError
from histoprompt.core.readers.naming import SUFFIXES
from histoprompt.core.readers.open import is_dicom, is_zarr, open_slide
from histoprompt.core.task import Task
from histoprompt.pipelines.project.project import Project, kept_path, with_lines
from histoprompt.pipelines.project.table import ProjectSlide


def slide_files(folder: Path) -> Iterator[Path]:
    """Files and folders below a folder that may be slides, told by their names; no links."""
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    for path in inside:
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            if is_zarr(path) or path.suffix.lower() == ".zarr" or is_dicom(path):
                yield path
            else:
                yield from slide_files(path)
        elif path.suffix.lower() in SUFFIXES:
            yield path


def relink(
    project: Project, folder: Path, task: Task | None = None
) -> tuple[Project, dict[str, str], list[str]]:
    """Look for the missing files of a project in a folder, and enter where they are now.

    Parameters
    ----------
    project : Project
    folder : Path
        Looked through with all folders in it.
    task : Task, optional

    Returns
    -------
    project : Project
    moved : dict of str to str
        New paths by the ids of their slides.
    missing : list of str
        Ids of slides that were not found.

    Raises
    ------
    ProjectError
        If the folder cannot be looked through.
    """
    task = task or Task()
    if not folder.is_dir():
        raise ProjectError(f"{folder} is no folder: nothing can be found in it.")
    lost = [s for s in project.slides if _is_missing(project, s)]
    wanted = {s.key: s for s in lost if s.key}
    files = list(slide_files(folder)) if lost else []
    moved = {s.id: s for s in _by_name(project, [s for s in lost if not s.key], files)}
    # a file of the same name first: of 10,000 slides few need to be opened
    names = {_name(s.path) for s in wanted.values()}
    for done, path in enumerate(sorted(files, key=lambda p: p.name not in names)):
        if not wanted:
            break
        task.step(done, len(files), f"Looking at {path.name}")
        key = _key(path)
        if key in wanted:
            slide = wanted.pop(key)
            moved[slide.id] = replace(slide, path=kept_path(project, str(path)))
    project = with_lines(project, moved)
    missing = [s.id for s in project.slides if _is_missing(project, s)]
    return project, {name: slide.path for name, slide in moved.items()}, missing


def _by_name(
    project: Project, lost: list[ProjectSlide], files: list[Path]
) -> Iterator[ProjectSlide]:
    """Slides that were never opened here, where one file alone has their name."""
    places: dict[str, list[Path]] = {}
    for path in files:
        places.setdefault(path.name, []).append(path)
    for slide in lost:
        found = places.get(_name(slide.path), [])
        if len(found) == 1:
            yield replace(slide, path=kept_path(project, str(found[0])), key=_key(found[0]))


def _name(path: str) -> str:
    """The last part of a path of any system."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _is_missing(project: Project, slide: ProjectSlide) -> bool:
    return bool(slide.path) and not project.has_file(slide)


def _key(path: Path) -> str:
    try:
        with open_slide(path) as slide:
            return slide.key
    except HistopromptError:
        return ""
