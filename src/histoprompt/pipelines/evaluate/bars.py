"""Horizontal bars as an SVG, for tables whose figures lie between 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

ROW, LEFT, LONG, RIGHT = 22, 190, 420, 70
LETTER = 8  # of the names, at most
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")


def bars(title: str, names: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> str:
    """Draw a group of bars a name, one bar a series.

    Parameters
    ----------
    title : str
    names : sequence of n str
        Written beside the groups.
    series : mapping of str to n float or None
        In [0, 1]; what lies outside is cut off, None draws nothing.

    Returns
    -------
    str
        The SVG document.
    """
    lines = [_text(8, ROW, title, bold=True)]
    left, top = max([LEFT, *(16 + LETTER * len(name) for name in names)]), 2 * ROW
    for number, label in enumerate(series):
        lines.append(_bar(left + 110 * number, top - 12, 12, COLOURS[number % len(COLOURS)]))
        lines.append(_text(left + 16 + 110 * number, top - 2, label))
    for index, name in enumerate(names):
        top += ROW // 2
        lines.append(_text(8, top + ROW // 2, name))
        for number, values in enumerate(series.values()):
            lines += _valued(left, top, values[index], COLOURS[number % len(COLOURS)])
            top += ROW - 6
    width, height = left + LONG + RIGHT, top + ROW
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *lines, "</svg>\n"])


def _valued(left: int, top: int, value: float | None, colour: str) -> list[str]:
    if value is None:
        return []
    length = round(LONG * min(max(value, 0.0), 1.0))
    return [_bar(left, top, length, colour), _text(left + length + 6, top + 10, f"{value:.3f}")]


def _bar(left: int, top: int, length: int, colour: str) -> str:
    return f'<rect x="{left}" y="{top}" width="{length}" height="12" fill="{colour}"/>'


def _text(left: int, top: int, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{left}" y="{top}"{weight}>{escape(text)}</text>'
