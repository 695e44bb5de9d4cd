"""What is unlike normal tissue, in a viewer: the reference that was drawn, and its map."""

from __future__ import annotations

from functools import partial

from psygnal import Signal

from histoprompt._qt.explore.controller import ExploreController
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.shell.session import Session
from histoprompt._qt.text.layers import ScoreLayers
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.normal.find import UnlikeParams
from histoprompt.pipelines.explore.normal.on_slides import UnlikeFound, unlike_on
from histoprompt.pipelines.regions.steps import keep

SHOWN = "unlike normal"
_REGIONS = "regions_unlike"


class UnlikeController:
    """Boxes of normal tissue on the open slide, and tiles unlike them on all that are asked.

    Attributes
    ----------
    boxes : tuple of Box
    found : UnlikeFound or None
    changed : Signal
        The reference is another.
    answered : Signal(str, int)
        What came of it, and how many regions there are on the open slide.
    """

    changed, answered = Signal(), Signal(str, int)

    def __init__(self, session: Session, explore: ExploreController) -> None:
        self._session, self._explore = session, explore
        self.boxes: tuple[Box, ...] = ()
        self.found: UnlikeFound | None = None
        self._key = ""
        self._maps: ScoreLayers | None = None

    def bind(self) -> None:
        """Follow the session to another slide: what was found is shown there too."""
        if self._maps is not None:
            self._maps.clear()
        image = self._session.slide.image
        viewer = self._session.viewer
        self._maps = None if image is None else ScoreLayers(viewer, image, regions=_REGIONS)
        if self.found is not None:
            self._show()

    def bring(self, on: bool) -> None:
        """Show the layers of this page, or hide them while another one is in front."""
        if self._maps is not None:
            self._maps.bring(on)

    def add(self, box: Box) -> None:
        """A box on the open slide is normal; boxes of another slide are let go."""
        slide = self._session.slide.slide
        if slide is None:
            return
        self.boxes = (*(self.boxes if slide.key == self._key else ()), box)
        self._key = slide.key
        self.changed.emit()

    def forget(self) -> None:
        """Begin the reference anew."""
        self.boxes = ()
        self.changed.emit()

    def find(self, indexing: IndexParams, params: UnlikeParams) -> None:
        """Look for tiles unlike the reference."""
        sources = self._explore.sources()
        if not self.boxes or not sources:
            self._explore.failed.emit("Draw a box of normal tissue on the open slide first.")
            return
        self._explore.batch.run(
            partial(unlike_on, before=self._explore.study),
            sources, (indexing, params), (self._key, self.boxes), self._session.manager,
            title="Looking for what is unlike normal", done=self._on_found,
        )  # fmt: skip

    def commit(self) -> None:
        """Keep the regions of the open slide as objects."""
        annotator, scores = self._session.part(Annotating).annotator, self._scores()
        if annotator is not None and scores is not None:
            self._explore.batch.run(
                keep, annotator.store, scores, SHOWN,
                title="Committing regions", done=partial(self._explore.kept, SHOWN),
            )  # fmt: skip

    def _scores(self) -> ScoreMap | None:
        slide = self._session.slide.slide
        if self.found is None or slide is None:
            return None
        return self.found.score_map(slide.key, SHOWN)

    def _on_found(self, found: UnlikeFound) -> None:
        self.found, self._explore.study = found, found.study
        self._show()
        hits = many(int(found.unlike.hit.sum()), "tile")
        self._explore.batch.status.emit(f"{hits} unlike the reference.")

    def _show(self) -> None:
        scores, regions = self._scores(), 0
        if scores is not None and self._maps is not None:
            self._maps.show_maps(scores, SHOWN)
            regions = self._maps.show_regions(scores, SHOWN)
        self.answered.emit("" if self.found is None else self.found.told, regions)
