"""A slide in words, for `histoprompt info` and a dock's header."""

from __future__ import annotations

from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.printable import printable


def describe(slide: Slide) -> list[tuple[str, str]]:
    """Say what is known of a slide, and what is missing.

    Returns
    -------
    list of (label, text)
        In the order to be printed. Sizes are rows x columns; a `missing or assumed` row a note.
    """
    rows = [("name", slide.name), ("path", slide.path or "made from arrays")]
    rows += [("size", f"{_by(slide.shape)} pixels (rows x columns)")]
    if slide.mpp is not None:
        high, wide = (n * slide.mpp / 1000 for n in slide.shape)
        rows.append(("physical size", f"{high:.2f} x {wide:.2f} mm"))
    rows.append(("pixel size", _pixel_size(slide)))
    rows.append(("levels", str(len(slide.levels))))
    for i, (level, downsample) in enumerate(zip(slide.levels, slide.downsamples, strict=True)):
        rows.append((f"level {i}", f"{_by(level.shape)}, downsample {downsample:.6g}"))
    rows.append(("vendor", slide.vendor or "not stated"))
    rows += list(slide.properties.items())
    rows.append(("key", slide.key))
    rows += [("missing or assumed", note) for note in slide.notes]
    # names and metadata come from whoever wrote the file: no escapes may reach a terminal
    return [(printable(label), printable(text)) for label, text in rows]


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _pixel_size(slide: Slide) -> str:
    if slide.mpp is None:
        return "unknown"
    said_by = {"file": "from the file", "typed": "typed by the user"}
    source = said_by.get(slide.mpp_source or "", "source unknown")
    return f"{slide.mpp:.6g} um a pixel ({source})"
