"""Going to a tile, on the slide that is open or on another one, which is opened then."""

from __future__ import annotations

from collections.abc import Callable

from napari.layers import Image

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.camera import fly_to
from histoprompt._qt.reader import layer_data
from histoprompt._qt.shell.session import Session
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.explore.hits import Hit
from histoprompt.pipelines.explore.study import IndexedStudy, StudySlide


class Going:
    """Flies to tiles.

    Parameters
    ----------
    session : Session
    failed : callable
        Told why a slide cannot be opened.
    """

    def __init__(self, session: Session, failed: Callable[[str], object]) -> None:
        self._session, self._failed = session, failed
        self._flying: Hit | None = None

    def go_to(self, study: IndexedStudy, hit: Hit) -> None:
        """Go to a tile of a study."""
        source = study.sources[hit.slide]
        key = study.bank.index.slides[hit.slide].slide
        slide, image = self._session.slide.slide, self._session.slide.image
        if slide is not None and image is not None and slide.key == key:
            fly_to(self._session.viewer, image, hit.box)
            return
        self._flying = hit
        there = self._open_layer(source)
        if there is not None:
            self._session.slide.choose(there)
            self._arrive(there)
            return
        self._session.jobs.submit(
            _open, source, lane="files", key="slide of a hit", title=f"Opening {source.name}",
            on_done=self._on_opened, on_error=self._failed, aside=True,
        )  # fmt: skip

    def _open_layer(self, source: StudySlide) -> Image | None:
        """The layer of a slide that is open already, if it is."""
        for image in self._session.slide.images:
            facts = image.metadata.get("histoprompt", layers.NONE_GIVEN)
            if source.path and str(facts.get("path", "")) == source.path:
                return image
        return None

    def _on_opened(self, slide: Slide) -> None:
        data, arguments, _ = layer_data(slide)
        self._arrive(self._session.viewer.add_image(data, **arguments))

    def _arrive(self, image: Image) -> None:
        hit, self._flying = self._flying, None
        if hit is not None and self._session.slide.image is image:
            fly_to(self._session.viewer, image, hit.box)


def _open(source: StudySlide, *, task: Task) -> Slide:
    return open_slide(source.path, source.mpp)
