"""The Explore dock: what an encoder sees, put to work. A page per job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
)

from histoprompt._qt.explore.anomaly import UnlikeController
from histoprompt._qt.explore.anomaly_page import NETWORK, TILES, UnlikePage
from histoprompt._qt.explore.classes import ClassesController
from histoprompt._qt.explore.classes_page import ClassesPage
from histoprompt._qt.explore.concepts import ConceptsController
from histoprompt._qt.explore.concepts_page import ConceptsPage
from histoprompt._qt.explore.controller import ExploreController
from histoprompt._qt.explore.layers import Shows
from histoprompt._qt.explore.like_page import LikePage
from histoprompt._qt.explore.scenes import ScenesController
from histoprompt._qt.explore.scenes_page import ScenesPage
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.shell import messages
from histoprompt._qt.shell.drawn_area import DrawnArea
from histoprompt._qt.widgets.base import Dock, row
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.panels import ImagePanel, ModelPanel, narrow_combo
from histoprompt._qt.widgets.work_strip import WorkStrip
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.strings.wording import many
from histoprompt.models import registry
from histoprompt.pipelines.explore.cells import CellIndexParams
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.search import search_chosen
from histoprompt.pipelines.recipes.beside import Needs, placed
from histoprompt.pipelines.recipes.command import CommandPlace
from histoprompt.pipelines.recipes.recipe import RecipeStep

HINT = "Give an example, then press Find."
# In the order of the pages.
_HINTS = (
    HINT,
    "Draw normal tissue, then press Find.",
    "Press Find.",
    "Mark tiles of two classes, then press Learn.",
    "Mark tiles on the page Classes, then press Learn here.",
)
_SCOPES = ("The open slide", "All slides of a project")


class ExploreDock(Dock):
    """Point at an example and find more like it, on this slide or in a whole project.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari.
    """

    def value(self) -> IndexParams:
        """What looks at the tiles, as the rows say."""
        shown = self.options.value()
        return IndexParams(self.models.card.id, self.models.weights, shown.mpp, shown.overlap)

    def set_value(self, params: IndexParams) -> None:
        """Show these values in the rows."""
        self.models.choose(params.encoder, params.weights)
        self.options.set_value(params)

    def index(self) -> None:
        """Look at all tiles of the slides that are asked."""
        if (params := self._params()) is not None:
            self.control.index(params)

    def find(self) -> None:
        """Find what is like the examples."""
        if not self.control.examples.side(True) and not self.like.texts:
            self._say(HINT)
        elif (params := self._params()) is not None:
            self.control.find(params, self.like.options.value(), self.like.texts)

    def use_project(self, folder: Path | None) -> None:
        """Ask all slides of the project in a folder; the open slide alone if None."""
        done = self.control.use_project(folder)
        self._scope.setCurrentIndex(int(done and folder is not None))
        project = self.control.project
        self._which.setVisible(project is not None)
        slides = "" if project is None else f"{project.name}: {many(len(project), 'slide')}"
        self._which.setText(slides)

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self.annotating = self.session.part(Annotating)
        self.control = ExploreController(self.session)
        self.images = ImagePanel(self)
        self._scope, self._which = narrow_combo(), QLabel()
        self._scope.addItems(_SCOPES)
        self._index = QPushButton("Index", toolTip="Look at all tiles now; Find does so by itself")
        self.models = ModelPanel(self.session.jobs, ("encoder", "text"), registry.DEFAULT_TILES)
        self.options = ParameterForm(IndexParams(), skip={"encoder", "weights"})
        self.like, self.pages = LikePage(), QTabWidget()
        self.unlike, self.normal = UnlikePage(), UnlikeController(self.session, self.control)
        self.scenes, self.typing = ScenesPage(), ScenesController(self.session, self.control)
        self.pages.addTab(self.like, "Like")
        self.pages.addTab(self.unlike, "Unlike")
        self.pages.addTab(self.scenes, "Scenes")
        self.teaching = ClassesController(self.session, self.control)
        self.classes = ClassesPage(self.teaching, self._params, self.link, self._on_failed)
        self.pages.addTab(self.classes, "Classes")
        self.deciding = ConceptsController(self.session, self.control)
        self.concepts = ConceptsPage(
            self.deciding, lambda: self.teaching.marks, self._params, self.link, self._on_failed
        )
        self.pages.addTab(self.concepts, "Concepts")
        # in the order of the pages
        self._shows: tuple[Shows, ...] = (
            self.control, self.normal, self.typing, self.teaching, self.deciding
        )  # fmt: skip
        form = QFormLayout()
        form.addRow("Slides", row(self._scope, self._index))
        column = QVBoxLayout(self.content)
        column.addWidget(self.images)
        column.addLayout(form)
        for widget in (self._which, self.models, self.options, self.pages):
            column.addWidget(widget)
        self.report = WorkStrip(HINT, "Tiles that were seen so far are kept")
        self.foot.addWidget(self.report)
        self.offer_recipe(self._steps, self._say, self._command_place)

    def _connect(self) -> None:
        self._scope.activated.connect(self._on_scope)
        self._index.clicked.connect(self._on_index)
        self.models.chosen.connect(self._on_model)
        self.models.refused.connect(self._say)
        self.options.changed.connect(self._on_options)
        self.like.picking.connect(self._on_picking)
        self.like.drawing.connect(self._on_drawing)
        self.like.pictured.connect(self.control.add_picture)
        self.like.removing.connect(self.control.examples.remove)
        self.like.finding.connect(self.find)
        self.like.cut_moved.connect(self.control.set_cut)
        self.like.keeping.connect(self.control.commit)
        self.like.picked.connect(self.control.fly_to)
        self.like.left.connect(self.control.picking.stop)
        self.report.cancelling.connect(self.control.batch.cancel)
        self.pages.currentChanged.connect(self._on_page)
        self._connect_unlike()
        self._connect_scenes()
        control = self.control
        self.link(control.examples.changed, self._on_examples)
        self.link(control.picking_toggled, self.like.show_picking)
        self.link(control.answered, self._on_answered)
        self.link(control.cut_changed, self.like.show_regions)
        self.link(control.failed, self._on_failed)
        self.link(control.batch.status, self._say)
        self.link(control.batch.progress, self.report.show_progress)
        self.link(self.session.steps.told, self._say)
        self.link(self.session.steps.passed, self._on_passed)
        self.link(self.annotating.changed, self._on_slide)
        self.link(self.session.slide.measured, self._on_slide)
        self.link(self.session.failed, self._say)

    def _connect_unlike(self) -> None:
        self.unlike.drawing.connect(self._on_normal)
        self.unlike.forgetting.connect(self.normal.forget)
        self.unlike.finding.connect(self._on_unlike)
        self.unlike.keeping.connect(self.normal.commit)
        self.link(self.normal.changed, self._on_reference)
        self.link(self.normal.answered, self.unlike.show_found)

    def _connect_scenes(self) -> None:
        self.scenes.finding.connect(self._on_scenes)
        self.scenes.chosen.connect(self.typing.choose)
        self.scenes.renaming.connect(self.typing.rename)
        self.scenes.keeping.connect(self.typing.commit)
        self.scenes.saving.connect(self.typing.save)
        self.scenes.picked.connect(self.typing.go_to)
        self.link(self.typing.answered, self._on_typed)
        self.link(self.typing.chosen, self._on_scene)
        self.scenes.map.lassoed.connect(self.typing.show_tiles)
        self.scenes.map.pointed.connect(self.typing.point_at)
        self.scenes.pick.clicked.connect(self.typing.pick)
        self.scenes.left.connect(self.typing.picking.stop)
        self.link(self.typing.marked, self.scenes.map.mark)
        self.link(self.typing.toggled, self.scenes.show_picking)

    def _start(self) -> None:
        self._drawn: Callable[[Box], object] = self._add_like
        self._which.setVisible(False)
        self._on_model()
        self.annotating.start()
        self._on_slide()

    def _steps(self, needs: Needs) -> list[RecipeStep]:
        """What the page in sight would do now; Index where nothing says what to look for."""
        page, above = self.pages.currentWidget(), self.value()
        if page is self.scenes:
            return [RecipeStep("cluster", placed(self.scenes.value(above)))]
        if page is self.unlike:
            of_cells = self.unlike.looks_at.currentData() != TILES
            chosen = self.normal.chosen(above, self.unlike.options.value(), of_cells=of_cells)
            return [RecipeStep("anomaly", placed(chosen))]
        for one, name in ((self.classes, "tiles"), (self.concepts, "concepts")):
            if page is one:
                params = one.file.value()
                params.file()  # what was learnt here has to be saved first
                return [RecipeStep(name, placed(params))]
        words, sides = self.like.texts, self.control.sides()
        if not sides[0] and not words:
            plain = CellIndexParams(above.encoder, above.weights, above.mpp, above.overlap)
            return [RecipeStep("index", placed(plain))]
        here = self.control.here() if self.control.project is None else ""
        found = search_chosen(above, self.like.options.value(), sides, words, here)
        return [RecipeStep("search", placed(found))]

    def _command_place(self) -> CommandPlace | None:
        """The project, where all of its slides are asked."""
        project = self.control.project
        return None if project is None else CommandPlace(str(project.folder.absolute()))

    # -- what happens ------------------------------------------------------------------------

    def _params(self) -> IndexParams | None:
        """What the rows say; None, and the person was told, if it cannot be."""
        try:
            return self.value()
        except HistopromptError as error:
            self._on_failed(messages.told(error))
            return None

    def _on_page(self, number: int) -> None:
        """Show what the page in front has to show, and nothing of the others."""
        for at, shows in enumerate(self._shows):
            shows.bring(at == number)
        if self.report.status.text() in _HINTS:
            self._say(self._hint)

    def _on_slide(self) -> None:
        self.control.bind()
        self.normal.bind()
        self.typing.bind()
        self.teaching.bind()
        self.deciding.bind()
        if self.session.slide.image is None:
            self._say(self.annotating.reason or "Open a slide, or choose an image.")

    def _on_scope(self, index: int) -> None:
        if index == 0:
            self.use_project(None)
            return
        name = QFileDialog.getExistingDirectory(self, "Open a project")
        present = self.control.project
        kept = None if present is None else present.folder
        self.use_project(Path(name) if name else kept)

    def _on_index(self) -> None:
        self.index()

    def _on_model(self) -> None:
        self.like.offer_words(self.models.card.role == "text")

    def _on_options(self) -> None:
        self._say("Find looks at the tiles anew for this.")

    def _on_picking(self, on: bool) -> None:
        params = self._params()
        if not on or params is None:
            self.control.picking.stop()
            return
        self.control.take(self.like.takes, params)
        self.control.pick()

    def _on_drawing(self, like: bool) -> None:
        self._draw(self._add_like if like else self._add_unlike)

    def _on_normal(self) -> None:
        self._draw(self.normal.add)

    def _draw(self, then: Callable[[Box], object]) -> None:
        """Let a rectangle be drawn, and do something with it."""
        image = self.session.slide.image
        if image is None:
            self._say("Open a slide first.")
            return
        self._drawn = then
        DrawnArea(self.viewer, image).draw(self.session.modes, self, self._on_drawn)

    def _on_drawn(self) -> None:
        image, slide = self.session.slide.image, self.session.slide.slide
        if image is None or slide is None:
            return
        area = DrawnArea(self.viewer, image)
        box = area.box(slide.box)
        if box is not None and area.layer is not None:
            area.layer.data = []
            self._drawn(box)

    def _add_like(self, box: Box) -> None:
        self.control.add_box(box, True)

    def _add_unlike(self, box: Box) -> None:
        self.control.add_box(box, False)

    def _on_reference(self) -> None:
        self.unlike.show_reference(self.normal.boxes)

    def _on_unlike(self) -> None:
        params, of = self._params(), self.unlike.looks_at.currentData()
        if params is None:
            return
        if of == TILES:
            self.normal.find(params, self.unlike.options.value())
            return
        if of == NETWORK:
            params = replace(params, encoder=registry.DEFAULT_CELLS, weights=None)
        self.normal.find_cells(params, self.unlike.options.value())

    def _on_scenes(self) -> None:
        try:
            params = self.scenes.value(self.value())
        except HistopromptError as error:
            self._on_failed(messages.told(error))
        else:
            self.typing.find(params)

    def _on_typed(self) -> None:
        found = self.typing.found
        several = found is not None and len(found.study.sources) > 1
        told = "" if found is None else found.told
        self.scenes.show_found(told, self.typing.lines(), several)
        self.scenes.show_map(found)

    def _on_scene(self, regions: int) -> None:
        self.scenes.show_chosen(self.typing.number, regions, self.typing.typical())

    def _on_examples(self) -> None:
        self.like.show_examples(self.control.examples.all)
        self.control.show_examples()
        count = len(self.control.examples.all)
        self._say(f"{count:,} examples." if count > 1 else HINT)

    @property
    def _hint(self) -> str:
        """What to do on the page in front."""
        return _HINTS[self.pages.currentIndex()]

    def _on_answered(self) -> None:
        self.like.show_found(self.control.found)

    def _on_passed(self, text: str) -> None:
        self.report.unsay(text, self._hint)

    def _say(self, text: str) -> None:
        self.report.say(text)
        self.report.set_busy(self.control.batch.active)

    def _on_failed(self, text: str) -> None:
        self._say(text)
        messages.show_error(text)
