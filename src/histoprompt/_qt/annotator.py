"""From prompts to kept objects, on one image layer: the controller behind the Prompt dock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal

from histoprompt._qt import layers, work_area
from histoprompt._qt.committed import CommittedObjects
from histoprompt._qt.jobs import Jobs
from histoprompt._qt.nuclei import Nuclei
from histoprompt._qt.preview import Preview
from histoprompt._qt.prompt_layers import PromptLayers
from histoprompt._qt.prompt_params import PromptParams
from histoprompt._qt.segmenting import Segmenting
from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Frame
from histoprompt.core.prompt import Prompt
from histoprompt.core.prompt_file import ObjectPrompt
from histoprompt.core.slide import Slide
from histoprompt.core.task import Progress
from histoprompt.models.card import ModelCard
from histoprompt.models.embeddings import EmbeddingCache
from histoprompt.models.manager import ModelManager
from histoprompt.pipelines.segment import ObjectMasks


class Annotator:
    """Prompts, previews, commits and corrections on one image layer.

    Attributes
    ----------
    status : Signal(str)
        What just happened, for the person watching.
    failed : Signal(str)
        What went wrong, in words for the person.
    progress : Signal(Progress)
        How far the running segmentation is.
    changed : Signal
        Prompts, preview or labels changed: buttons may need enabling.
    """

    status = Signal(str)
    failed = Signal(str)
    progress = Signal(Progress)
    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        slide: Slide,
        *,
        jobs: Jobs,
        manager: ModelManager,
        cache: EmbeddingCache,
    ) -> None:
        self.viewer, self.image, self.slide = viewer, image, slide
        self.params = PromptParams()
        self._undone: list[Callable[[], bool]] = []
        self._closed = False
        self.area = work_area.area_for(work_area.view_box(viewer, image), slide.box)
        self.store = LabelStore.open(store_folder(slide.key), slide.shape, slide.key)
        self.committed = CommittedObjects(viewer, image, self.store, self.area)
        self.nuclei = Nuclei(
            viewer, image, slide, jobs=jobs, manager=manager, committed=self.committed
        )
        self.preview = Preview(viewer, image, self.area)
        self.prompts = PromptLayers(viewer, image, self.area)
        self.segmenting = Segmenting(jobs, manager, cache)
        self._connect()

    def _connect(self) -> None:
        self.preview.painted.connect(self.changed.emit)
        self.prompts.changed.connect(self._on_prompts)
        self.prompts.drawing.connect(self._on_drawing)
        self.segmenting.answered.connect(self._on_segmented)
        self.segmenting.sketched.connect(self._on_sketched)
        self.segmenting.failed.connect(self._on_trouble)
        self.segmenting.cancelled.connect(self._on_cancelled)
        self.committed.changed.connect(self._on_labels)
        self.committed.failed.connect(self.failed.emit)
        self.nuclei.failed.connect(self.failed.emit)
        self.nuclei.switched.connect(self.changed.emit)
        for part in (self.segmenting, self.nuclei):
            part.status.connect(self._say)
            part.progress.connect(self._on_progress)

    @property
    def own_layers(self) -> list[Layer]:
        """The layers this annotator made."""
        preview = self.preview.own_layers
        return [self.committed.layer, self.nuclei.layer, *preview, *self.prompts.all]

    # -- model and parameters ----------------------------------------------------------------

    def use(self, card: ModelCard, weights: Path | None = None) -> None:
        """Segment with this model from now on; what is prompted is segmented again."""
        self.segmenting.use(card, weights)
        # A file of both heads serves both models.
        self.nuclei.use(weights if card.weights == self.nuclei.card.weights else None)
        self.segment()

    def set_params(self, params: PromptParams) -> None:
        """Work by these from now on; prompts are segmented again only if they mean others now."""
        before, self.params = self.params, params
        self.nuclei.outline(params.outline)
        if params.each_box != before.each_box:
            self.segment()

    # -- prompts to preview ------------------------------------------------------------------

    def segment(self) -> None:
        """Segment what is prompted, in the background; a newer answer replaces an older one."""
        objects = self._objects()
        if not objects or self.segmenting.card is None:
            self.segmenting.stop()
            self._show([])
            return
        self._show_proposal(objects)
        self.segmenting.ask(self.slide, objects)

    def next_candidate(self) -> None:
        """Show the model's next best mask of the object in hand."""
        if self.preview.candidates > 1:
            self.status.emit(self.preview.next())

    def find_all(self) -> None:
        """Commit all nuclei in the drawn box, or else in view, that are not committed yet."""
        drawn = self.prompts.prompt.box
        region = self.nuclei.in_view() if drawn is None else drawn.intersection(self.slide.box)
        if region is None:
            self.failed.emit("That is not on the slide: bring it into view, then find nuclei.")
            return
        if drawn is not None:
            self.clear()
        where = "in view" if drawn is None else "in the box"
        self.nuclei.fill(region.to_pixels(), where, self.params)

    def cancel(self) -> None:
        """Stop what runs: the segmentation, and the search for nuclei."""
        self.segmenting.stop()
        self.nuclei.cancel()

    # -- labels ------------------------------------------------------------------------------

    def commit(self) -> list[int]:
        """Keep the object in hand, clear the prompts, and go on to the next."""
        masks = self.preview.final_masks(self.slide.box)
        if not masks:
            self.failed.emit("There is no object to commit: click, scribble or box one.")
            return []
        try:
            ids = self.committed.commit(
                masks, self.params.rule, self._info(), self.params.class_name
            )
        except HistopromptError as error:
            self.failed.emit(str(error))
            return []
        self.clear()
        return ids

    def clear(self) -> None:
        """Forget the prompts and the preview; committed objects stay."""
        self.segmenting.stop()
        self.prompts.clear()
        self._show([])
        self.follow_view()

    def undo(self) -> None:
        """Take back the last prompt, or the last edit of labels when nothing is prompted."""
        if self.prompts.undo():
            self._undone.append(self.prompts.redo)
        elif self._guarded(self.committed.undo):
            self._undone.append(partial(self._guarded, self.committed.redo))
        else:
            self.status.emit("There is nothing to undo.")

    def redo(self) -> None:
        """Redo what was undone last."""
        while self._undone:
            if self._undone.pop()():
                return
        # What an earlier session undid can be redone too.
        if not self._guarded(self.committed.redo):
            self.status.emit("There is nothing to redo.")

    def merge(self, ids: Sequence[int]) -> None:
        """Make committed objects one."""
        self._guarded(partial(self.committed.merge, ids))

    def delete(self, ids: Sequence[int]) -> None:
        """Remove committed objects."""
        self._guarded(partial(self.committed.delete, ids))

    # -- view --------------------------------------------------------------------------------

    def follow_view(self) -> None:
        """Move the work area to what is seen, unless prompts are in hand."""
        if self._closed:
            return
        self.nuclei.look()
        if not self.prompts.empty:
            return
        view = work_area.view_box(self.viewer, self.image)
        if work_area.suits(self.area, view, self.slide.box):
            return
        self.move_to(work_area.area_for(view, self.slide.box))

    def move_to(self, area: Frame) -> None:
        """Make another part of the slide editable."""
        self.area = area
        self.committed.show(area)
        self.nuclei.move()
        self.preview.move(area)
        self.prompts.move(area)

    def set_mpp(self, mpp: float) -> None:
        """Record a pixel size the user typed, in microns, and scale the layers by it."""
        self.slide = layers.type_mpp(self.image, self.slide, mpp)
        layers.move(self.committed.layer, self.image, self.area)
        layers.move(self.preview.layer, self.image, self.area)
        self.nuclei.set_slide(self.slide)
        self.prompts.move(self.area)
        self.viewer.fit_to_view()

    def close(self) -> None:
        """Stop work and let the label store go; everything in it is safe on disk."""
        if self._closed:
            return
        self._closed = True
        self.cancel()
        self.committed.layer.editable = False
        self.store.close()

    # -- inner -------------------------------------------------------------------------------

    def _objects(self) -> list[ObjectPrompt]:
        prompt = self.prompts.prompt
        if self.params.each_box and len(self.prompts.drawn_boxes) > 1:
            prompts = [Prompt.of_box(box) for box in self.prompts.drawn_boxes]
        else:
            prompts = [prompt] if prompt.is_positive else []
        return [ObjectPrompt(i + 1, p) for i, p in enumerate(prompts)]

    def _show_proposal(self, objects: list[ObjectPrompt]) -> None:
        """Show the outlined nucleus that was clicked, until the model has answered too."""
        nucleus = self.nuclei.under(objects[0].prompt)
        if nucleus is not None:
            self._show([ObjectMasks(objects[0].id, (nucleus,), objects[0].prompt)])

    def _with_proposal(self, found: list[ObjectMasks]) -> list[ObjectMasks]:
        """Put the outlined nucleus that was clicked before the model's own answers."""
        nucleus = self.nuclei.under(self.prompts.prompt)
        if nucleus is None or len(found) != 1:
            return found
        return [replace(found[0], masks=(nucleus, *found[0].masks))]

    def _on_prompts(self) -> None:
        self.segment()
        self.changed.emit()

    def _on_drawing(self) -> None:
        objects = self._objects()
        if objects and not self._closed:
            self.segmenting.sketch(self.slide, objects)

    def _on_sketched(self, found: list[ObjectMasks]) -> None:
        if not self._closed:
            self.preview.sketch(found)

    def _on_segmented(self, found: list[ObjectMasks]) -> None:
        if self._closed:
            return
        self._show(self._with_proposal(found))
        self.status.emit(self.preview.describe())

    def _on_trouble(self, text: str) -> None:
        # The job has shown the text already; here it stays readable in the dock.
        self._drop_sketch()
        self._say(text)

    def _on_cancelled(self) -> None:
        self._drop_sketch()
        self._say("Cancelled; prompts and labels are as they were.")

    def _drop_sketch(self) -> None:
        """What was shown for half a prompt is no answer to the whole one."""
        if self.preview.is_sketch and not self._closed:
            self._show([])

    def _say(self, text: str) -> None:
        if not self._closed:
            self.status.emit(text)

    def _on_progress(self, progress: Progress) -> None:
        if not self._closed:
            self.progress.emit(progress)

    def _on_labels(self, text: str) -> None:
        self.status.emit(f"{text}. {self.store.count} objects, saved.")
        self.nuclei.refresh()
        self.changed.emit()

    def _guarded(self, edit: Callable[[], object]) -> bool:
        """Run an edit of labels; an error is shown, not raised. False if it did nothing."""
        try:
            return edit() is not False
        except HistopromptError as error:
            self.failed.emit(str(error))
            return True

    def _show(self, found: list[ObjectMasks]) -> None:
        self.preview.show(found)
        self.changed.emit()

    def _info(self) -> dict[str, object]:
        """Provenance of what is committed now."""
        score, card = self.preview.score, self.segmenting.card
        taken = self.nuclei.under(self.prompts.prompt)
        if taken is not None and any(mask is taken for mask in self.preview.masks):
            card = self.nuclei.card
        return {
            "model": card.id if card else "by hand",
            "prompts": sorted(self.prompts.prompt.kinds),
            "score": None if score is None else round(score, 4),
        }
