"""`training_set/`: what is kept or accepted as COCO, YOLO and our own tiles, and who says so."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from histoprompt.core.files.atomic import explained, replace_file, replacing_folder
from histoprompt.core.files.documents import read_json
from histoprompt.core.files.tables import table_writer
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import SparseLabels
from histoprompt.core.labels.table import scan
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import export
from histoprompt.pipelines.exchange.own_files import check_own, write_manifest
from histoprompt.pipelines.formats.job import ExportParams, Format
from histoprompt.pipelines.project.project import folder_name
from histoprompt.pipelines.tags.records import TagRow
from histoprompt.pipelines.tags.work import TaggedCandidates, TaggedSlide

TRAINING_SET, LABELS_CSV = "training_set", "labels.csv"
FORMATS: Final[dict[str, Format]] = {"coco": "coco", "yolo": "yolo-box", "tiles": "tiles"}
_COLUMNS: Final = (
    "id", "slide", "patient", "set", "r0", "c0", "r1", "c1", "tag", "source", "wording", "votes",
    "of", "entropy", "score", "reviewer", "headers",
)  # fmt: skip
_NAMES: Final = ("slide", "patient", "tag", "wording", "reviewer", "headers")

Opener = Callable[[TaggedSlide], AbstractContextManager[Slide]]


def write_training_set(
    folder: Path, work: TaggedCandidates, rows: Sequence[TagRow], opened: Opener, task: Task
) -> int:
    """Write the labels of all slides; gives how many there are.

    Boxes that are not there are not background: nobody has said what lies between.

    Parameters
    ----------
    folder : Path
        An earlier training set in it is replaced as a whole, if it is as it was written.
    work : TaggedCandidates
    rows : sequence of TagRow
        In the order of the work.
    opened : callable
        Opens a slide.
    task : Task

    Raises
    ------
    SlideError
        If a slide is not where it was.
    ExportError
        If it cannot be written, or something else lies in its place.
    """
    check_place(folder)
    used = [i for i, row in enumerate(rows) if row.label]
    told = {rows[i].id: _told(work, rows[i], i) for i in used}
    with replacing_folder(folder / TRAINING_SET) as part:
        for number, slide in enumerate(work.slides):
            mine = [i for i in used if int(work.of[i]) == number]
            if mine:
                with opened(slide) as reading:
                    _write_slide(part, work, (reading, slide), [(i, rows[i]) for i in mine], task)
        _annotate(part, told)
        _write_labels(part, work, [(i, rows[i]) for i in used])
        write_manifest(part, {"slides": [slide.id for slide in work.slides]})
    return len(used)


def check_place(folder: Path) -> None:
    """Refuse a folder of results in which something else lies where the training set goes.

    Raises
    ------
    ExportError
        If files lie there that no training set brought, or that were changed since.
    """
    place = folder / TRAINING_SET
    with explained(place):
        check_own(place)


def _write_slide(
    part: Path,
    work: TaggedCandidates,
    slide: tuple[Slide, TaggedSlide],
    mine: Sequence[tuple[int, TagRow]],
    task: Task,
) -> None:
    reading, tagged = slide
    labels = SparseLabels(reading.shape)
    for i, row in mine:
        mask = work.candidates.masks[i]
        labels.paste(mask * row.id, Box(*work.candidates.boxes[i].tolist()))
    present = set(scan(labels, task).ids.tolist())
    names = {row.id: row.label for _, row in mine if row.id in present}
    frozen = tagged.patient in work.frozen
    shares = {"val_share": 0.0, "test_share": 1.0} if frozen else {"test_share": 0.0}
    for name, kind in FORMATS.items():
        params = ExportParams(format=kind, split_by="patient", patient=tagged.patient, **shares)  # type: ignore[arg-type]
        place = part / name / folder_name(tagged.id)
        export(reading, labels, place, params, task, classes=Classes(names))


def _told(work: TaggedCandidates, row: TagRow, i: int) -> dict[str, Any]:
    """Who says what of a label, as JSON."""
    return {
        "source": row.source,
        "wording": row.wording,
        "votes": row.votes,
        "of": int(work.counts[i].sum()),
        "entropy": round(row.entropy, 4),
        "score": round(row.score, 4),
        "reviewer": row.reviewer,
        "headers": list(work.headers[i]),
    }


def _annotate(part: Path, told: Mapping[int, Mapping[str, Any]]) -> None:
    """Say of every label in COCO and in our tiles who says so."""
    for path in sorted(part.glob("coco/*/annotations/instances_*.json")):
        data = read_json(path)
        for one in data["annotations"]:
            one["attributes"] = told.get(one.get("label", 0), {})
        replace_file(path, json.dumps(data, ensure_ascii=False))
    for path in sorted(part.glob("tiles/*/dataset.json")):
        data = read_json(path)
        for tile in data["tiles"]:
            for one in tile["objects"]:
                one.update(told.get(one["id"], {}))
        replace_file(path, json.dumps(data, ensure_ascii=False))


def _write_labels(part: Path, work: TaggedCandidates, used: Sequence[tuple[int, TagRow]]) -> None:
    text = io.StringIO(newline="")
    write = table_writer(text, _COLUMNS, _NAMES)
    for i, row in used:
        slide = work.slides[int(work.of[i])]
        group = "test" if slide.patient in work.frozen else "train"
        write(
            [
                row.id, row.slide, slide.patient, group, *work.candidates.boxes[i].tolist(),
                row.label, row.source, row.wording, row.votes, int(work.counts[i].sum()),
                f"{row.entropy:.4f}", f"{row.score:.4f}", row.reviewer,
                " | ".join(work.headers[i]),
            ]
        )  # fmt: skip
    (part / LABELS_CSV).write_text(text.getvalue(), encoding="utf-8")
