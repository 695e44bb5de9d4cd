"""From prompts to kept objects, on one image layer: the controller behind the Prompt dock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers import work_area
from histoprompt._qt.layers.camera import show_scale_bar
from histoprompt._qt.prompts.committed import CommittedObjects, objects_text
from histoprompt._qt.prompts.corrections import Corrections
from histoprompt._qt.prompts.hand import Hand, Unfinished, Waiting
from histoprompt._qt.prompts.nuclei import Nuclei
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.prompts.preview import Preview, Shown
from histoprompt._qt.prompts.prompt_layers import PromptLayers, Snapshot
from histoprompt._qt.prompts.segmenting import Segmenting
from histoprompt._qt.shell.jobs import Jobs
from histoprompt._qt.shell.messages import many
from histoprompt._qt.shell.undo import Step, UndoStack
from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import Change, LabelStore
from histoprompt.core.errors import HistopromptError, StoreInUseError
from histoprompt.core.geometry import Frame
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Progress
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.prompts.segment import ObjectMasks, continued

HINTS = {
    "click +": "Click inside the object; the right button clicks outside.",
    "click -": "Click what is not part of the object; the right button clicks inside.",
    "scribble +": "Paint inside the object.",
    "scribble -": "Paint what is not part of the object.",
    "box": "Drag a box around the object.",
    "erase": "Paint over what is to be erased from committed objects.",
}


class Annotator:
    """Prompts, previews, commits and corrections on one image layer.

    Attributes
    ----------
    steps : UndoStack
        Where everything a person does here can be taken back.
    status : Signal(str)
        What just happened, for the person watching.
    failed : Signal(str)
        What went wrong, in words for the person.
    progress : Signal(Progress)
        How far the running segmentation is.
    changed : Signal
        Prompts, preview or labels changed: buttons may need enabling.
    notes : list of str
        What the person should know of the labels that were opened.
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
        steps: UndoStack,
    ) -> None:
        self.viewer, self.image, self.slide = viewer, image, slide
        self.params = PromptParams()
        self.steps = steps
        self._waiting: list[Waiting] = []
        self._closed = False
        self.area = work_area.area_for(work_area.view_box(viewer, image), slide.box)
        self.store, self.notes = _labels_of(slide)
        self.committed = CommittedObjects(viewer, image, self.store, self.area)
        self.nuclei = Nuclei(
            viewer, image, slide, jobs=jobs, manager=manager, committed=self.committed
        )
        self.preview = Preview(viewer, image, self.area)
        self.prompts = PromptLayers(viewer, image, self.area)
        self.segmenting = Segmenting(jobs, manager, cache)
        self.corrections = Corrections(viewer, image, self.committed, self.merge, self.delete)
        self._connect()

    def _connect(self) -> None:
        self.preview.painted.connect(self._on_preview_painted)
        self.prompts.edited.connect(self._on_prompts_edited)
        self.prompts.changed.connect(self._on_prompts)
        self.prompts.drawing.connect(self._on_drawing)
        self.segmenting.answered.connect(self._on_segmented)
        self.segmenting.sketched.connect(self._on_sketched)
        self.segmenting.failed.connect(self._on_trouble)
        self.segmenting.cancelled.connect(self._on_cancelled)
        self.committed.changed.connect(self._on_labels)
        self.committed.made.connect(self._on_edit)
        self.committed.failed.connect(self.failed.emit)
        for teller in (self.committed, self.corrections):
            teller.said.connect(self._say)
        self.committed.layer.events.contour.connect(self._on_looks)
        self.committed.layer.events.visible.connect(self._on_looks)
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
        self.committed.paint_with(params.rule, params.class_name)
        if params.outline != before.outline:
            self.nuclei.outline(params.outline)
        if params.each_box != before.each_box:
            self.segment()

    # -- tools ---------------------------------------------------------------------------------

    @property
    def tool(self) -> str:
        """What a click or stroke does: a tool of prompts, "paint", "erase", "merge" or "delete".

        Empty if clicks go elsewhere.
        """
        layer = self.committed.layer
        if self.viewer.layers.selection.active is not layer:
            return self.prompts.tool
        if self.corrections.mode != "off" and layer.mode == "pan_zoom":
            return self.corrections.mode
        return str(layer.mode) if layer.mode in ("paint", "erase") else ""

    def choose(self, tool: str) -> None:
        """Let clicks and strokes do this from now on, and say what to do."""
        if tool in ("merge", "delete"):
            self.corrections.choose("merge" if tool == "merge" else "delete")
            return
        self.corrections.choose("off")
        if tool in ("paint", "erase"):
            layer = self.committed.layer
            self.viewer.layers.selection.active = layer
            layer.mode = tool
        else:
            self.prompts.choose(tool)
        self._say(self.committed.painting if tool == "paint" else HINTS[tool])

    def leave_mode(self) -> None:
        """Merge and delete end when another layer or tool is turned to: no mode stays on unseen."""
        if self.corrections.mode not in ("off", self.tool) and not self.corrections.pressing:
            self.corrections.choose("off")

    # -- prompts to preview ------------------------------------------------------------------

    def segment(self) -> None:
        """Segment what is prompted, in the background; a newer answer replaces an older one."""
        objects = self._objects()
        if not objects or self.segmenting.card is None:
            self.segmenting.stop()
            self._show([])
            return
        asked = continued(objects, self.preview.answers)
        self._show_proposal(objects)
        self.segmenting.ask(self.slide, asked)

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

    @property
    def busy(self) -> bool:
        """Whether there is something to wait for, and to cancel."""
        return self.segmenting.active or self.nuclei.filling or bool(self._waiting)

    def cancel(self) -> None:
        """Stop what runs: the segmentation, commits that wait for theirs, the search for nuclei."""
        if self.busy:
            self._say("Cancelling ...")
        self.segmenting.cancel()
        for waiting in self._waiting:
            waiting.cancel()
        self.nuclei.cancel()

    # -- labels ------------------------------------------------------------------------------

    def commit(self) -> list[int]:
        """Keep the object in hand, clear the prompts, and go on to the next.

        While it is still being segmented the commit waits for the answer, and nothing is kept yet;
        the next object can be prompted meanwhile.
        """
        objects = self._objects()
        if self.segmenting.active and objects and not self._is_proposal(objects):
            self._commit_later(Waiting(self._hand(), tuple(objects), self.params))
            return []
        masks = self.preview.final_masks(self.slide.box)
        if not masks or self.preview.is_sketch:
            self.failed.emit("There is no object to commit: click, scribble or box one.")
            return []
        hand, info, params = self._hand(), self._info(), self.params
        try:
            ids, change = self.committed.commit(masks, params.rule, info, params.class_name)
        except HistopromptError as error:
            self.failed.emit(str(error))
            return []
        self._put(self._nothing())
        self._show_commit(ids, change, hand)
        self.follow_view()
        return ids

    def clear(self) -> None:
        """Forget the prompts and the preview; committed objects stay."""
        hand = self._hand()
        self._put(self._nothing())
        if not hand.empty:
            again = partial(self._put, self._nothing())
            self.steps.push("clearing the prompts", partial(self._put, hand), again, self)
        self._say("Cleared: there is nothing in hand. Point at the next object.")
        self.follow_view()

    def undo(self) -> None:
        """Take back what was done last, whatever dock did it."""
        self.steps.undo()

    def redo(self) -> None:
        """Do again what was taken back last."""
        self.steps.redo()

    def merge(self, ids: Sequence[int]) -> None:
        """Make committed objects one."""
        self._guarded(partial(self.committed.merge, ids))

    def delete(self, ids: Sequence[int]) -> None:
        """Remove committed objects."""
        self._guarded(partial(self.committed.delete, ids))

    def hide(self) -> None:
        """Hide the committed objects, or show them again."""
        layer = self.committed.layer
        layer.visible = not layer.visible
        self._say(
            "Committed objects are " + ("shown." if layer.visible else "hidden: H shows them.")
        )

    def toggle_outlines(self) -> None:
        """Show committed objects as outlines, or filled."""
        self.committed.outline(not self.committed.outlined)

    # -- what is in hand ---------------------------------------------------------------------

    @property
    def unfinished(self) -> Unfinished | None:
        """What would be lost with the slide: prompts in hand, and commits that wait."""
        kept = Unfinished(self._hand(), tuple(self._waiting))
        return None if kept.hand.empty and not kept.waiting else kept

    def take_up(self, unfinished: Unfinished) -> None:
        """Go on where work on this slide was left."""
        for waiting in unfinished.waiting:
            self._commit_later(replace(waiting, job=None))
        self._put(unfinished.hand)
        self._say(f"{unfinished.text} back in hand.")

    def undo_earlier(self) -> Step | None:
        """Take back an edit of labels that is older than this session's steps."""
        change = self.committed.undo_earlier()
        return None if change is None else self._earlier_step(change)

    def redo_earlier(self) -> Step | None:
        """Do again an edit of labels that was taken back in an earlier session."""
        change = self.committed.redo_earlier()
        return None if change is None else self._earlier_step(change)

    def _earlier_step(self, change: Change) -> Step:
        undo = partial(self.committed.undo, change.edit)
        redo = partial(self.committed.redo, change.edit)
        return Step(f"an edit of an earlier session ({change.op})", undo, redo, self)

    # -- view --------------------------------------------------------------------------------

    def follow_view(self) -> None:
        """Move the work area to what is seen; while prompts are in hand, the objects' alone.

        Scribbles and the mask in hand are arrays of the area they were made in.
        """
        if self._closed:
            return
        self.nuclei.look()
        view = work_area.view_box(self.viewer, self.image)
        shown = self.area if self.prompts.empty else self.committed.area
        if not work_area.suits(shown, view, self.slide.box):
            shown = work_area.area_for(view, self.slide.box)
        if self.prompts.empty and self.area != shown:
            self.move_to(shown)
        elif self.committed.area != shown:
            self.committed.show(shown)
            self.nuclei.move()

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
        layers.move(self.committed.layer, self.image, self.committed.area)
        layers.move(self.preview.layer, self.image, self.area)
        self.nuclei.set_slide(self.slide)
        self.prompts.move(self.area)
        self.viewer.fit_to_view()
        show_scale_bar(self.viewer)

    def close(self) -> None:
        """Stop work and let the label store go; everything in it is safe on disk."""
        if self._closed:
            return
        self._closed = True
        self.steps.forget(self)
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

    def _hand(self) -> Hand:
        return Hand(self.prompts.snapshot(), self.preview.state)

    def _nothing(self) -> Hand:
        return Hand(self.prompts.nothing(), Shown())

    def _put(self, hand: Hand) -> None:
        """Take up what was in hand once, or nothing; the work area goes where it was."""
        self.segmenting.stop()
        if not hand.empty and hand.prompts.area != self.area:
            self.prompts.clear()
            self.move_to(hand.prompts.area)
        self.prompts.put(hand.prompts if not hand.empty else self.prompts.nothing())
        self.preview.put(hand.shown)
        if not hand.prompts.empty and hand.shown.empty:
            self.segment()
        self.changed.emit()

    def _put_prompts(self, prompts: Snapshot) -> None:
        """Go to other prompts of the object in hand, and segment them."""
        self._put(Hand(prompts, Shown()))

    def _is_proposal(self, objects: list[ObjectPrompt]) -> bool:
        """Whether what is shown is an outlined nucleus, which no answer takes the place of."""
        return self.preview.shown and self.nuclei.under(objects[0].prompt) is not None

    def _commit_later(self, waiting: Waiting) -> None:
        """Commit once the objects are segmented; what is in hand is free for the next one."""
        self._put(self._nothing())
        count = many(len(waiting.objects), "object")
        title = f"the commit of {count}, which waited"
        withdraw = partial(self._withdraw, waiting)
        waiting.step = self.steps.push(title, withdraw, partial(self._commit_later, waiting), self)
        waiting.job = self.segmenting.ask_apart(
            self.slide,
            list(waiting.objects),
            partial(self._on_waited, waiting),
            partial(self._on_not_waited, waiting),
            partial(self._on_not_waited, waiting, "Cancelled"),
        )
        self._waiting.append(waiting)
        self._say(f"Commit waits for the segmentation of {count} ...")

    def _on_waited(self, waiting: Waiting, found: list[ObjectMasks]) -> None:
        if self._closed or not self._settle(waiting):
            return
        shown = Hand(waiting.hand.prompts, Shown(tuple(found)))
        masks = [item.masks[0] for item in found if not item.masks[0].empty]
        if not masks:
            self._on_left(waiting, "Nothing was found there")
            return
        info = _facts(self.segmenting.card, masks, waiting.hand.prompts)
        params = waiting.params
        try:
            ids, change = self.committed.commit(masks, params.rule, info, params.class_name)
        except HistopromptError as error:
            self._on_left(waiting, str(error))
            return
        self._show_commit(ids, change, shown)

    def _on_not_waited(self, waiting: Waiting, text: str) -> None:
        if not self._closed and self._settle(waiting):
            self._on_left(waiting, text)

    def _settle(self, waiting: Waiting) -> bool:
        """A commit waits no more; False if it was withdrawn before."""
        if waiting not in self._waiting:
            return False
        self._waiting.remove(waiting)
        if waiting.step is not None:
            self.steps.drop(waiting.step)
        return True

    def _on_left(self, waiting: Waiting, why: str) -> None:
        """A commit that waited came to nothing: its prompts come back as soon as hands are free."""
        why = why.rstrip(".")
        if self._hand().empty:
            self._put(replace(waiting.hand, shown=Shown()))
            self.segmenting.stop()
            self._say(f"{why}. Nothing was committed; the prompts are as they were.")
            return
        present = self._hand()
        take, leave = partial(self._put, waiting.hand), partial(self._put, present)
        self.steps.push("prompts that were not committed", take, leave, self)
        self._say(f"{why}. Nothing was committed; Undo brings those prompts back.")

    def _withdraw(self, waiting: Waiting) -> bool:
        """Take back a commit that has not happened yet."""
        if waiting not in self._waiting:
            return False
        self._waiting.remove(waiting)
        waiting.cancel()
        self._put(waiting.hand)
        return True

    def _show_commit(self, ids: list[int], change: Change, hand: Hand) -> None:
        """Show what was committed; taking it back brings its prompts back."""
        text = f"committed {objects_text(ids)}"
        undo = partial(self._undo_commit, change.edit, hand)
        self.steps.push(text, undo, partial(self._redo_commit, change.edit), self)
        self.committed.show_change(change, f"C{text[1:]}", step=False)

    def _undo_commit(self, edit: int, hand: Hand) -> bool:
        if not self.committed.undo(edit):
            return False
        if self._hand().empty:
            self._put(hand)
        return True

    def _redo_commit(self, edit: int) -> bool:
        if not self.committed.redo(edit):
            return False
        self._put(self._nothing())
        return True

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

    def _on_prompts_edited(self, what: str, before: Snapshot, after: Snapshot) -> None:
        undo, redo = partial(self._put_prompts, before), partial(self._put_prompts, after)
        self.steps.push(what, undo, redo, self)

    def _on_preview_painted(self, before: Shown, after: Shown) -> None:
        prompts = self.prompts.snapshot()
        undo, redo = (partial(self._put, Hand(prompts, shown)) for shown in (before, after))
        self.steps.push("painting of the object in hand", undo, redo, self)
        self.changed.emit()

    def _on_edit(self, change: Change, what: str) -> None:
        if self._closed:  # the edit is in the store, and can be taken back when it is opened again
            return
        undo = partial(self.committed.undo, change.edit)
        self.steps.push(what, undo, partial(self.committed.redo, change.edit), self)

    def _on_looks(self, _: object) -> None:
        self.changed.emit()

    def _on_prompts(self) -> None:
        self.segment()
        if not self._objects() and not self.prompts.empty:
            self._say("Only what lies outside is marked: point inside the object too.")
        self.changed.emit()

    def _on_drawing(self) -> None:
        objects = self._objects()
        if objects and not self._closed:
            self.segmenting.sketch(self.slide, continued(objects, self.preview.answers))

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
        self._say("Cancelled: nothing was segmented; prompts and labels are as they were.")

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
        if text:  # what undo and redo do is told by the stack
            self.status.emit(f"{text}. {many(self.store.count, 'object')}, saved.")
        self.nuclei.refresh()
        self.changed.emit()

    def _guarded(self, edit: Callable[[], object]) -> None:
        """Run an edit of labels; an error is shown, not raised."""
        try:
            edit()
        except HistopromptError as error:
            self.failed.emit(str(error))

    def _show(self, found: list[ObjectMasks]) -> None:
        self.preview.show(found)
        self.changed.emit()

    def _info(self) -> dict[str, object]:
        """Provenance of what is committed now."""
        taken = self.nuclei.under(self.prompts.prompt)
        by_outline = taken is not None and any(mask is taken for mask in self.preview.masks)
        card = self.nuclei.card if by_outline else self.segmenting.card
        return _facts(card, self.preview.masks, self.prompts.snapshot())


def _facts(card: ModelCard | None, masks: Sequence[Mask], prompts: Snapshot) -> dict[str, object]:
    """Provenance of masks that a model made of prompts."""
    scores = [mask.score for mask in masks if mask.score is not None]
    return {
        "model": card.id if card else "by hand",
        "prompts": sorted(prompts.kinds),
        "score": round(sum(scores) / len(scores), 4) if scores else None,
    }


def _labels_of(slide: Slide) -> tuple[LabelStore, list[str]]:
    """The labels of a slide, and what a person should know of them.

    Where another window has them they are opened to look at, as they are at this moment.
    """
    folder = store_folder(slide.key)
    try:
        store = LabelStore.open(folder, slide.shape, slide.key)
    except StoreInUseError as error:
        store = LabelStore.open(folder, slide.shape, slide.key, read_only=True)
        return store, [
            f"These labels are being edited in another window ({error.who}), so they can only be "
            "looked at here, as they are now. To edit them, close them there and choose the "
            "image again."
        ]
    return store, list(store.notes)
