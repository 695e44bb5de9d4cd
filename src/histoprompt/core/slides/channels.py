"""Channels of fluorescence: pictures of their own, of which one is shown to the models of nuclei.

The models and the measures of dyes are made for dark nuclei on a light ground. A channel is turned
into that: its ground becomes white and what shines dark, in grey, as the project's own model has
seen fluorescence in its training.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import SlideError
from histoprompt.core.files.read_errors import READ_ERRORS
from histoprompt.core.slides.fingerprint import text_key
from histoprompt.core.slides.levels import (
    RgbLevel,
    Source,
    as_slice,
    channels_last,
    complete,
    damaged,
)
from histoprompt.core.slides.overview import with_overviews
from histoprompt.core.slides.pixel_rule import PixelRule
from histoprompt.core.slides.slide import Channel, Slide
from histoprompt.core.strings.printable import one_line

# Dyes that nuclei take up.
_NUCLEAR = re.compile(r"dapi|hoechst|draq ?5|syto|sytox|propidium|\bpi\b|7-?aad|nuc|dna|h2b", re.I)
_PALETTE = ("#0000ff", "#00ff00", "#ff0000", "#00ffff", "#ff00ff", "#ffff00", "#ffffff")


class ChannelLevel:
    """One channel of a level, as a lazy (H, W) array of the values in the file.

    Parameters
    ----------
    source : array-like
        Read by slicing; with an axis of channels.
    axes : str
        A letter an axis of the source, as for `RgbLevel`.
    channel : int
        From 0.
    name : str
        Of the file, for messages.
    chunks : (rows, cols), optional

    Raises
    ------
    SlideError
        On indexing, if the pixels cannot be decoded.
    """

    ndim = 2

    def __init__(
        self,
        source: Source,
        axes: str,
        channel: int,
        name: str,
        chunks: tuple[int, int] | None = None,
    ) -> None:
        self._source, self._axes, self._channel, self._name = source, axes, channel, name
        h, w = source.shape[axes.index("Y")], source.shape[axes.index("X")]
        self.shape = (int(h), int(w))
        self.dtype = np.dtype(source.dtype)
        self.chunks = chunks

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes if it were read whole."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        rows, cols, _ = complete(key)
        row, one_row = as_slice(rows, self.shape[0])
        col, one_col = as_slice(cols, self.shape[1])
        plane = self._read(row, col)
        picked: NDArray[Any] = plane[0 if one_row else slice(None), 0 if one_col else slice(None)]
        return picked

    def _read(self, rows: slice, cols: slice) -> NDArray[Any]:
        one = slice(self._channel, self._channel + 1, 1)
        index = {"Y": rows, "X": cols, "S": one, "C": one}
        try:
            found = np.asarray(self._source[tuple(index.get(a, 0) for a in self._axes)])
        except READ_ERRORS as error:
            raise damaged(self._name, self.shape, (rows, cols), error) from error
        return channels_last(found, self._axes)[..., 0]


def make_channels(
    file: str,
    levels: Sequence[tuple[Source, str, tuple[int, int] | None]],
    names: Sequence[str],
    colours: Sequence[str | None],
) -> tuple[Channel, ...]:
    """The channels of arrays.

    Parameters
    ----------
    file : str
        Its name, for messages.
    levels : sequence of (source, axes, chunks)
        Finest first; all with as many channels as there are names.
    names, colours
        Empty or None where the file says nothing; names are made to differ.
    """
    found: list[Channel] = []
    taken: set[str] = set()  # a file may claim tens of thousands
    for i, (name, colour) in enumerate(zip(names, colours, strict=True)):
        arrays = tuple(
            ChannelLevel(source, axes, i, file, chunks) for source, axes, chunks in levels
        )
        called = name.strip() or f"channel {i + 1}"
        if called in taken:
            called = f"{called} ({i + 1})"
        taken.add(called)
        shown = colour or _colour_for(called, i)
        found.append(Channel(called, shown, arrays))
    return tuple(found)


def _colour_for(name: str, place: int) -> str:
    return _PALETTE[0] if _NUCLEAR.search(name) else _PALETTE[place % len(_PALETTE)]


def nuclear(channels: Sequence[Channel]) -> int:
    """The place of the channel that shows nuclei by its name; the first if none does."""
    return next((i for i, c in enumerate(channels) if _NUCLEAR.search(c.name)), 0)


def dark_on_light(channel: Channel, name: str) -> tuple[RgbLevel, ...]:
    """A channel as (H, W, 3) uint8 levels, its ground white and what shines dark."""
    low, high = channel.limits
    rule = PixelRule(high, inverted=True, floor=low)
    return tuple(RgbLevel(a, "YX", name, rule, a.chunks) for a in channel.levels)


def named(channels: Sequence[Channel]) -> dict[str, str]:
    """The channels in words, for the properties of a slide."""
    return {"channels": ", ".join(f"{i} {c.name}" for i, c in enumerate(channels, 1))}


def on_channel(slide: Slide, which: str | int) -> Slide:
    """A slide of fluorescence as another of its channels shows it.

    Parameters
    ----------
    slide : Slide
    which : str or int
        The channel's name, in letters of any size, or its number from 1.

    Returns
    -------
    Slide
        The slide itself for the channel that it shows already. Another channel has a key of its
        own, so that what is found in one is not taken for what is in the other.

    Raises
    ------
    SlideError
        If there is no such channel.
    """
    at = _place_of(slide, which)
    shown = slide.channels[at]
    if at == slide.shown_channel:
        return slide
    home = nuclear(slide.channels)
    base = slide.properties.get(_BASE_KEY, slide.key)
    key = base if at == home else text_key([base, "channel", shown.name])
    notes = tuple(n for n in slide.notes if not n.startswith(_NOTE))
    levels = dark_on_light(shown, slide.name)
    moved = replace(
        slide, key=key, levels=levels, shown_channel=at, notes=(*notes, channel_note(shown)),
        properties={**slide.properties, _BASE_KEY: base},
    )  # fmt: skip
    return with_overviews(moved)


def shown_name(slide: Slide) -> str:
    """The channel that a slide shows, where it is not the one it shows unasked; else empty."""
    at = slide.shown_channel
    return "" if at is None or at == nuclear(slide.channels) else slide.channels[at].name


_BASE_KEY = "key of all channels"
_NOTE = "fluorescence: "


def channel_note(channel: Channel) -> str:
    """What a person is told of a slide that is shown by one of its channels."""
    return f"{_NOTE}nuclei are looked for in the channel {channel.name}, shown dark on white"


def _place_of(slide: Slide, which: str | int) -> int:
    names = [c.name for c in slide.channels]
    if not names:
        raise SlideError(
            f"{slide.name} is a picture in colours: it has no channels to choose from."
        )
    text = str(which).strip()
    exact = [i for i, name in enumerate(names) if name == text]
    alike = exact or [i for i, name in enumerate(names) if name.lower() == text.lower()]
    if alike:
        return alike[0]
    if text.isdecimal() and 1 <= int(text) <= len(names):
        return int(text) - 1
    listed = ", ".join(f"{i} {name}" for i, name in enumerate(names, 1))
    raise SlideError(
        f"{slide.name} has no channel {one_line(text, 40)}. It has {one_line(listed, 400)}."
    )
