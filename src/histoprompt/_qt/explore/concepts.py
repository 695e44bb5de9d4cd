"""Concepts in a viewer: learnt from marked tiles, asked of a tile by a click, struck out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from napari.layers import Points
from psygnal import Signal

from histoprompt._qt.explore.controller import ExploreController
from histoprompt._qt.explore.kind_layer import KindLayer
from histoprompt._qt.explore.layers import ExploreLayers, bring_all
from histoprompt._qt.explore.picking import Picking
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt.core.errors import HistopromptError
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.concepts.concept_file import write_concepts
from histoprompt.pipelines.explore.concepts.on_slides import (
    ConceptLine,
    ConceptsFound,
    concepts_on,
    learn_concepts,
)
from histoprompt.pipelines.explore.concepts.params import ConceptApplyParams, ConceptParams
from histoprompt.pipelines.explore.study import IndexedStudy, StudySlide
from histoprompt.pipelines.explore.tile_classes.marks import TileMark
from histoprompt.pipelines.text.phrases import known_phrases

CONCEPTS, ASKED = "concept_classes", "asked_tiles"
_TEXT = "Click a tile to see which concept decided"


class _AskedTiles(ExploreLayers):
    """A layer that takes clicks, and shows nothing."""

    def asked(self) -> Points:
        """The layer, made if there is none."""
        layer = self._present(ASKED)
        if layer is None:
            layer = self._add(ASKED)
            self._attach(layer)
        return layer


class ConceptsController:
    """What decides the class of tiles, over the slides that are asked.

    Attributes
    ----------
    found : ConceptsFound or None
    changed : Signal
        Other concepts decide, or another slide is open.
    asked : Signal(str)
        What is told of the tile that was clicked.
    toggled : Signal(bool)
        Whether clicks ask.
    """

    changed, asked, toggled = Signal(), Signal(str), Signal(bool)

    def __init__(self, session: Session, explore: ExploreController) -> None:
        self._session, self._explore = session, explore
        self.picking = Picking(session.modes, self._on_picked, self.toggled.emit, _TEXT)
        self.found: ConceptsFound | None = None
        self._clicked: _AskedTiles | None = None
        self._layer: KindLayer | None = None

    def bind(self) -> None:
        """Follow the session to another slide: what was found is shown there too."""
        image = self._session.slide.image
        if self._layer is not None and self._layer.image is image:
            return
        for one in (self._clicked, self._layer):
            if one is not None:
                one.clear()
        self._clicked = self._layer = None
        if image is not None:
            self._clicked = _AskedTiles(self._session.viewer, image, self.picking.attach)
            self._layer = KindLayer(self._session.viewer, image, CONCEPTS)
            if self.found is not None:
                self._show()

    def bring(self, on: bool) -> None:
        """Show the layers of this page, or hide them while another one is in front."""
        bring_all((self._clicked, self._layer), on)

    def lines(self) -> tuple[ConceptLine, ...]:
        """A line per concept."""
        return () if self.found is None else self.found.lines()

    def learn(self, params: ConceptParams, marks: tuple[TileMark, ...]) -> None:
        """Learn which concepts tell the classes of marks."""
        sources = self._explore.sources()
        if not sources or not marks:
            self._explore.failed.emit("Mark tiles of two classes on the page Classes first.")
            return
        self._explore.batch.run(
            partial(_learnt, before=self._explore.study),
            sources, params, marks, self._session.manager,
            title="Learning concepts", done=self._on_found,
        )  # fmt: skip

    def tell(self, params: ConceptApplyParams) -> None:
        """Tell all tiles by a file of concepts."""
        sources = self._explore.sources()
        if not sources:
            self._explore.failed.emit("There is no slide to tell. Open one, or a project.")
            return
        self._explore.batch.run(
            partial(concepts_on, before=self._explore.study),
            sources, params, self._session.manager,
            title="Telling tiles by concepts", done=self._on_found,
        )  # fmt: skip

    def strike(self, name: str, *, out: bool) -> None:
        """Let a concept decide no more, or decide again; it can be taken back."""
        if self.found is not None:
            title = f"{name} {'struck out' if out else 'let decide again'}"
            self._explore.batch.run(
                _struck, self.found, name, out,
                title="Learning anew", done=partial(self._on_struck, title, self.found),
            )  # fmt: skip

    def ask(self) -> None:
        """Let clicks on tiles ask which concept decided."""
        if self._clicked is None or self.found is None:
            self._explore.failed.emit("Learn concepts first, or apply a file of some.")
            self.toggled.emit(False)
            return
        self.picking.begin(self._clicked.asked(), self._clicked.image)

    def save(self, path: Path) -> None:
        """Write the concepts as a file."""
        if self.found is None:
            self._explore.failed.emit("There are no concepts yet. Press Learn first.")
            return
        try:
            write_concepts(path, self.found.model)
        except HistopromptError as error:
            self._explore.failed.emit(told(error))
        else:
            self._explore.batch.status.emit(f"Concepts saved: {path}.")

    def _on_picked(self, row: float, col: float, _: bool) -> None:
        if self.found is not None:
            self.asked.emit(self.found.at(self._explore.key, row, col))

    def _on_found(self, found: ConceptsFound) -> None:
        self._session.steps.forget(self)
        self._explore.study = found.study
        self._set(found)
        self._explore.batch.status.emit(f"{len(found.tiles.tiles):,} tiles told by concepts.")

    def _on_struck(self, title: str, before: ConceptsFound, found: ConceptsFound) -> None:
        undo, redo = partial(self._set, before), partial(self._set, found)
        self._session.steps.push(title, undo, redo, self)
        redo()
        self._explore.batch.status.emit(f"{title[:1].upper()}{title[1:]}.")

    def _set(self, found: ConceptsFound) -> bool:
        self.found = found
        self._show()
        return True

    def _show(self) -> None:
        if self.found is not None and self._layer is not None:
            tiles, lines = self.found.shown(self._explore.key)
            if tiles is None:
                self._layer.clear()
            else:
                self._layer.show(tiles, lines)
        self.changed.emit()


def _learnt(
    sources: list[StudySlide],
    params: ConceptParams,
    marks: tuple[TileMark, ...],
    manager: ModelManager,
    *,
    before: IndexedStudy | None,
    task: Task,
) -> ConceptsFound:
    phrases, notes = known_phrases(params.phrases, params.encoder, manager, task)
    known = replace(params, phrases=phrases)
    found = learn_concepts(sources, known, marks, manager, before=before, task=task)
    return replace(found, notes=(*notes, *found.notes))


def _struck(found: ConceptsFound, name: str, out: bool, *, task: Task) -> ConceptsFound:
    task.step(0, 0, "Learning anew")
    return found.struck(name, out=out)
