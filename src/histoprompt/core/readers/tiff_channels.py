"""What the channels of a TIFF are: colours, transparency, or pictures of their own.

How many there are says nothing of it. Two may be grey with transparency or two dyes, four may be
red, green, blue and transparency or four dyes: the tags tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tifffile import EXTRASAMPLE, PHOTOMETRIC, TiffFile, TiffPage

from histoprompt.core.errors import SlideError
from histoprompt.core.files.remote import Place
from histoprompt.core.readers.ome_xml import channel_facts, channel_names, dyes_named

_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_COLOUR = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
_ALPHA: dict[int, str] = {
    EXTRASAMPLE.ASSOCALPHA: "premultiplied",
    EXTRASAMPLE.UNASSALPHA: "straight",
}
TAKEN_FOR_RGB = "its three separate channels are taken for red, green and blue"


@dataclass(frozen=True)
class Channels:
    """What the channels of an image are.

    Attributes
    ----------
    alpha : str
        What a second or fourth one means, as `PixelRule` has it.
    note : str or None
        What was assumed.
    count : int
        Of channels that are pictures of their own, as in fluorescence; else 0.
    names, colours : tuple
        Of those; empty or None where the file says nothing.
    """

    alpha: str = "ignored"
    note: str | None = None
    count: int = 0
    names: tuple[str, ...] = ()
    colours: tuple[str | None, ...] = ()

    @classmethod
    def of_dyes(cls, tiff: TiffFile, count: int) -> Channels:
        """Channels that are pictures of their own."""
        facts = channel_facts(tiff.ome_metadata) if tiff.ome_metadata else []
        facts = (facts + [("", None)] * count)[:count]
        names, colours = zip(*facts, strict=True)
        return cls(count=count, names=names, colours=colours)


def channels_of(
    path: Place, tiff: TiffFile, shape: Sequence[int], axes: str, key: TiffPage
) -> Channels:
    """Tell what the channels of an image are.

    Parameters
    ----------
    path : Path
    tiff : TiffFile
    shape, axes
        Of the array of one level, with one axis of channels (S or C) or none.
    key : TiffPage
        Its page.

    Raises
    ------
    SlideError
        If they are none of grey, RGB, either of them with transparency, and fluorescence.
    """
    at = max(axes.find("S"), axes.find("C"))
    count = int(shape[at]) if at >= 0 else 1
    alpha = _ALPHA.get(_extra(key.extrasamples), "ignored")
    if key.photometric in _GREY and (count == 1 or (count == 2 and alpha != "ignored")):
        return Channels(alpha)
    if key.photometric in _COLOUR and key.samplesperpixel == count and count in (3, 4):
        return Channels(alpha)
    if key.photometric in (*_GREY, PHOTOMETRIC.RGB) and count == 3:
        dyes = dyes_named(channel_names(tiff.ome_metadata)) if tiff.ome_metadata else []
        if not dyes:
            return Channels(note=TAKEN_FOR_RGB)
        return Channels.of_dyes(tiff, count)
    if key.photometric in (*_GREY, PHOTOMETRIC.RGB) and count > 1:
        return Channels.of_dyes(tiff, count)
    raise SlideError(
        f"{path.name} has {count} channels of {_name(key)} values. histoprompt reads grey, RGB, "
        "RGBA and channels of fluorescence: export the slide as RGB."
    )


def _extra(kinds: Sequence[int]) -> int:
    return int(kinds[0]) if kinds else 0


def _name(key: TiffPage) -> str:
    try:
        return PHOTOMETRIC(key.photometric).name
    except ValueError:
        return f"unknown ({key.photometric})"
