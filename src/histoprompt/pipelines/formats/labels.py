"""Labels as one label image with a table of classes."""

from __future__ import annotations

from histoprompt.core.labels.classes import write_classes
from histoprompt.core.labels.tiff import stream_labels
from histoprompt.pipelines.formats.job import ExportJob, Written

LABELS_FILE = "labels.ome.tif"
CLASSES_FILE = "classes.csv"


def write(job: ExportJob) -> Written:
    """Write ``labels.ome.tif`` (uint32, tiled) and ``classes.csv``."""
    stream_labels(job.folder / LABELS_FILE, job.labels, job.slide.mpp, job.task)
    write_classes(job.folder / CLASSES_FILE, job.classes, job.table.ids)
    return Written((LABELS_FILE, CLASSES_FILE))
