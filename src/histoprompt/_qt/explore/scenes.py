"""Scenes in a viewer: found over the slides that are asked, shown, named and kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from histoprompt._qt.explore.controller import ExploreController
from histoprompt._qt.explore.kind_layer import KindLayer
from histoprompt._qt.explore.layers import bring_all
from histoprompt._qt.explore.picking import Picking
from histoprompt._qt.explore.squares import Squares
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt._qt.text.layers import ScoreLayers
from histoprompt.core.errors import HistopromptError
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.explore.scenes.find import ClusterParams
from histoprompt.pipelines.explore.scenes.on_slides import (
    SceneLine,
    ScenesFound,
    save_found,
    scenes_on,
)
from histoprompt.pipelines.explore.study import HitPicture

SCENES, TILES, _REGIONS = "scenes", "map_tiles", "regions_of_scene"
_TEXT = "Click a tile to see its dot on the map"


class ScenesController:
    """Kinds of tissue on all slides that are asked, as a layer of the open one.

    Attributes
    ----------
    found : ScenesFound or None
    number : int
        The scene that is chosen, from 0; -1 for none.
    answered : Signal
        There are other scenes, they have other names, or another slide is open.
    chosen : Signal(int)
        How many regions of the chosen scene are outlined on the open slide.
    marked : Signal(int)
        A tile was chosen on the slide: its row on the map, -1 for none.
    toggled : Signal(bool)
        Whether clicks on the slide choose tiles.
    """

    answered, chosen = Signal(), Signal(int)
    marked, toggled = Signal(int), Signal(bool)

    def __init__(self, session: Session, explore: ExploreController) -> None:
        self._session, self._explore = session, explore
        self.found: ScenesFound | None = None
        self.number = -1
        self._layer: KindLayer | None = None
        self._outlines: ScoreLayers | None = None
        self._squares: Squares | None = None
        self.picking = Picking(session.modes, self._on_picked, self.toggled.emit, _TEXT)

    def bind(self) -> None:
        """Follow the session to another slide: scenes are shown there too."""
        image = self._session.slide.image
        if self._layer is not None and self._layer.image is image:
            return
        for shown in (self._layer, self._outlines, self._squares):
            if shown is not None:
                shown.clear()
        self._layer = self._outlines = self._squares = None
        if image is not None:
            viewer = self._session.viewer
            self._layer = KindLayer(viewer, image, SCENES)
            self._outlines = ScoreLayers(viewer, image, regions=_REGIONS)
            self._squares = Squares(viewer, image, TILES, self.picking.attach)
            if self.found is not None:
                self._show()

    def bring(self, on: bool) -> None:
        """Show the layers of this page, or hide them while another one is in front."""
        bring_all((self._layer, self._outlines, self._squares), on)

    def find(self, params: ClusterParams) -> None:
        """Bring the tiles of the slides that are asked into scenes."""
        sources = self._explore.sources()
        if not sources:
            self._explore.failed.emit(
                "There is no slide to find scenes on. Open one, or a project."
            )
            return
        self._explore.batch.run(
            partial(scenes_on, before=self._explore.study),
            sources, params, self._session.manager,
            title="Looking for scenes", done=self._on_found,
        )  # fmt: skip

    def lines(self) -> tuple[SceneLine, ...]:
        """A line per scene, with its area on the open slide."""
        return () if self.found is None else self.found.lines(self._explore.key)

    def typical(self) -> tuple[HitPicture, ...]:
        """Typical tiles of the chosen scene."""
        return () if self.found is None or self.number < 0 else self.found.typical(self.number)

    def go_to(self, number: int) -> None:
        """Go to a typical tile of the chosen scene."""
        shown = self.typical()
        if self.found is not None and number < len(shown):
            self._explore.go_to(self.found.study, shown[number].hit)

    # -- the map ---------------------------------------------------------------------------------

    def show_tiles(self, rows: NDArray[np.intp]) -> None:
        """Show tiles that were chosen on the map on the open slide."""
        if self.found is None or self._squares is None:
            return
        boxes = self.found.boxes(self._explore.key, rows)
        self._squares.show(boxes)
        here = "" if len(boxes) == len(rows) else f", {len(boxes)} of them on the open slide"
        self._explore.batch.status.emit(f"{many(len(rows), 'tile')} chosen on the map{here}.")

    def point_at(self, row: int) -> None:
        """Go to a tile of the map; its slide is opened if another one is open."""
        if self.found is not None and 0 <= row < len(self.found.scenes.tiles):
            hit = self.found.hit(row)
            self._explore.go_to(self.found.study, hit)
            if self._squares is not None:
                self._squares.show(self.found.boxes(self._explore.key, np.array([row])))

    def pick(self, on: bool) -> None:
        """Let clicks on the slide choose tiles, whose dots are marked on the map."""
        if not on or self._squares is None:
            self.picking.stop()
            self.toggled.emit(False)
            return
        self.picking.begin(self._squares.taking_clicks(), self._squares.image)

    def _on_picked(self, row: float, col: float, _: bool) -> None:
        if self.found is None or self._squares is None:
            return
        tile = self.found.tile_at(self._explore.key, row, col)
        rows = np.array([tile] if tile >= 0 else [], np.intp)
        self._squares.show(self.found.boxes(self._explore.key, rows))
        self.marked.emit(tile)
        if tile >= 0:
            self.choose(int(self.found.scenes.code[tile]))

    # -- one scene -------------------------------------------------------------------------------

    def choose(self, number: int) -> None:
        """Choose a scene: its regions on the open slide are outlined."""
        self.number, regions = number, 0
        scores = self._chosen_map()
        if scores is not None and self._outlines is not None:
            regions = self._outlines.show_regions(scores, scores.texts[0])
        elif self._outlines is not None:
            self._outlines.clear()
        self.chosen.emit(regions)

    def rename(self, name: str) -> None:
        """Give the chosen scene another name, as a step that can be taken back."""
        if self.found is None or self.number < 0:
            return
        before, name = self.found.scenes.names[self.number].name, name.strip()
        if name == before:
            return
        undo, redo = (partial(self._name, self.number, one) for one in (before, name))
        try:
            redo()
        except HistopromptError as error:
            self._explore.failed.emit(told(error))
            return
        self._session.steps.push(f"scene {before!r} named {name!r}", undo, redo, self)

    def commit(self) -> None:
        """Keep the regions of the chosen scene on the open slide, of a class of its name."""
        scores = self._chosen_map()
        name = "" if scores is None else scores.texts[0]
        self._explore.keep(scores, name, "Choose a scene that lies on the open slide first.")

    def save(self, folder: Path) -> None:
        """Write tables, outlines, maps and a report, with the names of now."""
        if self.found is not None:
            self._explore.batch.run(
                save_found, self.found, folder, title="Saving scenes", done=self._on_saved
            )

    def _chosen_map(self) -> ScoreMap | None:
        """The chosen scene on the open slide, if it is among those that were asked."""
        if self.found is None or self.number < 0:
            return None
        return self.found.score_map(self._explore.key, self.number)

    def _name(self, number: int, name: str) -> bool:
        if self.found is None:
            return False
        self.found = self.found.renamed(number, name)
        self._show()
        return True

    def _on_found(self, found: ScenesFound) -> None:
        self._session.steps.forget(self)
        self.found, self._explore.study = found, found.study
        self.number = 0 if len(found) else -1
        self._show()
        self._explore.batch.status.emit(f"{many(len(found), 'scene')} found.")

    def _on_saved(self, folder: Path) -> None:
        self._explore.batch.status.emit(f"Scenes saved in {folder}.")

    def _show(self) -> None:
        if self.found is None:
            return
        tiles = self.found.label_map(self._explore.key)
        if self._layer is not None and tiles is None:
            self._layer.clear()
        elif self._layer is not None and tiles is not None:
            self._layer.show(tiles, self.lines())
        self.answered.emit()
        self.choose(self.number)
