"""From prompts to kept objects, on one image layer: the controller behind the Prompt dock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal

from histoprompt._qt import layers, work_area
from histoprompt._qt.committed import CommittedObjects
from histoprompt._qt.jobs import Job, Jobs
from histoprompt._qt.preview import Preview
from histoprompt._qt.prompt_layers import PromptLayers
from histoprompt.annotations.history import Change
from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Frame
from histoprompt.core.prompt import Prompt
from histoprompt.core.prompt_file import ObjectPrompt
from histoprompt.core.slide import Slide
from histoprompt.core.task import Progress
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.embeddings import EmbeddingCache
from histoprompt.models.manager import ModelManager
from histoprompt.pipelines.fill import fill_store
from histoprompt.pipelines.segment import ObjectMasks, SegmentJob, segment

SEGMENTING, FINDING = "segmenting", "finding"
# The model that finds all nuclei.
CELLS = "histoprompt-cells"


@dataclass(frozen=True)
class PromptParams:
    """What the Prompt dock asks for.

    Attributes
    ----------
    rule : "keep" or "overwrite"
        Who gets pixels that two objects claim.
    each_box : bool
        Every box is an object of its own.
    class_name : str
        Class given to committed objects; empty for none.
    """

    rule: Annotated[Literal["keep", "overwrite"], {"label": "Overlap"}] = "keep"
    each_box: Annotated[bool, {"label": "Each box is an object"}] = False
    class_name: Annotated[str, {"label": "Class"}] = ""


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
        self._jobs, self._manager, self._cache = jobs, manager, cache
        self._job: SegmentJob | None = None
        self._running: Job | None = None
        self._finding: Job | None = None
        self._undone: list[Callable[[], bool]] = []
        self._closed = False
        self.area = work_area.area_for(work_area.view_box(viewer, image), slide.box)
        self.store = LabelStore.open(store_folder(slide.key), slide.shape, slide.key)
        self.committed = CommittedObjects(viewer, image, self.store, self.area)
        self.preview = Preview(viewer, image, self.area)
        self.prompts = PromptLayers(viewer, image, self.area)
        self.preview.painted.connect(self.changed.emit)
        self.prompts.changed.connect(self._on_prompts)
        self.committed.changed.connect(self._on_labels)
        self.committed.failed.connect(self.failed.emit)

    @property
    def own_layers(self) -> list[Layer]:
        """The layers this annotator made."""
        return [self.committed.layer, *self.preview.own_layers, *self.prompts.all]

    # -- model -------------------------------------------------------------------------------

    @property
    def card(self) -> ModelCard | None:
        """The model in use."""
        return None if self._job is None else self._job.card

    def use(self, card: ModelCard, weights: Path | None = None) -> None:
        """Segment with this model from now on; what is prompted is segmented again."""
        self._job = SegmentJob(self._manager, self._cache, card, weights)
        self.segment()

    # -- prompts to preview ------------------------------------------------------------------

    def segment(self) -> None:
        """Segment what is prompted, in the background; a newer answer replaces an older one."""
        objects = self._objects()
        if not objects or self._job is None:
            self._stop_segmenting()
            self._show([])
            return
        self.status.emit(f"Segmenting with {self._job.card.title} ...")
        self._running = self._jobs.submit(
            segment,
            self.slide,
            objects,
            self._job,
            lane="interactive",
            key=SEGMENTING,
            title="Segmenting",
            on_done=self._on_segmented,
            on_error=self._on_trouble,
            on_cancel=self._on_cancelled,
            on_progress=self._on_progress,
        )

    def next_candidate(self) -> None:
        """Show the model's next best mask of the object in hand."""
        if self.preview.candidates > 1:
            self.status.emit(self.preview.next())

    def find_all(self) -> None:
        """Commit all nuclei in view that are not committed yet, in the background."""
        view = work_area.view_box(self.viewer, self.image).intersection(self.slide.box)
        if view is None:
            self.failed.emit("The slide is out of view: bring it back, then find nuclei.")
            return
        self.status.emit("Finding all nuclei in view ...")
        self._finding = self._jobs.submit(
            partial(fill_store, card=registry.card(CELLS), manager=self._manager),
            self.slide,
            view.to_pixels(),
            self.store,
            lane="batch",
            key=FINDING,
            title="Finding nuclei",
            on_done=self._on_found,
            on_error=self._on_trouble,
            on_cancel=self._on_cancelled,
            on_progress=self._on_progress,
        )

    def cancel(self) -> None:
        """Stop what runs: the segmentation, and the search for nuclei."""
        self._stop_segmenting()
        if self._finding is not None:
            self._finding.cancel()

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
        self._stop_segmenting()
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
        if self._closed or not self.prompts.empty:
            return
        view = work_area.view_box(self.viewer, self.image)
        if work_area.suits(self.area, view, self.slide.box):
            return
        self.move_to(work_area.area_for(view, self.slide.box))

    def move_to(self, area: Frame) -> None:
        """Make another part of the slide editable."""
        self.area = area
        self.committed.show(area)
        self.preview.move(area)
        self.prompts.move(area)

    def set_mpp(self, mpp: float) -> None:
        """Record a pixel size the user typed, in microns, and scale the layers by it."""
        self.slide = layers.type_mpp(self.image, self.slide, mpp)
        layers.move(self.committed.layer, self.image, self.area)
        layers.move(self.preview.layer, self.image, self.area)
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

    def _stop_segmenting(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _on_prompts(self) -> None:
        self.segment()
        self.changed.emit()

    def _on_segmented(self, found: list[ObjectMasks]) -> None:
        if self._closed:
            return
        self._show(found)
        notes = sorted({item.note for item in found if item.note})
        empty = sum(item.masks[0].empty for item in found)
        if empty:
            notes.append(f"{empty} of {len(found)} objects came out empty")
        score = self.preview.score
        estimate = "" if score is None else f" (the model expects IoU {score:.2f})"
        self.status.emit(" ".join([f"Press C to commit{estimate}.", *notes]))

    def _on_found(self, found: tuple[int, Change | None]) -> None:
        if not self._closed:
            count, change = found
            self.committed.show_change(change, f"Found {count} new nuclei in view")

    def _on_trouble(self, text: str) -> None:
        # The job has shown the text already; here it stays readable in the dock.
        if not self._closed:
            self.status.emit(text)

    def _on_cancelled(self) -> None:
        if not self._closed:
            self.status.emit("Cancelled; prompts and labels are as they were.")

    def _on_progress(self, progress: Progress) -> None:
        if not self._closed:
            self.progress.emit(progress)

    def _on_labels(self, text: str) -> None:
        self.status.emit(f"{text}. {self.store.count} objects, saved.")
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
        score = self.preview.score
        return {
            "model": self.card.id if self.card else "by hand",
            "prompts": sorted(self.prompts.prompt.kinds),
            "score": None if score is None else round(score, 4),
        }
