"""The plugin's layers: made, found, read and written here and nowhere else.

All of them take over the image layer's transform, so that the data of the point and box layers
are level-0 pixels whatever scale, translation or rotation the image has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, LayerLock, Points, Shapes
from napari.utils import DirectLabelColormap
from numpy.typing import NDArray

from histoprompt.core.errors import SlideError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import INSIDE, OUTSIDE, Prompt, ScribbleMap
from histoprompt.core.provenance import Provenance
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide

POINTS = "point_prompts"
BOXES = "prompts"
SCRIBBLES = "scribbles"
CURRENT = "current_object"
INCOMING = "incoming_objects"
COMMITTED = "committed_objects"
REGIONS = "regions"
OUTLINES = "nuclei_outlines"
DRAWN = "drawn_by_hand"

# Inside and outside: hues that colour-blind eyes tell apart. Outlines of nuclei must show on blue.
GREEN, RED, CYAN, BRIGHT = "#009e73", "#d55e00", "#17becf", "#00ffff"
# Inside and outside differ in shape too.
INSIDE_SYMBOL, OUTSIDE_SYMBOL = "disc", "x"
# Scribbles too: those outside are hatched in white, see `hatch_outside`. Not what models are told.
HATCHED, HATCH_PX = OUTSIDE + 1, 3
# Clicks are drawn in one size on the screen, whatever the zoom: this many pixels, and a border of
# half of that, which vispy adds to markers of a fixed size, wanted or not.
CLICK_SIZE = 8
# Kinds of layers that are no slides, though they may be images.
RESULTS = ("heatmap",)
# Low enough to judge the nucleus below.
COMMITTED_OPACITY = 0.45
NONE_GIVEN: Mapping[str, Any] = {}


def provenance(**facts: Any) -> dict[str, Any]:
    """What every layer of the plugin carries in ``metadata["histoprompt"]``."""
    return {"histoprompt": Provenance(parameters=facts).facts}


def is_result(layer: Layer) -> bool:
    """Whether the plugin made this layer to show a result on a slide."""
    return layer.metadata.get("histoprompt", NONE_GIVEN).get("kind") in RESULTS


def is_slide(layer: Layer) -> bool:
    """Whether the plugin's reader opened this layer."""
    return layer.metadata.get("histoprompt", NONE_GIVEN).get("kind") == "slide"


def is_trusted(layer: Layer) -> bool:
    """Whether a person trusts the size that its file claims."""
    return bool(layer.metadata.get("histoprompt", NONE_GIVEN).get("trusted"))


def show_alone(viewer: ViewerModel, image: Image) -> None:
    """Show one of several slides, which all lie at the same place, and hide the others."""
    others = [one for one in viewer.layers if is_slide(one) and not same_slide(one, image)]
    for layer in others:
        layer.visible = False
    if others:
        image.visible = True


def same_slide(layer: Layer, image: Image) -> bool:
    """Whether a layer is the image, or another channel of its slide."""
    if layer is image:
        return True
    facts, own = (one.metadata.get("histoprompt", NONE_GIVEN) for one in (layer, image))
    return bool(facts.get("channel")) and facts.get("path") == own.get("path")


def slide_of(layer: Image) -> Slide:
    """The slide behind an image layer: by path if the plugin's reader made it, else its arrays.

    Raises
    ------
    SlideError
        If the layer is not a flat picture.
    """
    if layer.ndim != 2:
        raise SlideError(
            f"{layer.name} has {layer.ndim} dimensions; slides are flat. "
            "Choose an image layer with rows and columns only."
        )
    facts = layer.metadata.get("histoprompt", NONE_GIVEN)
    if facts.get("path"):
        typed = facts.get("mpp") if facts.get("mpp_source") == "typed" else None
        trusted, channel = bool(facts.get("trusted")), facts.get("channel")
        return open_slide(facts["path"], mpp=typed, channel=channel, trust_size=trusted)
    levels = list(layer.data) if layer.multiscale else [layer.data]
    return Slide.from_arrays(layer.name, levels, mpp=_mpp_of(layer))


def _mpp_of(layer: Image) -> float | None:
    """Microns a pixel if the layer's units say so."""
    unit = layer.units[-1]
    if not unit.is_compatible_with("micrometer"):
        return None
    return float((layer.scale[-1] * unit).to("micrometer").magnitude)


def type_mpp(image: Image, slide: Slide, mpp: float) -> Slide:
    """Record a pixel size the user typed, in microns, with the image layer and its slide."""
    facts = {**image.metadata.get("histoprompt", {}), "mpp": mpp, "mpp_source": "typed"}
    image.metadata["histoprompt"] = facts
    image.scale, image.units = (mpp, mpp), ("um", "um")
    return replace(slide, mpp=mpp, mpp_source="typed")


def transform_of(image: Image, frame: Frame | None = None) -> dict[str, Any]:
    """Layer arguments that put an array lying at `frame` onto the image (its level 0 if None)."""
    scale, origin = (1.0, 1.0) if frame is None else frame.scale, np.zeros(2)
    if frame is not None:
        origin = np.asarray(frame.origin)
    linear = np.asarray(image.rotate) @ np.diag(image.scale)
    return {
        "scale": np.asarray(image.scale) * scale,
        "translate": np.asarray(image.translate) + linear @ origin,
        "rotate": image.rotate,
        "affine": image.affine,
        "units": image.units,
    }


def make_points(image: Image) -> Points:
    """An empty layer for clicks: green discs inside, red crosses outside, the same at any zoom."""
    return Points(
        np.empty((0, 2)),
        ndim=2,
        name=POINTS,
        features={"label": np.empty(0, dtype="<U8")},
        feature_defaults={"label": "positive"},
        face_color=GREEN,
        border_color=GREEN,  # vispy's border hides most of the face
        border_width=0,
        size=CLICK_SIZE,
        canvas_size_limits=(CLICK_SIZE, CLICK_SIZE),
        symbol=INSIDE_SYMBOL,
        metadata=provenance(kind="prompt"),
        **transform_of(image),
    )


def make_boxes(image: Image) -> Shapes:
    """An empty layer for boxes."""
    return Shapes(
        ndim=2,
        name=BOXES,
        edge_color=CYAN,
        edge_width=1,
        face_color="transparent",
        metadata=provenance(kind="prompt"),
        **transform_of(image),
    )


def make_drawn(image: Image) -> Shapes:
    """An empty layer for outlines and lines drawn by hand; each is taken as soon as it is done."""
    return Shapes(
        ndim=2,
        name=DRAWN,
        edge_color="#ffd60a",
        edge_width=1,
        face_color="transparent",
        metadata=provenance(kind="prompt"),
        **transform_of(image),
    )


def make_scribbles(image: Image, area: Frame) -> Labels:
    """An empty layer for scribbles: 1 inside, 2 outside, which `hatch_outside` draws in stripes."""
    colours = _two_colours(GREEN, RED, "#ffffff")
    return _labels(image, area, name=SCRIBBLES, kind="prompt", colormap=colours)


def hatch_outside(layer: Labels) -> None:
    """Draw scribbles outside in stripes, for eyes that do not tell their colour from the other."""
    rows, cols = np.nonzero(np.asarray(layer.data) == OUTSIDE)
    striped = (rows + cols) // HATCH_PX % 2 == 1
    if striped.any():
        layer.data[rows[striped], cols[striped]] = HATCHED
        layer.refresh()


def scribbled(layer: Labels) -> NDArray[np.uint8]:
    """What was scribbled, (h, w): 0, `INSIDE` or `OUTSIDE`, however it is drawn."""
    return np.minimum(np.asarray(layer.data, dtype=np.uint8), np.uint8(OUTSIDE))


def make_current(image: Image, area: Frame) -> Labels:
    """An empty layer for the object in hand."""
    layer = _labels(
        image, area, name=CURRENT, kind="preview", colormap=_two_colours("#ffd60a", "#ff9f0a")
    )
    layer.opacity = 0.5
    return layer


def make_outlines(image: Image, area: Frame) -> Labels:
    """An empty, hidden layer for outlines of nuclei that a click can take."""
    layer = _labels(
        image, area, name=OUTLINES, kind="preview", colormap=_two_colours(BRIGHT, "transparent")
    )
    layer.visible, layer.editable = False, False
    return layer


def make_committed(
    image: Image, area: Frame, labels: NDArray[np.int32], name: str = COMMITTED
) -> Labels:
    """The layer of finished objects, or of regions, over the work area; not deleted by chance."""
    layer = Labels(
        labels,
        name=name,
        opacity=COMMITTED_OPACITY,
        metadata=provenance(kind="labels"),
        **transform_of(image, area),
    )
    layer.locked = LayerLock.DELETION
    return layer


def make_incoming(image: Image, area: Frame, labels: NDArray[np.int32]) -> Labels:
    """The layer of objects of a file that may be imported."""
    return Labels(
        labels,
        name=INCOMING,
        opacity=COMMITTED_OPACITY,
        metadata=provenance(kind="incoming"),
        **transform_of(image, area),
    )


def _labels(
    image: Image, area: Frame, *, name: str, kind: str, colormap: DirectLabelColormap
) -> Labels:
    return Labels(
        np.zeros(area.shape, np.uint8),
        name=name,
        colormap=colormap,
        metadata=provenance(kind=kind),
        **transform_of(image, area),
    )


def _two_colours(first: str, second: str, stripes: str | None = None) -> DirectLabelColormap:
    colours = {None: "transparent", 0: "transparent", INSIDE: first, OUTSIDE: second}
    return DirectLabelColormap(color_dict={**colours, HATCHED: stripes or second})


def move(layer: Layer, image: Image, frame: Frame | None = None) -> None:
    """Give a layer the place its array has on the image."""
    place = transform_of(image, frame)
    layer.units = place["units"]
    layer.rotate, layer.affine = place["rotate"], place["affine"]
    layer.scale, layer.translate = place["scale"], place["translate"]


def draw_clicks(layer: Points) -> None:
    """Colour and shape clicks by what they mean; napari's colour cycles fail on an empty layer."""
    _, labels = read_clicks(layer)
    if len(labels):
        colours = [GREEN if inside else RED for inside in labels]
        layer.face_color, layer.border_color = colours, colours
        layer.symbol = [INSIDE_SYMBOL if inside else OUTSIDE_SYMBOL for inside in labels]


def read_clicks(layer: Points) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The clicks as (n, 2) level-0 positions and (n,) "is inside"."""
    labels = np.asarray(layer.features["label"].astype(str) != "negative", dtype=bool)
    return np.asarray(layer.data, dtype=float).reshape(-1, 2), labels


def read_boxes(layer: Shapes) -> list[Box]:
    """The bounding boxes of the drawn shapes, level-0 pixels; flat ones are left out.

    A shape's vertices are positions of the plane, so the pixel interval they span is shifted by
    half a pixel to become a half-open box.
    """
    found = []
    for vertices in layer.data:
        (r0, c0), (r1, c1) = np.min(vertices, axis=0) + 0.5, np.max(vertices, axis=0) + 0.5
        if r1 - r0 >= 1 and c1 - c0 >= 1:
            found.append(Box(float(r0), float(c0), float(r1), float(c1)))
    return found


def box_vertices(box: Box) -> NDArray[np.float64]:
    """The (4, 2) corners of a box as a Shapes layer wants them; inverse of `read_boxes`."""
    r0, c0, r1, c1 = (v - 0.5 for v in box)
    return np.array([[r0, c0], [r0, c1], [r1, c1], [r1, c0]])


def read_scribbles(layer: Labels, area: Frame) -> ScribbleMap | None:
    """What was scribbled, or None if nothing was."""
    painted = ScribbleMap(scribbled(layer), area)
    return painted if painted else None


def prompt_of(points: Points, boxes: Shapes, scribbles: Labels, area: Frame) -> Prompt:
    """All three prompt layers as the prompt of one object; the last box counts."""
    clicks, labels = read_clicks(points)
    drawn = read_boxes(boxes)
    return Prompt(
        clicks, labels, drawn[-1] if drawn else None, painted=read_scribbles(scribbles, area)
    )
