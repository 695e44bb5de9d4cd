"""What is unlike normal tissue, in a viewer: the reference that was drawn, and its map."""

from __future__ import annotations

from functools import partial

from psygnal import Signal

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.explore.controller import ExploreController
from histoprompt._qt.explore.layers import bring_all
from histoprompt._qt.explore.squares import Squares
from histoprompt._qt.shell.session import Session
from histoprompt._qt.text.layers import ScoreLayers
from histoprompt.core.errors import ParameterError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap
from histoprompt.pipelines.explore.anomaly.on_slides import UnlikeFound, unlike_cells_on, unlike_on
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams
from histoprompt.pipelines.explore.anomaly.run import AnomalyParams, anomaly_chosen
from histoprompt.pipelines.explore.index import IndexParams

SHOWN, CELLS, _REGIONS = "unlike normal", "unlike_cells", "regions_unlike"


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
        self._cells: Squares | None = None

    def bind(self) -> None:
        """Follow the session to another slide: what was found is shown there too."""
        for shown in (self._maps, self._cells):
            if shown is not None:
                shown.clear()
        image = self._session.slide.image
        viewer = self._session.viewer
        self._maps = None if image is None else ScoreLayers(viewer, image, regions=_REGIONS)
        self._cells = None if image is None else Squares(viewer, image, CELLS)
        if self.found is not None:
            self._show()

    def bring(self, on: bool) -> None:
        """Show the layers of this page, or hide them while another one is in front."""
        bring_all((self._maps, self._cells), on)

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

    def chosen(
        self, indexing: IndexParams, params: UnlikeParams, *, of_cells: bool
    ) -> AnomalyParams:
        """What would be looked for, as parameters that a recipe holds.

        Raises
        ------
        ParameterError
            If counted cells are looked at, which the window keeps.
        RegionError
            If there is no box on the open slide, or all slides of a project are asked: the boxes
            of a recipe lie on the slide that it is run on.
        """
        if of_cells:
            raise ParameterError(
                "The counted cells are kept by the window, and a recipe looks at tiles. Choose "
                "tiles of tissue."
            )
        slide = self._session.slide.slide
        if self._explore.project is not None:
            raise RegionError(
                "Boxes of normal tissue lie on one slide, and a recipe of them is for that slide. "
                "Choose The open slide above."
            )
        here = slide is not None and slide.key == self._key
        return anomaly_chosen(indexing, params, self.boxes if here else ())

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

    def find_cells(self, indexing: IndexParams, params: UnlikeParams) -> None:
        """Look for counted cells of the open slide unlike those of the reference."""
        cells, slide = self._session.part(Counting).cells, self._session.slide.slide
        sources = [
            one for one in self._explore.sources() if slide is not None and one.slide is slide
        ]
        if cells is None or not len(cells) or not sources:
            self._explore.failed.emit("No cells are counted on the open slide. Count some first.")
        elif not self.boxes or self._key != self._explore.key:
            self._explore.failed.emit("Draw a box of normal tissue on the open slide first.")
        else:
            self._explore.batch.run(
                unlike_cells_on, sources[0], cells, (indexing, params), self.boxes,
                self._session.manager,
                title="Looking for cells unlike normal ones", done=self._on_found_cells,
            )  # fmt: skip

    def commit(self) -> None:
        """Keep the regions of the open slide as objects."""
        self._explore.keep(self._scores(), SHOWN, "Nothing was found on the open slide yet.")

    def _scores(self) -> ScoreMap | None:
        slide = self._session.slide.slide
        if self.found is None or slide is None:
            return None
        return self.found.score_map(slide.key, SHOWN)

    def _on_found(self, found: UnlikeFound) -> None:
        self.found, self._explore.study = found, found.study
        self._show()
        self._say()

    def _on_found_cells(self, found: UnlikeFound) -> None:
        self.found = found  # the study of tiles is kept for what else is asked
        self._show()
        self._say()

    def _say(self) -> None:
        if self.found is None:
            return
        hits = self.found.unlike.tiles.many(int(self.found.unlike.hit.sum()))
        self._explore.batch.status.emit(f"{hits} unlike the reference.")

    def _show(self) -> None:
        scores, regions = self._scores(), 0
        if self._cells is not None and self.found is not None:
            self._cells.show(self.found.hit_boxes(self._explore.key))
        if scores is None and self._maps is not None:
            self._maps.clear()
        if scores is not None and self._maps is not None:
            self._maps.show_maps(scores, SHOWN)
            regions = self._maps.show_regions(scores, SHOWN)
        self.answered.emit("" if self.found is None else self.found.told, regions)
