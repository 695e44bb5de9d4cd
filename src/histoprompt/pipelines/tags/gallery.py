"""`gallery.html`: the proposals as pictures, to be answered by keys and saved as a review."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.pages import page
from histoprompt.pipelines.tags.records import TagRow
from histoprompt.pipelines.tags.review import Precision
from histoprompt.pipelines.tags.work import TaggedCandidates

GALLERY: Final = "gallery.html"
_TEMPLATE = Path(__file__).parent / "templates" / GALLERY


def write_gallery(
    folder: Path,
    work: TaggedCandidates,
    rows: Sequence[TagRow],
    found: Sequence[Precision],
    dropped: Mapping[str, int],
) -> None:
    """Write the page; it needs nothing beside it. Raises `ExportError`."""
    cards = [_card(work, rows[i], place) for place, i in enumerate(work.shown.tolist())]
    text = page(
        _TEMPLATE,
        {
            "tags": list(work.names),
            "cards": [card for card in cards if card["kept"]],
            "checks": [card for card in cards if not card["kept"]],
            "dropped": dict(dropped),
            "candidates": len(rows),
            "kept": sum(row.kept for row in rows),
            "slides": len(work.slides),
            "precisions": [
                {"tag": p.tag, "right": p.right, "looked": p.looked, "share": p.share,
                 "low": p.low, "high": p.high, "hint": p.hint(work.params.aim)}
                for p in found
            ],
        },
    )  # fmt: skip
    replace_file(folder / GALLERY, text)


def _card(work: TaggedCandidates, row: TagRow, place: int) -> dict[str, Any]:
    i = int(work.shown[place])
    return {
        "id": row.id,
        "picture": picture_text(work.pictures[place]),
        "tag": work.proposed[i],
        "fixed": row.tag if row.reviewed == "fix" else "",
        "score": row.score,
        "votes": row.votes,
        "of": int(work.counts[i].sum()),
        "headers": list(work.headers[i]),
        "doubts": list(work.doubts[i]),
        "slide": row.slide,
        "reviewed": row.reviewed,
        "kept": row.kept,
        "reason": row.reason,
    }


def picture_text(picture: NDArray[np.uint8]) -> str:
    """A picture as an address that holds it."""
    data = BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
