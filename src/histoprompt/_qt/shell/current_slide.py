"""The slide that all docks of a viewer work on; docks follow it and keep no copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import QTimer

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.camera import show_scale_bar, show_whole
from histoprompt._qt.shell.drawn_area import DrawnArea
from histoprompt._qt.shell.messages import told
from histoprompt.core.errors import HistopromptError
from histoprompt.core.slides.slide import Slide


class CurrentSlide:
    """Which image is worked on, and the slide behind it.

    Parameters
    ----------
    viewer : ViewerModel
    engaged : callable
        Whether a person would lose sight of something if another slide took this one's place.

    Attributes
    ----------
    image : Image or None
        The layer.
    slide : Slide or None
        There is one whenever there is an image.
    reason : str
        Why there is none, where that needs saying.
    changed : Signal
        Another image was chosen, or the chosen one went away.
    measured : Signal
        A person typed its pixel size.
    asked : Signal
        The chosen image was chosen once more: what stopped on it may start again.
    failed : Signal(str)
        What the person should read.
    """

    changed, measured, asked = Signal(), Signal(), Signal()
    failed = Signal(str)

    def __init__(self, viewer: ViewerModel, engaged: Callable[[], bool]) -> None:
        self._viewer, self._engaged = viewer, engaged
        self.image: Image | None = None
        self.slide: Slide | None = None
        self.reason = ""
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        # napari must be done with all that it removes at once before layers come and go anew.
        self._gone = QTimer(singleShot=True, interval=0)
        self._gone.timeout.connect(self._on_gone)

    @property
    def images(self) -> list[Image]:
        """The image layers there are, less those that show a result."""
        found = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        return [layer for layer in found if not layers.is_result(layer)]

    @property
    def trusted(self) -> bool:
        """Whether a person trusts the size that its file claims."""
        return self.image is not None and layers.is_trusted(self.image)

    def choose(self, image: Image | None, reason: str = "") -> None:
        """Work on this image from now on; None lets the present one go.

        `reason` is what the docks say when there is no image any more.
        """
        if image is self.image:
            self.asked.emit()
            return
        self.image, self.slide, self.reason = None, None, reason
        if image is not None:
            try:
                self.slide = layers.slide_of(image)
                self.image = image
            except HistopromptError as error:
                self.reason = told(error)
                self.failed.emit(self.reason)
        if self.image is not None and self.slide is not None:
            layers.show_alone(self._viewer, self.image)
            show_whole(self._viewer, self.image, self.slide.box)
        self.changed.emit()

    def take_lone(self) -> bool:
        """Choose the only image there is, where none is chosen yet; whether that was done.

        Of channels of one slide that is the first, in which nuclei are looked for.
        """
        images = self.images
        if self.image is not None or not images:
            return False
        if not all(layers.same_slide(image, images[0]) for image in images):
            return False
        self.choose(images[0])
        return True

    def set_mpp(self, mpp: float) -> None:
        """Record a pixel size the user typed, in microns."""
        image, slide = self.image, self.slide
        if image is None or slide is None:
            return
        self.slide = layers.type_mpp(image, slide, mpp)
        drawn = DrawnArea(self._viewer, image).layer
        if drawn is not None:
            layers.move(drawn, image)
        self.measured.emit()
        self._viewer.fit_to_view()
        show_scale_bar(self._viewer)

    def close(self) -> None:
        """Look at the layers no more."""
        self._gone.stop()
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self.image, self.slide = None, None

    def _on_inserted(self, event: Any) -> None:
        """Turn to a slide that was opened beside another; all slides lie at the same place.

        Where there is work in hand the docks stay with it, and the new slide waits, hidden, to be
        chosen.
        """
        present, new = self.image, event.value
        if present is None:
            if self.images == [new]:
                self.choose(new)
        elif not layers.is_slide(new) or layers.same_slide(new, present):
            return  # further channels of a slide lie over the one that nuclei are looked for in
        elif self._engaged():
            new.visible = False
            self.failed.emit(
                f"{new.name} is open and hidden, as there is work on {present.name}: choose "
                "it in the row Image to turn to it."
            )
        else:
            self.choose(new)

    def _on_removed(self, event: Any) -> None:
        if event.value is self.image:
            self._gone.start()

    def _on_gone(self) -> None:
        """The image is gone for good, and so may others that were removed with it."""
        image = self.image
        if image is not None and image not in self._viewer.layers:
            self.choose(
                None,
                f"The layer {image.name} was removed, so work on it stopped. What was "
                "committed or counted is safe: open the slide or choose an image to go on.",
            )
