"""Classes of tiles in a viewer: taught by clicks, learnt, shown, kept and saved."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from psygnal import Signal

from histoprompt._qt.explore.class_marks import ClassMarks
from histoprompt._qt.explore.controller import ExploreController
from histoprompt._qt.explore.kind_layer import KindLayer
from histoprompt._qt.explore.layers import bring_all
from histoprompt._qt.explore.picking import Picking
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt._qt.text.layers import ScoreLayers
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.explore.building import tile_at
from histoprompt.pipelines.explore.hits import Hit
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.tile_classes.apply import TilesParams
from histoprompt.pipelines.explore.tile_classes.fit import TileTrainParams, save_tiles
from histoprompt.pipelines.explore.tile_classes.marks import (
    MarkedSlide,
    TileMark,
    on_places,
    read_marks,
    write_marks,
)
from histoprompt.pipelines.explore.tile_classes.on_slides import (
    ClassesFound,
    ClassLine,
    class_lines,
    classes_on,
    learn_on,
)

CLASSES, _REGIONS = "tile_classes", "regions_of_class"
_TEXT = "Click tiles of the class; with Control, take a mark away"


class ClassesController:
    """Marks on tiles of the slides that are asked, and the classes that come of them.

    Attributes
    ----------
    marks : tuple of TileMark
        Each names its slide by `Slide.key`.
    found : ClassesFound or None
    name : str
        The class that clicks give, and whose regions are outlined.
    changed : Signal
        There are other marks or classes, or another slide is open.
    toggled : Signal(bool)
        Whether clicks give marks.
    chosen : Signal(int)
        How many regions of the class are outlined on the open slide.
    """

    changed, toggled, chosen = Signal(), Signal(bool), Signal(int)

    def __init__(self, session: Session, explore: ExploreController) -> None:
        self._session, self._explore = session, explore
        self.picking = Picking(session.modes, self._on_picked, self.toggled.emit, _TEXT)
        self.marks: tuple[TileMark, ...] = ()
        self.found: ClassesFound | None = None
        self.name = ""
        self._tiles = IndexParams()
        self._learnt_by: tuple[IndexParams, TileTrainParams] | None = None
        self._alike = False
        self._shown: ClassMarks | None = None
        self._layer: KindLayer | None = None
        self._outlines: ScoreLayers | None = None

    def bind(self) -> None:
        """Follow the session to another slide: marks and classes are shown there too."""
        image = self._session.slide.image
        if self._shown is not None and self._shown.image is image:
            return
        for one in (self._shown, self._layer, self._outlines):
            if one is not None:
                one.clear()
        self._shown = self._layer = self._outlines = None
        if image is not None:
            viewer = self._session.viewer
            self._shown = ClassMarks(viewer, image, self.picking.attach)
            self._layer = KindLayer(viewer, image, CLASSES)
            self._outlines = ScoreLayers(viewer, image, regions=_REGIONS)
            if self.marks or self.found is not None:
                self._show()

    def bring(self, on: bool) -> None:
        """Show the layers of this page, or hide them while another one is in front."""
        bring_all((self._shown, self._layer, self._outlines), on)

    # -- marks -----------------------------------------------------------------------------------

    def mark(self, tiles: IndexParams) -> None:
        """Let clicks on the slide mark tiles as of the class; `tiles` says which there are."""
        if self._shown is None or not self.name:
            why = "Type the name of a class first." if self._shown else "Open a slide first."
            self._explore.failed.emit(why)
            self.toggled.emit(False)
            return
        self._tiles = tiles
        self.picking.begin(self._shown.marks(), self._shown.image)

    def lines(self) -> tuple[ClassLine, ...]:
        """A line per class, with its area on the open slide."""
        return class_lines(self.marks, self.found, self._explore.key)

    def choose(self, name: str) -> None:
        """Choose the class that clicks give; its regions on the open slide are outlined."""
        self.name, regions = name.strip(), 0
        scores = self._chosen_map()
        if scores is not None and self._outlines is not None:
            regions = self._outlines.show_regions(scores, self.name)
        elif self._outlines is not None:
            self._outlines.clear()
        self.chosen.emit(regions)

    def _on_picked(self, row: float, col: float, like: bool) -> None:
        slide = self._session.slide.slide
        if slide is None or not slide.box.contains(row, col):
            return
        try:
            tile = tile_at(slide, self._tiles, row, col)
        except HistopromptError as error:
            self._explore.failed.emit(told(error))
            return
        if tile is None:
            return
        r, c = tile.centre
        place = (r, c, r + 1, c + 1)
        mark = TileMark(slide.key, place, self.name)
        kept = self._but(mark)
        if like:
            self._change((*kept, mark), f"a tile of {self.name}")
        elif kept != self.marks:
            self._change(kept, "a mark taken away")

    def _but(self, mark: TileMark) -> tuple[TileMark, ...]:
        """The marks that lie elsewhere."""
        return tuple(m for m in self.marks if (m.slide, m.box) != (mark.slide, mark.box))

    def _change(self, after: tuple[TileMark, ...], title: str) -> None:
        undo, redo = partial(self._set, self.marks), partial(self._set, after)
        self._session.steps.push(title, undo, redo, self)
        redo()

    def _set(self, marks: tuple[TileMark, ...]) -> bool:
        self.marks = marks
        self._show()
        return True

    # -- classes ---------------------------------------------------------------------------------

    def learn(self, indexing: IndexParams, params: TileTrainParams) -> None:
        """Learn classes from the marks, and give all tiles theirs."""
        sources = self._explore.sources()
        if not sources or not self.marks:
            self._explore.failed.emit("Mark tiles of two classes on the slide first.")
            return
        self._learnt_by = indexing, params
        queue = None if self.found is None else self.found.queue
        like = self.name if self._alike else ""
        self._explore.batch.run(
            partial(learn_on, before=self._explore.study, queue=queue, like=like),
            sources, (indexing, params), self.marks, self._session.manager,
            title="Learning classes of tiles", done=self._on_found,
        )  # fmt: skip

    # -- what is asked ---------------------------------------------------------------------------

    def answer(self, key: str) -> None:
        """Answer what is asked of the offered tile, a, r or u; what that teaches is learnt."""
        queue = None if self.found is None else self.found.queue
        if self.found is None or queue is None or queue.question is None:
            self._explore.batch.status.emit("No tile is offered. Press Learn first.")
            return
        after, mark = queue.answered(key)
        self.found = replace(self.found, queue=after)
        if mark is not None:
            self._change((*self._but(mark), mark), f"a tile of {mark.name}")
        self._learn_again()

    def ask_alike(self, on: bool) -> None:
        """Ask about tiles most like the chosen class, or about the most useful ones."""
        self._alike = on
        self._learn_again()

    def look(self) -> None:
        """Go to the tile that is offered; its slide is opened if another one is open."""
        queue = None if self.found is None else self.found.queue
        if self.found is None or queue is None or queue.question is None:
            return
        asked = queue.question
        place = self.found.study.part_of(asked.slide) or 0
        name = self.found.study.sources[place].name
        hit = Hit(asked.suggestion.id - 1, place, name, asked.box, 1.0, 1)
        self._explore.go_to(self.found.study, hit)

    def _learn_again(self) -> None:
        if self._learnt_by is not None and self.marks and not self._explore.batch.active:
            self.learn(*self._learnt_by)

    # -- marks in a table ------------------------------------------------------------------------

    def save_marks(self, path: Path) -> None:
        """Write the marks as a table that the command line reads."""
        places = {one.key: one.path or one.name for one in self._places()}
        marks = [replace(mark, slide=places.get(mark.slide, mark.slide)) for mark in self.marks]
        try:
            write_marks(path, marks)
        except HistopromptError as error:
            self._explore.failed.emit(told(error))
        else:
            self._explore.batch.status.emit(f"{many(len(marks), 'mark')} saved: {path}.")

    def load_marks(self, path: Path) -> None:
        """Add the marks of a table, as one step that can be taken back."""
        try:
            read, lost = on_places(read_marks(path), self._places(), path.parent, self._explore.key)
        except HistopromptError as error:
            self._explore.failed.emit(told(error))
            return
        left = f" {many(lost, 'mark')} lie on slides that are not asked." if lost else ""
        if not read:
            self._explore.failed.emit(f"No mark of {path.name} can be used.{left}")
            return
        places = {(mark.slide, mark.box) for mark in read}
        kept = tuple(m for m in self.marks if (m.slide, m.box) not in places)
        self.name = self.name or read[0].name
        self._change((*kept, *read), f"{many(len(read), 'mark')} of {path.name}")
        self._explore.batch.status.emit(f"{many(len(read), 'mark')} loaded.{left}")

    def _places(self) -> list[MarkedSlide]:
        """The slides that marks may lie on, as far as their keys are known."""
        slide, project = self._session.slide.slide, self._explore.project
        found = [] if slide is None else [MarkedSlide(slide.key, slide.name, slide.path or "")]
        if project is not None:
            found += [MarkedSlide(one.key, one.id, project.place(one)) for one in project.slides]
        if self._explore.study is not None:
            parts = self._explore.study.bank.index.slides
            found += [MarkedSlide(part.slide, part.name, part.path) for part in parts]
        return found

    # -- classes of a file -----------------------------------------------------------------------

    def classify(self, params: TilesParams) -> None:
        """Give all tiles the classes of a classifier file."""
        sources = self._explore.sources()
        if not sources:
            self._explore.failed.emit("There is no slide to classify. Open one, or a project.")
            return
        self._explore.batch.run(
            partial(classes_on, before=self._explore.study),
            sources, params, self._session.manager,
            title="Classifying tiles", done=self._on_found,
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write what was learnt as a classifier file."""
        if self.found is None or self.found.fit is None:
            self._explore.failed.emit("Nothing was learnt from marks yet. Press Learn first.")
            return
        try:
            save_tiles(path, self.found.fit)
        except HistopromptError as error:
            self._explore.failed.emit(told(error))
        else:
            self._explore.batch.status.emit(f"Classifier saved: {path}.")

    def commit(self) -> None:
        """Keep the regions of the chosen class on the open slide."""
        missing = "Choose a class that was found on the open slide first."
        self._explore.keep(self._chosen_map(), self.name, missing)

    def _on_found(self, found: ClassesFound) -> None:
        self.found, self._explore.study = found, found.study
        if self.name not in found.names:
            self.name = found.names[0]
        self._show()
        self._explore.batch.status.emit(f"{len(found.tiles):,} tiles have their classes.")

    # -- on the slide ----------------------------------------------------------------------------

    def _chosen_map(self) -> ScoreMap | None:
        return None if self.found is None else self.found.score_map(self._explore.key, self.name)

    def _show(self) -> None:
        """Show marks, map and outlines on the open slide."""
        slide, lines = self._session.slide.slide, self.lines()
        if slide is not None and self._shown is not None:
            colours = {line.name: line.colour for line in lines}
            marked = [m for m in self.marks if m.slide == slide.key]
            boxes = [(self._box(slide, m), colours[m.name]) for m in marked]
            self._shown.show_marks([box for box, _ in boxes], [colour for _, colour in boxes])
        order = [line.name for line in lines]
        tiles = None if self.found is None else self.found.label_map(self._explore.key, order)
        if self._layer is not None and tiles is None:
            self._layer.clear()
        elif self._layer is not None and tiles is not None:
            self._layer.show(tiles, lines, unsure=len(lines) + 1)
        self.changed.emit()
        self.choose(self.name)

    def _box(self, slide: Slide, mark: TileMark) -> Box:
        """The tile of a mark, or the box that was marked."""
        r0, c0, r1, c1 = mark.box
        if r1 - r0 > 1 or c1 - c0 > 1:
            return Box(*mark.box)
        return tile_at(slide, self._tiles, *mark.box[:2]) or Box(*mark.box)
