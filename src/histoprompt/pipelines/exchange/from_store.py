"""Export of the committed objects of a slide, with the classes people gave them."""

from __future__ import annotations

from pathlib import Path

from histoprompt.annotations.store import LabelStore
from histoprompt.core.labels.classes import Classes
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams, ExportReport, export


def export_store(
    slide: Slide, store: LabelStore, out: Path, params: ExportParams, task: Task
) -> ExportReport:
    """Export what a label store holds; arguments and errors as for `export`.

    Edits made meanwhile are either in the export or end it with an error; they are never lost.
    """
    names = {record.id: record.class_name for record in store.objects() if record.class_name}
    return export(slide, store, out, params, task, classes=Classes(names))
