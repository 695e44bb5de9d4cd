"""Scenes in a viewer: found over the slides that are asked, shown, named and kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from psygnal import Signal

from histoprompt._qt.explore.controller import ExploreController
from histoprompt._qt.explore.kind_layer import KindLayer
from histoprompt._qt.prompts.annotating import Annotating
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
from histoprompt.pipelines.explore.study import Picture
from histoprompt.pipelines.regions.steps import keep

SCENES, _REGIONS = "scenes", "regions_of_scene"


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
    """

    answered, chosen = Signal(), Signal(int)

    def __init__(self, session: Session, explore: ExploreController) -> None:
        self._session, self._explore = session, explore
        self.found: ScenesFound | None = None
        self.number = -1
        self._layer: KindLayer | None = None
        self._outlines: ScoreLayers | None = None

    def bind(self) -> None:
        """Follow the session to another slide: scenes are shown there too."""
        image = self._session.slide.image
        if self._layer is not None and self._layer.image is image:
            return
        for shown in (self._layer, self._outlines):
            if shown is not None:
                shown.clear()
        self._layer = self._outlines = None
        if image is not None:
            viewer = self._session.viewer
            self._layer = KindLayer(viewer, image, SCENES)
            self._outlines = ScoreLayers(viewer, image, regions=_REGIONS)
            if self.found is not None:
                self._show()

    def bring(self, on: bool) -> None:
        """Show the layers of this page, or hide them while another one is in front."""
        for shown in (self._layer, self._outlines):
            if shown is not None:
                shown.bring(on)

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
        return () if self.found is None else self.found.lines(self._key)

    def typical(self) -> tuple[Picture, ...]:
        """Typical tiles of the chosen scene."""
        return () if self.found is None or self.number < 0 else self.found.typical(self.number)

    def go_to(self, number: int) -> None:
        """Go to a typical tile of the chosen scene."""
        shown = self.typical()
        if self.found is not None and number < len(shown):
            self._explore.go_to(self.found.study, shown[number].hit)

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
        annotator, scores = self._session.part(Annotating).annotator, self._chosen_map()
        if annotator is None or scores is None:
            self._explore.failed.emit("Choose a scene that lies on the open slide first.")
            return
        name = scores.texts[0]
        self._explore.batch.run(
            keep, annotator.store, scores, name,
            title="Committing regions", done=partial(self._explore.kept, name),
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write tables, outlines, maps and a report, with the names of now."""
        if self.found is not None:
            self._explore.batch.run(
                save_found, self.found, folder, title="Saving scenes", done=self._on_saved
            )

    @property
    def _key(self) -> str:
        slide = self._session.slide.slide
        return "" if slide is None else slide.key

    def _chosen_map(self) -> ScoreMap | None:
        """The chosen scene on the open slide, if it is among those that were asked."""
        if self.found is None or self.number < 0:
            return None
        return self.found.score_map(self._key, self.number)

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
        tiles = self.found.label_map(self._key)
        if self._layer is not None and tiles is None:
            self._layer.clear()
        elif self._layer is not None and tiles is not None:
            self._layer.show(tiles, self.lines())
        self.answered.emit()
        self.choose(self.number)
