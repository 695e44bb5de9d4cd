"""What a TIFF says about the slide: its pixel size, its maker, its lens.

Each maker has a place of its own; where none speaks, the resolution tags of the TIFF do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree

from tifffile import RESUNIT, TiffFile, TiffPage, TiffPageSeries
from tifffile.tifffile import svs_description_metadata

from histoprompt.core.files.read_errors import READ_ERRORS
from histoprompt.core.readers.ome_xml import companion
from histoprompt.core.readers.pixel_size import MISSING, PixelSize
from histoprompt.core.slides.bounds import BOUNDS_X, BOUNDS_Y
from histoprompt.core.strings.printable import one_line

UM_PER_UNIT = {
    "nm": 1e-3,
    "nanometer": 1e-3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "\\u00B5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "inch": 25400.0,
    "m": 1e6,
    "meter": 1e6,
}
_UM_PER_RESOLUTION_UNIT = {
    RESUNIT.INCH: 25400.0,
    RESUNIT.CENTIMETER: 1e4,
    RESUNIT.MILLIMETER: 1e3,
    RESUNIT.MICROMETER: 1.0,
}

_BOUNDS = re.compile(r"<name>\s*(openslide\.bounds-\w)\s*</name>\s*<value[^<>]*>\s*(\d{1,12})\s*<")


@dataclass(frozen=True)
class TiffFacts:
    """What the metadata give."""

    size: PixelSize
    vendor: str | None = None
    notes: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


def read_facts(tiff: TiffFile, series: TiffPageSeries) -> TiffFacts:
    """Read the facts of one image of a TIFF; whatever is malformed counts as not stated."""
    facts = _maker_facts(tiff, series)
    return replace(facts, properties={**facts.properties, **_bounds(series.keyframe)})


def _bounds(page: TiffPage) -> dict[str, str]:
    """The corner of the scanned part, which libvips keeps of a slide that OpenSlide opened."""
    found = _BOUNDS.findall(page.description)
    return {name: value for name, value in found if name in (BOUNDS_X, BOUNDS_Y)}


def _maker_facts(tiff: TiffFile, series: TiffPageSeries) -> TiffFacts:
    for is_kind, read in _READERS:
        if is_kind(tiff):
            try:
                facts = read(tiff, series)
            except READ_ERRORS:
                notes = ("the maker's metadata are malformed and were ignored",)
                return TiffFacts(_tag_size(series.keyframe), notes=notes)
            return facts if facts.size.mpp else _with_tag_size(facts, series.keyframe)
    return TiffFacts(_tag_size(series.keyframe))


def _with_tag_size(facts: TiffFacts, page: TiffPage) -> TiffFacts:
    """The size the tags state, where the maker's place states none that can be believed."""
    doubts = tuple(n for n in facts.size.notes if n != MISSING)
    return TiffFacts(_tag_size(page), facts.vendor, (*doubts, *facts.notes), facts.properties)


def _tag_size(page: TiffPage) -> PixelSize:
    """From XResolution, YResolution and ResolutionUnit."""
    tags = page.tags
    unit = _UM_PER_RESOLUTION_UNIT.get(tags.valueof("ResolutionUnit"))
    x, y = (_resolution(tags.valueof(f"{axis}Resolution")) for axis in "XY")
    if unit is None or x is None or y is None:
        return PixelSize.missing()
    return PixelSize.from_print_resolution(unit / x, unit / y)


def _resolution(value: object) -> float | None:
    """Pixels a unit from a rational tag; None where it is no number above 0.

    1 is as good as any other: where nobody cared, the unit is missing or makes it a printer's.
    """
    if not (isinstance(value, tuple) and len(value) == 2 and value[0] and value[1]):
        return None
    return float(value[0] / value[1])


def _aperio(tiff: TiffFile, series: TiffPageSeries) -> TiffFacts:
    said = svs_description_metadata(series.keyframe.description)
    mpp = said.get("MPP")
    wanted = {"AppMag": "objective", "Date": "date", "ScanScope ID": "scanner"}
    return TiffFacts(
        PixelSize.stated(float(mpp), float(mpp)) if mpp else PixelSize.missing(),
        vendor="Aperio",
        properties={name: str(said[k]) for k, name in wanted.items() if k in said},
    )


def _hamamatsu(tiff: TiffFile, series: TiffPageSeries) -> TiffFacts:
    lens = series.keyframe.tags.valueof(65421)
    model = series.keyframe.tags.valueof("Model")
    named = {"objective": lens, "scanner": model}
    return TiffFacts(
        _tag_size(series.keyframe),
        vendor="Hamamatsu",
        properties={k: f"{v:g}" if isinstance(v, float) else str(v) for k, v in named.items() if v},
    )


def _leica(tiff: TiffFile, series: TiffPageSeries) -> TiffFacts:
    """Leica gives each image's size in nanometres (view) and in pixels (pixels)."""
    width = str(series.keyframe.imagewidth)
    others = sum(s.name.lower() != "macro" for s in tiff.series) - 1
    text = f"the file holds {others} further scanned region(s); the largest is shown"
    notes = (text,) if others > 0 else ()
    for image in _all(ElementTree.fromstring(tiff.scn_metadata or ""), "image"):
        pixels, view = _all(image, "pixels")[0], _all(image, "view")[0]
        if pixels.get("sizeX") != width:
            continue
        x, y = (float(view.attrib[k]) / 1e3 / float(pixels.attrib[k]) for k in ("sizeX", "sizeY"))
        lens = [e.text or "" for e in _all(image, "objective")]
        properties = {"objective": lens[0]} if lens else {}
        return TiffFacts(PixelSize.stated(x, y), "Leica", notes, properties)
    return TiffFacts(PixelSize.missing(), "Leica", notes)


def _ventana(tiff: TiffFile, series: TiffPageSeries) -> TiffFacts:
    """Ventana keeps an iScan element in the XMP tag of one of the pages."""
    notes = ("tiles of a BIF overlap a little; they are shown side by side, not stitched",)
    for page in tiff.pages:
        packet = page.tags.valueof(700) if isinstance(page, TiffPage) else None
        if not isinstance(packet, bytes) or b"iScan" not in packet:
            continue
        root = ElementTree.fromstring(packet.strip(b"\0 \n"))
        scans = [e for e in root.iter() if e.tag.endswith("iScan") and "ScanRes" in e.attrib]
        if scans:
            size = float(scans[0].attrib["ScanRes"])
            lens = scans[0].get("Magnification", "")
            properties = {"objective": lens} if lens else {}
            return TiffFacts(PixelSize.stated(size, size), "Ventana", notes, properties)
    return TiffFacts(PixelSize.missing(), "Ventana", notes)


def _philips(tiff: TiffFile, series: TiffPageSeries) -> TiffFacts:
    """Philips lists DICOM_PIXEL_SPACING in millimetres, rows first, level 0 first."""
    root = ElementTree.fromstring(tiff.philips_metadata or "")
    spacing = [e for e in root.iter("Attribute") if e.get("Name") == "DICOM_PIXEL_SPACING"]
    if not spacing:
        return TiffFacts(PixelSize.missing(), "Philips")
    y, x = (float(v.strip('"')) * 1e3 for v in (spacing[0].text or "").split()[:2])
    return TiffFacts(PixelSize.stated(x, y), "Philips")


def _ome(tiff: TiffFile, series: TiffPageSeries) -> TiffFacts:
    """OME-XML has PhysicalSizeX and Y on the Pixels of each Image."""
    root = ElementTree.fromstring(tiff.ome_metadata or "")
    other = companion(root)
    if other is not None:
        said = f"its metadata lie in another file ({one_line(other, 80)}), which is not read"
        return TiffFacts(PixelSize.missing(), notes=(said,), properties={"format": "OME-TIFF"})
    images = _all(root, "Pixels")
    at = next((i for i, s in enumerate(tiff.series) if s is series), 0)
    pixels = images[min(at, len(images) - 1)]
    lens = [e.get("NominalMagnification") for e in _all(root, "Objective")]
    makers = [e.get("Manufacturer") for e in _all(root, "Microscope")]
    return TiffFacts(
        PixelSize.stated(_ome_size(pixels, "X"), _ome_size(pixels, "Y")),
        vendor=makers[0] if makers else None,
        properties={"format": "OME-TIFF"} | ({"objective": lens[0]} if lens and lens[0] else {}),
    )


def _ome_size(pixels: ElementTree.Element, axis: str) -> float | None:
    value = pixels.get(f"PhysicalSize{axis}")
    unit = UM_PER_UNIT.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    return float(value) * unit if value and unit else None


def _imagej(tiff: TiffFile, series: TiffPageSeries) -> TiffFacts:
    """ImageJ counts its resolution in a unit that only its description names."""
    unit = UM_PER_UNIT.get(str((tiff.imagej_metadata or {}).get("unit", "")))
    tags = series.keyframe.tags
    x, y = (_resolution(tags.valueof(f"{axis}Resolution")) for axis in "XY")
    if unit is None or not x or not y:
        return TiffFacts(PixelSize.missing())
    return TiffFacts(PixelSize.stated(unit / x, unit / y))


def _all(root: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    """Every element of this name, whatever its namespace."""
    return [e for e in root.iter() if e.tag.rpartition("}")[2] == tag]


_READERS: tuple[
    tuple[Callable[[TiffFile], bool], Callable[[TiffFile, TiffPageSeries], TiffFacts]], ...
] = (
    (lambda t: bool(t.is_svs), _aperio),
    (lambda t: bool(t.is_ndpi), _hamamatsu),
    (lambda t: bool(t.is_scn), _leica),
    (lambda t: bool(t.is_bif), _ventana),
    (lambda t: bool(t.is_philips), _philips),
    (lambda t: bool(t.is_ome), _ome),
    (lambda t: bool(t.is_imagej), _imagej),
)
