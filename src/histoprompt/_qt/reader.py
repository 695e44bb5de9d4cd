"""The napari reader: slides as lazy layers in microns; annotations go to the Import dock."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from histoprompt.core.errors import LabelError, SlideTooLargeError
from histoprompt.core.provenance import Provenance
from histoprompt.core.readers.open import is_dicom, is_zarr, open_slide
from histoprompt.core.slides.slide import Channel, Slide
from histoprompt.core.strings.addresses import address_name, address_of
from histoprompt.pipelines.formats.catalogue import format_of

LayerData = tuple[Any, dict[str, Any], str]
Paths = str | Path | Sequence[str | Path]

_SUFFIXES = frozenset(
    (".svs", ".ndpi", ".scn", ".bif", ".tif", ".tiff", ".mrxs", ".dcm", ".png", ".jpg", ".jpeg")
)

_ANNOTATIONS = frozenset((".geojson", ".json", ".xml", ".parquet"))


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Offer to read these paths, judged by suffix, or a folder by what lies in it.

    Returns
    -------
    callable or None
        `read`, `read_objects` for files of annotations, or None if one of the paths is nothing this
        plugin knows.
    """
    paths = _as_paths(path)
    if paths and all(map(_is_annotation, paths)):
        return read_objects
    return read if paths and all(map(_is_known, paths)) else None


def read(path: Paths) -> list[LayerData]:
    """Open each path as one image layer, fluorescence as a layer for each channel.

    Raises
    ------
    SlideError
        If a file is of a known kind but cannot be read; napari shows the message. Of one that asks
        for too much memory the person is asked first.
    """
    viewer = _viewer()
    found = [_opened(p, viewer) for p in _as_paths(path)]
    if viewer is not None:
        greet(viewer, [slide for slide, _ in found])
    return [one for slide, trusted in found for one in slide_layers(slide, trusted=trusted)]


def read_objects(path: Paths) -> list[Any]:
    """Open the Import dock with files of annotations; they are no layers themselves."""
    viewer = _viewer()
    if viewer is not None:
        _, dock = viewer.window.add_plugin_dock_widget("napari-histoprompt", "Import")
        dock.choose([Path(p) for p in _as_paths(path)])
    return [(None,)]


def _opened(path: Path | str, viewer: Any) -> tuple[Slide, bool]:
    """A slide, and whether the person had to trust its size."""
    try:
        return open_slide(path), False
    except SlideTooLargeError as error:
        if viewer is None:
            raise
        from histoprompt._qt.shell.trusting import trusts_size

        if not trusts_size(path, error, viewer.window._qt_window):
            raise
    return open_slide(path, trust_size=True), True


def slide_layers(slide: Slide, *, trusted: bool = False) -> list[LayerData]:
    """A slide's layers; of fluorescence that of the nuclei comes first, to be worked on.

    `trusted` is as for `layer_data`.
    """
    if not slide.channels:
        return [layer_data(slide, trusted=trusted)]
    first = slide.shown_channel or 0
    others = [c for i, c in enumerate(slide.channels) if i != first]
    ordered = [slide.channels[first], *others]
    return [_channel_data(slide, channel, trusted=trusted) for channel in ordered]


def _channel_data(slide: Slide, channel: Channel, *, trusted: bool) -> LayerData:
    """A channel as it is stored, in its colour, over the others."""
    _, arguments, _ = layer_data(slide, trusted=trusted)
    facts = {**arguments["metadata"]["histoprompt"], "channel": channel.name}
    arguments |= {
        "name": f"{slide.name}: {channel.name}",
        "multiscale": len(channel.levels) > 1,
        "rgb": False,
        "colormap": channel.colour,
        "contrast_limits": channel.limits,
        "blending": "additive",
        "metadata": {"histoprompt": facts},
    }
    levels = list(channel.levels)
    return levels if len(levels) > 1 else levels[0], arguments, "image"


def layer_data(slide: Slide, *, trusted: bool = False) -> LayerData:
    """A slide as napari's (data, arguments, type); in microns where the pixel size is known.

    Parameters
    ----------
    slide : Slide
    trusted : bool
        Whether the person trusts the size of its file, which is opened again by its name.
    """
    multiscale = len(slide.levels) > 1
    known = slide.mpp is not None
    arguments = {
        "name": slide.name,
        "multiscale": multiscale,
        "rgb": True,
        "scale": (slide.mpp, slide.mpp) if known else (1.0, 1.0),
        "units": ("um", "um") if known else ("pixel", "pixel"),
        "metadata": {"histoprompt": {**_provenance(slide), "trusted": trusted}},
    }
    return list(slide.levels) if multiscale else slide.levels[0], arguments, "image"


def _provenance(slide: Slide) -> dict[str, Any]:
    stated = {
        "kind": "slide",
        "path": slide.path,
        "key": slide.key,
        "mpp": slide.mpp,
        "mpp_source": slide.mpp_source,
        "notes": list(slide.notes),
    }
    return Provenance(parameters=stated).facts


def greet(viewer: Any, slides: Sequence[Slide]) -> None:
    """Get the window ready for slides that are opened in it."""
    from histoprompt._qt.layers.camera import show_scale_bar
    from histoprompt._qt.shell.warming import warm_soon

    if any(slide.mpp is not None for slide in slides):
        show_scale_bar(viewer)
    warm_soon()


def _viewer() -> Any:
    """The window that is read for, or None: asking napari itself would need a Qt."""
    module = sys.modules.get("napari.viewer")
    return None if module is None else module.current_viewer()


def _as_paths(path: Paths) -> list[Path | str]:
    """Paths, and addresses as they are."""
    given = [path] if isinstance(path, str | Path) else list(path)
    return [address_of(one) or Path(one) for one in given]


def _is_annotation(path: Path | str) -> bool:
    """Whether a file that can be nothing else holds annotations."""
    if isinstance(path, str) or path.suffix.lower() not in _ANNOTATIONS or not path.is_file():
        return False
    try:
        format_of(path)
    except LabelError:
        return False
    return True


def _is_known(path: Path | str) -> bool:
    if isinstance(path, str):
        return Path(address_name(path)).suffix.lower() in (*_SUFFIXES, ".zarr") or ".zarr/" in path
    if path.is_dir():
        return is_zarr(path) or is_dicom(path)
    return path.suffix.lower() in _SUFFIXES
