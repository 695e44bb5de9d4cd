"""OME-XML, held against what it could make a reader do before one reads it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from xml.etree import ElementTree

from histoprompt.core.errors import SlideError, SlideTooLargeError
from histoprompt.core.files.remote import Place
from histoprompt.core.slides.limits import Limits
from histoprompt.core.strings.printable import one_line

# Names under which a channel may be red, green or blue; any other name is a dye's.
_COLOUR = re.compile(r"(red|green|blue|r|g|b|rgb|bgr|brightfield|tl brightfield)?", re.IGNORECASE)
_NUMBER = re.compile(r"(channel|chan|ch|c)?[ :_#.-]*\d*([:_-]\d+)*", re.IGNORECASE)


def check_ome(path: Place, text: str, limits: Limits) -> tuple[Path, ...]:
    """Refuse metadata that count planes without end or reach for files elsewhere.

    Parameters
    ----------
    path : Path or RemoteFile
        Of the OME-TIFF.
    text : str
        Its OME-XML. What cannot be parsed is left to whoever reads it.
    limits : Limits

    Returns
    -------
    tuple of Path
        The other files it names, which lie beside it.

    Raises
    ------
    SlideError
        If it names a file in another folder, or what is no file.
    SlideTooLargeError
        If it counts more planes than the limits allow.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return ()
    for element in root.iter():
        kind = _kind(element)
        if kind == "Pixels":
            planes = [abs(_int(element.get(f"Size{axis}"))) for axis in "CZT"]
            _check_planes(path, planes[0] * planes[1] * planes[2], limits)
        elif kind == "TiffData":
            for name in ("PlaneCount", "NumPlanes", "IFD", "FirstC", "FirstZ", "FirstT"):
                _check_planes(path, abs(_int(element.get(name))), limits)
        elif kind.startswith("ModuloAlong"):
            _check_planes(path, _steps(element), limits)
    return tuple(_beside(path, e) for e in root.iter() if _kind(e) == "UUID" and _other(path, e))


def companion(root: ElementTree.Element) -> str | None:
    """The file that holds the metadata, where this one only has pixels (BinaryOnly)."""
    named = [e.get("MetadataFile", "") for e in root.iter() if _kind(e) == "BinaryOnly"]
    return named[0] if named else None


def dyes_named(names: list[str]) -> list[str]:
    """The names of channels that are no colours: dyes, antibodies, wavelengths."""
    return [
        n
        for n in (name.strip() for name in names)
        if not (_COLOUR.fullmatch(n) or _NUMBER.fullmatch(n))
    ]


def channel_names(text: str) -> list[str]:
    """The names of the channels of the first image; a wavelength where one has no name."""
    root = ElementTree.fromstring(text)
    pixels = next((e for e in root.iter() if _kind(e) == "Pixels"), None)
    channels = [e for e in pixels if _kind(e) == "Channel"] if pixels is not None else []
    return [_dye(e) or e.get("Name", "") for e in channels]


def channel_facts(text: str) -> list[tuple[str, str | None]]:
    """(name, colour as #rrggbb) of the channels of the first image; what is not stated is empty."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return []
    pixels = next((e for e in root.iter() if _kind(e) == "Pixels"), None)
    channels = [e for e in pixels if _kind(e) == "Channel"] if pixels is not None else []
    return [(_dye(e) or e.get("Name", ""), _colour(e.get("Color"))) for e in channels]


def _colour(text: str | None) -> str | None:
    """OME's signed number RRGGBBAA; black, and what is no number, is no colour to show with."""
    try:
        rgb = (int(text or "") >> 8) & 0xFFFFFF
    except ValueError:
        return None
    return f"#{rgb:06x}" if rgb else None


def _dye(channel: ElementTree.Element) -> str:
    dye, wave = channel.get("Fluor"), channel.get("EmissionWavelength")
    if not (dye or wave):
        return ""
    return channel.get("Name") or dye or f"{wave} nm"


def _kind(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _int(text: str | None) -> int:
    """A number of planes; 1 for what is none, which whoever reads it refuses."""
    try:
        return int(text or 1)
    except ValueError:
        return 1


def _steps(along: ElementTree.Element) -> int:
    try:
        start, end, step = (float(along.get(k, 1)) for k in ("Start", "End", "Step"))
        return int(abs((end - start) / step))
    except (ValueError, ArithmeticError):
        return 1


def _check_planes(path: Place, planes: int, limits: Limits) -> None:
    if planes > limits.directories:
        raise SlideTooLargeError(
            f"{path.name}: its OME metadata count {planes:.6g} planes; more than "
            f"{limits.directories:,.0f} are not believed. Copy or download it again."
        )


def _other(path: Place, uuid: ElementTree.Element) -> bool:
    name = uuid.get("FileName", "")
    return bool(name) and name.lower() != path.name.lower()


def _beside(path: Place, uuid: ElementTree.Element) -> Path:
    """The named file in the slide's own folder: metadata may not reach for any other."""
    name = uuid.get("FileName", "")
    if not isinstance(path, Path):
        raise SlideError(
            f"{path.name}: its pixels lie in several files ({one_line(name, 80)}), which are not "
            "read from a server. Download them into one folder and open the file there."
        )
    bare = PurePosixPath(name).name == name == PureWindowsPath(name).name and "\0" not in name
    other = path.parent / name if bare else path
    if not bare or (other.exists() and not other.is_file()):
        raise SlideError(
            f"{path.name}: its OME metadata name pixels in another place ({one_line(name, 80)}). "
            "Only files in its own folder are read: put them there, or export the slide anew."
        )
    return other
