"""The classes of a project: taken over from QuPath, and given to slides that have none yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from histoprompt.annotations.class_list import ObjectClass
from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import HistopromptError
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.formats.qupath_classes import read_class_list, write_class_list

CLASSES_JSON = "classes.json"


def project_classes(folder: Path) -> tuple[ObjectClass, ...]:
    """The classes of a project, as QuPath writes them; raises `LabelError` if damaged."""
    path = folder / CLASSES_JSON
    return read_class_list(path) if path.is_file() else ()


def keep_classes(folder: Path, classes: Sequence[ObjectClass]) -> int:
    """Add classes to those of a project; those it has stay as they are. How many are new.

    Raises
    ------
    LabelError, ExportError
        If the list that is there is damaged, or cannot be written.
    """
    there = project_classes(folder)
    names = {one.name for one in there}
    new = [one for one in classes if one.name not in names]
    if new:
        write_class_list(folder / CLASSES_JSON, (*there, *new))
    return len(new)


def give_classes(folder: Path, slide: Slide) -> bool:
    """Give a slide the classes of its project, if it has none; whether that was done.

    A list that is damaged, or labels that are worked on elsewhere, keep nobody from the slide.
    """
    try:
        classes = project_classes(folder)
        if not classes:
            return False
        with LabelStore.open(store_folder(slide.key), slide.shape, slide.key) as store:
            if store.class_list():
                return False
            store.set_class_list(classes)
            return True
    except HistopromptError:
        return False
