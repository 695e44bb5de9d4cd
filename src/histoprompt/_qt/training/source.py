"""What there is to learn from in a session: committed objects, or the cells of the count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.shell.session import Session
from histoprompt.core.errors import LabelError
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import LabelSource
from histoprompt.core.slides.slide import Slide

Source = Literal["objects", "count"]
SOURCES: Mapping[Source, str] = {
    "objects": "Committed objects",
    "count": "Cells of the count, as corrected",
}


@dataclass(frozen=True, eq=False)
class SlideLabels:
    """Labels of a slide.

    Attributes
    ----------
    slide : Slide
    source : LabelSource
    classes : Classes
    """

    slide: Slide
    source: LabelSource
    classes: Classes


def labels_of(session: Session, source: Source) -> SlideLabels:
    """The labels there are now; corrections made later do not change them.

    Raises
    ------
    LabelError
        If there are none.
    """
    if source == "count":
        work, cells = session.part(Counting).work, session.part(Counting).cells
        if work is None or cells is None or not len(cells):
            raise LabelError("No cell is counted: count a region, correct it, then train on it.")
        names = zip(cells.id.tolist(), cells.class_names, strict=True)
        given = {cell: name for cell, name in names if name}
        return SlideLabels(work.slide, work.progress.store, Classes(given))
    annotator = session.part(Annotating).annotator
    if annotator is None or not annotator.store.count:
        raise LabelError("No object is committed: choose a slide and commit or import nuclei.")
    records = annotator.store.objects()
    given = {record.id: record.class_name for record in records if record.class_name}
    return SlideLabels(annotator.slide, annotator.store, Classes(given))
