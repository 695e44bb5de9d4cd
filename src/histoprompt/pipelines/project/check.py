"""What is wrong with a project before anything is run on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from histoprompt.core.errors import HistopromptError
from histoprompt.core.task import Task
from histoprompt.pipelines.project.project import Project, with_lines
from histoprompt.pipelines.project.table import ProjectSlide

# Slides of one study whose pixel sizes differ by more than this are told.
_SAME_MPP = 0.05


@dataclass(frozen=True)
class Problem:
    """Something to mend.

    Attributes
    ----------
    slide : str
        Its id; empty if it is of the whole project.
    text : str
        A sentence.
    serious : bool
        Whether the slide cannot be used as it is.
    """

    slide: str
    text: str
    serious: bool = True


def check_project(project: Project, task: Task | None = None) -> list[Problem]:
    """Open every slide, and say what is missing, doubled or does not fit.

    Parameters
    ----------
    project : Project
    task : Task, optional

    Returns
    -------
    list of Problem
        In the order of the table; those of the whole project come last.
    """
    task = task or Task()
    found: list[Problem] = []
    keys: dict[str, str] = {}
    sizes: dict[str, float] = {}
    for done, slide in enumerate(project.slides):
        task.step(done, len(project), f"Looking at {slide.id}")
        found += _of_slide(project, slide, keys, sizes)
    return [*found, *_mixed(sizes), *_split_patients(project)]


def _of_slide(
    project: Project, slide: ProjectSlide, keys: dict[str, str], sizes: dict[str, float]
) -> Iterator[Problem]:
    if not slide.path:
        yield Problem(slide.id, "has no path; only commands that need no pixels take it.", False)
        return
    try:
        with project.open(slide) as opened:
            key, mpp = opened.key, opened.mpp
    except HistopromptError as error:
        yield Problem(slide.id, " ".join(str(error).split()))
        return
    if slide.key and slide.key != key:
        yield Problem(
            slide.id,
            "is another slide than the one that was added: its results do not belong to it. Put "
            "the old file back, or remove the cell `key` to take the new one.",
        )
    if key in keys:
        yield Problem(slide.id, f"is the same slide as {keys[key]}. Keep one of them.")
    keys.setdefault(key, slide.id)
    if mpp is None:
        yield Problem(slide.id, "states no pixel size. Enter it in the column mpp.")
    else:
        sizes[slide.id] = mpp


def _mixed(sizes: dict[str, float]) -> Iterator[Problem]:
    if not sizes:
        return
    low, high = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if sizes[high] > (1 + _SAME_MPP) * sizes[low]:
        yield Problem(
            "",
            f"Pixel sizes differ: {low} has {sizes[low]:.4g} µm per pixel, {high} has "
            f"{sizes[high]:.4g}. Models see each slide at their own scale; sizes in pixels cannot "
            "be compared.",
            False,
        )


def _split_patients(project: Project) -> Iterator[Problem]:
    """Patients with slides in several splits: what is learnt of one is known in the other."""
    splits: dict[str, set[str]] = {}
    for slide in project.slides:
        if slide.patient and slide.split:
            splits.setdefault(slide.patient, set()).add(slide.split)
    for patient, names in splits.items():
        if len(names) > 1:
            yield Problem("", f"Patient {patient} is in the splits {' and '.join(sorted(names))}.")


def filled(project: Project, task: Task | None = None) -> Project:
    """The project with the keys of slides that were entered by hand; those that open get one."""
    task = task or Task()
    bare = [s for s in project.slides if s.path and not s.key]
    known = {}
    for done, slide in enumerate(bare):
        task.step(done, len(bare), f"Looking at {slide.id}")
        try:
            with project.open(slide) as opened:
                known[slide.id] = replace(slide, key=opened.key)
        except HistopromptError:
            continue
    return with_lines(project, known)
