"""Corrections of a count as records of a journal, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from histoprompt.annotations.journal import Record
from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import Corners, Count, Shape
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from histoprompt.pipelines.count.hand_work import Correction, HandCell


class Base(TypedDict):
    """The first record: of which cells the corrections are."""

    format: int
    cells: Count
    digest: str
    names: list[str]


class _Cell(TypedDict):
    """A cell that was made; its features and its mask lie in the body."""

    id: Count
    place: Annotated[list[float], Field(min_length=2, max_length=2)]
    area: float
    box: Corners
    name: str
    score: float | None


class Step(TypedDict):
    """A correction, or one taken back or done again."""

    undo: NotRequired[Count]
    redo: NotRequired[Count]
    edit: NotRequired[Count]
    op: NotRequired[Literal["add", "delete", "split", "merge", "labels"]]
    gone: NotRequired[list[Count]]
    cells: NotRequired[list[_Cell]]
    where: NotRequired[Corners]
    info: NotRequired[dict[str, Any]]


BASE: Shape[Base] = Shape(Base)
STEP: Shape[Step] = Shape(Step)


def record_of(step: Correction) -> Record:
    """A correction as it is written: masks as bits, features as they are stored."""
    header: dict[str, Any] = {"edit": step.number, "op": step.op, "gone": list(step.gone)}
    header["cells"] = [_as_json(cell) for cell in step.cells]
    header |= {"where": [int(v) for v in step.where], "info": dict(step.info)}
    features = [np.asarray(cell.features, "<f4").tobytes() for cell in step.cells]
    masks = [np.packbits(cell.mask.array).tobytes() for cell in step.cells]
    return Record(header, b"".join((*features, *masks)))


def correction_of(step: Step, body: bytes, features: int, where: str) -> Correction:
    """A correction from its record.

    Parameters
    ----------
    step : Step
    body : bytes
    features : int
        Of each cell.
    where : str
        For messages.

    Raises
    ------
    LabelError
        If its parts do not fit each other.
    """
    try:
        cells = tuple(_cells(step["cells"], body, features))
        box = Box(*step["where"])
        return Correction(
            step["edit"], step["op"], tuple(step["gone"]), cells, box, step.get("info", {})
        )
    except (KeyError, ValueError) as error:
        raise LabelError(f"{where} is damaged: {error!r}.") from error


def _as_json(cell: HandCell) -> dict[str, Any]:
    score = None if np.isnan(cell.score) else float(cell.score)
    return {
        "id": cell.id,
        "place": [float(cell.row), float(cell.col)],
        "area": float(cell.area_um2),
        "box": [int(v) for v in cell.box],
        "name": cell.class_name,
        "score": score,
    }


def _cells(raw: list[_Cell], body: bytes, width: int) -> Iterator[HandCell]:
    features = np.frombuffer(body, "<f4", len(raw) * width).reshape(len(raw), width)
    at = features.nbytes
    for one, row in zip(raw, features, strict=True):
        box = Box(*one["box"])
        size = -(-int(box.area) // 8)
        mask = Mask(_mask(body[at : at + size], box.shape), Frame(box, box.shape))
        at += size
        score = float("nan") if one["score"] is None else one["score"]
        row_at, col_at = one["place"]
        yield HandCell(one["id"], row_at, col_at, one["area"], mask, row.copy(), one["name"], score)


def _mask(data: bytes, shape: tuple[int, int]) -> NDArray[np.bool_]:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=shape[0] * shape[1])
    return bits.reshape(shape).astype(bool)
