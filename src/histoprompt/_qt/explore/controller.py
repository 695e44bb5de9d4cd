"""More like this in a viewer: the slides that are asked, the question, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from psygnal import Signal

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.explore.examples import GivenExamples, SignedExample
from histoprompt._qt.explore.going import Going
from histoprompt._qt.explore.layers import ExploreLayers, bring_all
from histoprompt._qt.explore.picking import Picking
from histoprompt._qt.layers.work_area import view_box
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.shell.batch import BatchWork
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt._qt.text.layers import ScoreLayers
from histoprompt.annotations.history import Change
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.explore.building import tile_at
from histoprompt.pipelines.explore.cell_places import cell_box
from histoprompt.pipelines.explore.examples import Example
from histoprompt.pipelines.explore.hits import Hit
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.like import LikeParams
from histoprompt.pipelines.explore.study import (
    IndexedStudy,
    QueryResult,
    StudySlide,
    find_like,
    make_study,
)
from histoprompt.pipelines.project.project import Project, open_project
from histoprompt.pipelines.regions.steps import keep as keep_regions

SHOWN, _REGIONS = "like the examples", "regions_like"
_KEPT = "Cancelled. Tiles that were seen are kept, and layers are as they were."
_NO_SLIDE = "Open a slide first: File > Open Sample > histoprompt has one."


class ExploreController:
    """Search by example over the session's slide, or all slides of a project.

    Attributes
    ----------
    examples : GivenExamples
    found : QueryResult or None
        What the last question found.
    project : Project or None
        Whose slides are asked; None for the slide that is open.
    cut : float
        The threshold of regions, a cosine.
    answered : Signal
        There is another answer, or none any more.
    cut_changed : Signal(int)
        Regions were cut anew; how many there are on this slide.
    failed : Signal(str)
    picking_toggled : Signal(bool)
    """

    answered, cut_changed = Signal(), Signal(int)
    failed, picking_toggled = Signal(str), Signal(bool)

    def __init__(self, session: Session) -> None:
        self._session = session
        self.batch = BatchWork(session.jobs, _KEPT)
        self.examples = GivenExamples(session.steps)
        self.picking = Picking(session.modes, self._on_picked, self.picking_toggled.emit)
        self.project: Project | None = None
        self.found: QueryResult | None = None
        self.study: IndexedStudy | None = None
        self.cut = 1.0
        self._takes, self._tiles = "tile", IndexParams()
        self._marks: ExploreLayers | None = None
        self._maps: ScoreLayers | None = None
        self._going = Going(session, self.failed.emit)

    # -- slides ----------------------------------------------------------------------------------

    def bind(self) -> None:
        """Follow the session to another slide: examples and answers are shown there too."""
        image = self._session.slide.image
        if self._marks is not None and self._marks.image is image:
            return
        self._let_go()
        if image is not None:
            viewer = self._session.viewer
            self._marks = ExploreLayers(viewer, image, self.picking.attach)
            self._maps = ScoreLayers(viewer, image, regions=_REGIONS)
            self.show_examples()
            self._show_found()

    def bring(self, on: bool) -> None:
        """Show the layers of this page, or hide them while another one is in front."""
        bring_all((self._marks, self._maps), on)

    def close(self) -> None:
        """The dock is gone: its layers go too."""
        self.picking.stop()
        self._let_go()

    def use_project(self, folder: Path | None) -> bool:
        """Ask all slides of a project, or only the open slide; whether that can be."""
        try:
            self.project = None if folder is None else open_project(folder)
        except HistopromptError as error:
            self.failed.emit(told(error))
            return False
        return True

    def sources(self) -> list[StudySlide]:
        """The slides that are asked."""
        slide = self._session.slide.slide
        if self.project is None:
            return [] if slide is None else [_source(slide, slide.name)]
        found = []
        for one in self.project.slides:
            here = slide is not None and slide.key == one.key
            known = _source(slide, one.id) if here and slide is not None else None
            found.append(known or StudySlide(one.id, self.project.place(one), one.mpp))
        return found

    @property
    def key(self) -> str:
        """The key of the open slide; empty if there is none."""
        slide = self._session.slide.slide
        return "" if slide is None else slide.key

    def here(self) -> str:
        """The name of the open slide among those that are asked; its path if it is none."""
        slide = self._session.slide.slide
        if slide is None:
            return ""
        name = next((s.name for s in self.sources() if s.slide is slide), "")
        return name or slide.path or slide.name

    # -- examples --------------------------------------------------------------------------------

    def sides(self) -> tuple[list[Example], list[Example]]:
        """What is meant and what is not; slides of a project by their paths, for elsewhere."""
        paths = {s.name: s.path for s in self.sources() if s.path} if self.project else {}
        like, unlike = (
            [replace(one, place=paths.get(one.place, one.place)) for one in self.examples.side(yes)]
            for yes in (True, False)
        )
        return like, unlike

    def take(self, what: str, tiles: IndexParams) -> None:
        """What a click takes as an example (tile, object or cell), and what tiles there are."""
        self._takes, self._tiles = what, tiles

    def pick(self) -> None:
        """Let clicks on the slide give examples."""
        if self._marks is None:
            self.failed.emit(_NO_SLIDE)
            self.picking_toggled.emit(False)
            return
        self.picking.begin(self._marks.examples(), self._marks.image)

    def add_box(self, box: Box, like: bool, what: str = "box") -> None:
        """A box of the open slide is an example."""
        self.examples.add(SignedExample(Example(self.here(), box), like, what))

    def add_picture(self, path: Path, like: bool) -> None:
        """A picture is an example."""
        self.examples.add(SignedExample(Example(str(path)), like, "picture"))

    def show_examples(self) -> None:
        """Mark those that lie on the open slide."""
        if self._marks is None:
            return
        here = self.here()
        given = [one for one in self.examples.all if one.example.place in ("", here)]
        shown = [(one.example.box, one.like) for one in given if one.example.box is not None]
        self._marks.show_examples([box for box, _ in shown], [like for _, like in shown])

    def _on_picked(self, row: float, col: float, like: bool) -> None:
        slide = self._session.slide.slide
        if slide is None or not slide.box.contains(row, col):
            return
        at = {"tile": self._tile_at, "object": self._object_at}.get(self._takes, self._cell_at)
        try:
            found = at(slide, row, col)
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        inside = None if found is None else found.to_pixels().intersection(slide.box)
        if inside is None:
            self.failed.emit(f"There is no {self._takes} there. Click one, or take the tile.")
        else:
            self.add_box(inside.to_pixels(), like, self._takes)

    def _tile_at(self, slide: Slide, row: float, col: float) -> Box | None:
        return tile_at(slide, self._tiles, row, col)

    def _object_at(self, _: Slide, row: float, col: float) -> Box | None:
        annotator = self._session.part(Annotating).annotator
        if annotator is None:
            return None
        number = annotator.committed.at(row, col)
        return annotator.store.box_of(number) if number else None

    def _cell_at(self, slide: Slide, row: float, col: float) -> Box | None:
        cells = self._session.part(Counting).cells
        return None if cells is None else cell_box(cells, row, col, slide.mpp)

    # -- asking ----------------------------------------------------------------------------------

    def index(self, params: IndexParams) -> None:
        """Look at all tiles of the slides that are asked."""
        if sources := self._ready():
            self.batch.run(
                make_study, sources, params, self._session.manager,
                title="Indexing", done=self._on_indexed,
            )  # fmt: skip

    def find(self, params: IndexParams, liking: LikeParams, words: tuple[str, ...]) -> None:
        """Find what is like the examples; slides that are not indexed are indexed first."""
        sources = self._ready()
        if not sources:
            return
        image = self._session.slide.image
        first = None if image is None else view_box(self._session.viewer, image)
        question = (self.examples.side(True), self.examples.side(False), words)
        self.batch.run(
            partial(find_like, before=self.study, first=first),
            sources, (params, liking), question, self._session.manager,
            title="Looking for more like this", done=self._on_found,
        )  # fmt: skip

    def _ready(self) -> list[StudySlide]:
        sources = self.sources()
        if not sources:
            self.failed.emit("The project has no slides." if self.project else _NO_SLIDE)
        return sources

    def _on_indexed(self, study: IndexedStudy) -> None:
        self.study = study
        count, slides = many(len(study.bank), "tile"), many(len(study.sources), "slide")
        self.batch.status.emit(" ".join([f"{count} of {slides} indexed.", *study.faults]))

    def _on_found(self, found: QueryResult) -> None:
        self.found, self.study, self.cut = found, found.study, found.cut
        self.answered.emit()
        self._show_found()
        self.batch.status.emit(f"{many(len(found.hits), 'hit')} found.")

    # -- what was found --------------------------------------------------------------------------

    def scores(self, name: str = SHOWN) -> ScoreMap | None:
        """The map of the open slide with its threshold; None if it was not asked."""
        slide = self._session.slide.slide
        if self.found is None or slide is None:
            return None
        return self.found.score_map(slide.key, name, self.cut)

    def set_cut(self, value: float) -> None:
        """Cut regions at another score."""
        self.cut = value
        scores = self.scores()
        if scores is not None and self._maps is not None:
            self.cut_changed.emit(self._maps.show_regions(scores, SHOWN))
            self._show_hits()

    def fly_to(self, number: int) -> None:
        """Go to a hit; its slide is opened if another one is open."""
        if self.found is not None and number < len(self.found.hits):
            self.go_to(self.found.study, self.found.hits[number])

    def go_to(self, study: IndexedStudy, hit: Hit) -> None:
        """Go to a tile of a study; its slide is opened if another one is open."""
        self._going.go_to(study, hit)

    def commit(self, name: str) -> None:
        """Keep the regions of this slide in its label store, of a class of this name."""
        self.keep(self.scores(name), name, "Nothing was found on this slide yet.")

    def keep(self, scores: ScoreMap | None, name: str, missing: str) -> None:
        """Keep the regions of a map of the open slide; `missing` is told where there is none."""
        annotator = self._session.part(Annotating).annotator
        if annotator is None or scores is None:
            self.failed.emit(missing)
            return
        self.batch.run(
            keep_regions, annotator.store, scores, name,
            title="Committing regions", done=partial(self.kept, name), edits=True,
        )  # fmt: skip

    def kept(self, name: str, found: tuple[list[int], Change | None]) -> None:
        """Show regions that were kept, as a step that can be taken back."""
        ids, change = found
        annotator = self._session.part(Annotating).annotator
        count = many(len(ids), "region")
        if annotator is not None:
            annotator.regions.show_change(change, f"Committed {count}")
        self.batch.status.emit(f"{count} committed, of the class {name!r}, saved.")

    def _show_found(self) -> None:
        """Show heat map, regions and hits on the open slide."""
        scores, slide = self.scores(), self._session.slide.slide
        if self._maps is None or self._marks is None or slide is None:
            return
        if scores is None or self.found is None:
            self._maps.clear()
            self._marks.show_hits([])
            return
        self._maps.show_maps(scores, SHOWN)
        self.cut_changed.emit(self._maps.show_regions(scores, SHOWN))
        self._show_hits()

    def _show_hits(self) -> None:
        """Mark the hits on the open slide that reach the threshold."""
        slide = self._session.slide.slide
        if self.found is None or self._marks is None or slide is None:
            return
        place = self.found.study.part_of(slide.key)
        here = [hit for hit in self.found.hits if hit.slide == place and hit.score >= self.cut]
        self._marks.show_hits([hit.box for hit in here])

    def _let_go(self) -> None:
        for shown in (self._marks, self._maps):
            if shown is not None:
                shown.clear()
        self._marks = self._maps = None


def _source(slide: Slide, name: str) -> StudySlide:
    typed = slide.mpp if slide.mpp_source == "typed" else None
    return StudySlide(name, slide.path or "", typed, slide)
