"""From prompts to kept objects, on one image layer: the controller behind the Prompt dock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray
from psygnal import Signal

from histoprompt._qt.layers import work_area
from histoprompt._qt.layers.shape_regions import chosen_regions
from histoprompt._qt.prompts.commits import Commits
from histoprompt._qt.prompts.committed import CommittedObjects
from histoprompt._qt.prompts.corrections import Corrections
from histoprompt._qt.prompts.drawing import Drawing
from histoprompt._qt.prompts.earlier import EarlierEdits
from histoprompt._qt.prompts.following import Following
from histoprompt._qt.prompts.freehand import Freehand
from histoprompt._qt.prompts.halving import Halving
from histoprompt._qt.prompts.hand import Unfinished
from histoprompt._qt.prompts.in_hand import InHand
from histoprompt._qt.prompts.nuclei import Nuclei
from histoprompt._qt.prompts.object_edits import ObjectEdits
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.prompts.preview import MaskPreview
from histoprompt._qt.prompts.prompt_layers import PromptLayers
from histoprompt._qt.prompts.retaking import Retaking
from histoprompt._qt.prompts.segmenting import Segmenting
from histoprompt._qt.prompts.slide_labels import labels_of
from histoprompt._qt.prompts.tools import Tools
from histoprompt._qt.shell.jobs import Jobs
from histoprompt._qt.shell.undo import Act, Step, UndoStack
from histoprompt.annotations.store import Change
from histoprompt.core.geometry import Box, Frame, union_of
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Progress
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.formats.regions import box_around

NO_OTHER_MASK = "There is no other mask: a single click has several."


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
    earlier : EarlierEdits
        Edits that are older than this session's steps.
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
        self._closed = False
        area = work_area.area_for(work_area.view_box(viewer, image), slide.box)
        self.store, self.notes = labels_of(slide)
        self.regions = CommittedObjects(viewer, image, self.store.on("regions"), area)
        self.committed = CommittedObjects(viewer, image, self.store, area)
        self.nuclei = Nuclei(
            viewer, image, slide, jobs=jobs, manager=manager, committed=self.committed
        )
        self.segmenting = Segmenting(jobs, manager, cache)
        self.hand = InHand(
            viewer,
            image,
            slide,
            area,
            segmenting=self.segmenting,
            nuclei=self.nuclei,
            push=self._push,
            move_to=self.move_to,
        )
        self.commits = Commits(self.hand, self.planes, steps, self._push)
        self.freehand = Freehand(self.planes, self.hand, jobs)
        self.drawing = Drawing(viewer, image)
        self.edits = ObjectEdits(self.committed, slide.mpp)
        self.halving = Halving(self.committed, self.hand)
        self._retaking = Retaking(self.hand, self.committed, self.commits, self._push)
        self.earlier = EarlierEdits(self.committed, self)
        self.corrections = Corrections(
            viewer,
            image,
            self.committed,
            merge=self.edits.merge,
            delete=self.edits.delete,
            refine=self.refine,
            prompts=(*self.prompts.all, self.drawing.layer),
        )
        self._following = Following(
            viewer,
            image,
            slide.box,
            planes=self.planes,
            nuclei=self.nuclei,
            hand=self.hand,
            drawing=self.drawing,
        )
        self._tools = Tools(viewer, self.prompts, self.planes, self.corrections, self.drawing)
        self._connect()

    def _connect(self) -> None:
        for plane, other in (self.planes, self.planes[::-1]):
            plane.changed.connect(self._on_labels)
            plane.made.connect(self._on_edit)
            plane.failed.connect(self.failed.emit)
            plane.shown.connect(other.follow)
        for part in (
            self.nuclei, self.commits, self.edits, self._retaking, self.halving, self.freehand
        ):  # fmt: skip
            part.failed.connect(self.failed.emit)
        for teller in (
            *self.planes, self.corrections, self.hand, self.commits, self.halving, self.freehand
        ):  # fmt: skip
            teller.said.connect(self._say)
        self.hand.changed.connect(self.changed.emit)
        self.drawing.drawn.connect(self._on_drawn)
        self.drawing.clicked.connect(self._on_clicked)
        self.drawing.turned.connect(self.status.emit)
        self.freehand.progress.connect(self._on_progress)
        self._retaking.taken.connect(self._on_taken)
        self.committed.layer.events.contour.connect(self._on_looks)
        self.committed.layer.events.visible.connect(self._on_looks)
        self.nuclei.switched.connect(self.changed.emit)
        for worker in (self.segmenting, self.nuclei):
            worker.status.connect(self._say)
            worker.progress.connect(self._on_progress)

    @property
    def area(self) -> Frame:
        """The part of the slide where an object can be prompted now."""
        return self.hand.area

    @property
    def prompts(self) -> PromptLayers:
        """Clicks, boxes and scribbles of the object in hand."""
        return self.hand.prompts

    @property
    def preview(self) -> MaskPreview:
        """What a model made of them."""
        return self.hand.preview

    @property
    def planes(self) -> tuple[CommittedObjects, CommittedObjects]:
        """Committed objects and regions."""
        return self.committed, self.regions

    @property
    def own_layers(self) -> list[Layer]:
        """The layers this annotator made."""
        labels = [plane.layer for plane in self.planes]
        return [*labels, self.nuclei.layer, self.drawing.layer, *self.hand.own_layers]

    # -- model, parameters and tools ---------------------------------------------------------

    def use(self, card: ModelCard, weights: Path | None = None) -> None:
        """Segment with this model from now on; what is prompted is segmented again."""
        self.segmenting.use(card, weights)
        # A file of both heads serves both models.
        self.nuclei.use(weights if card.weights == self.nuclei.card.weights else None)
        self.segment()

    def set_params(self, params: PromptParams) -> None:
        """Work by these from now on; prompts are segmented again only if they mean others now."""
        before, self.params = self.params, params
        for plane in self.planes:
            plane.paint_with(params.rule, params.class_name)
        self.hand.each_box, self.edits.params = params.each_box, params
        self.freehand.params = params
        self._tools.paint_on(params.plane)
        if params.outline != before.outline:
            self.nuclei.outline(params.outline)
        if params.each_box != before.each_box:
            self.segment()

    @property
    def tool(self) -> str:
        """The tool in use; see `Tools.tool`."""
        return self._tools.tool

    def choose(self, tool: str) -> None:
        """Let clicks and strokes do this from now on, and say what to do."""
        self.halving.forget()
        hint = self._tools.choose(tool)
        if hint:
            self._say(hint)

    def leave_mode(self) -> None:
        """End merge and delete if another layer or tool is turned to."""
        self._tools.leave_mode()

    # -- prompts to preview ------------------------------------------------------------------

    def segment(self) -> None:
        """Segment what is prompted, in the background; a newer answer replaces an older one."""
        self.hand.segment()

    def next_candidate(self) -> None:
        """Show the model's next best mask of the object in hand."""
        self._say(self.preview.next() if self.preview.candidates > 1 else NO_OTHER_MASK)

    def find_all(self) -> None:
        """Commit all nuclei that are not committed yet: in the box, in chosen places, or in view.

        Places are the shapes of a person's Shapes layers, and the committed regions, whose layers
        are selected in the list of layers; of the regions the one that was picked, if one was.
        """
        drawn = self.prompts.prompt.box
        inside = chosen_regions(self.viewer, self.image) if drawn is None else ()
        committed = self._chosen_regions() if drawn is None and not inside else {}
        around = box_around(inside) if inside else drawn
        if committed:
            around = union_of(committed.values()).to_pixels()
        region = self.nuclei.in_view() if around is None else around.intersection(self.slide.box)
        if region is None:
            self.failed.emit("That is not on the slide: bring it into view, then find nuclei.")
            return
        where = "in the shapes" if inside else "in view"
        if drawn is not None:
            self.clear()
            where = "in the box"
        elif committed:
            named = self.regions.text_of(list(committed))
            where = f"in {named}"
        self.nuclei.fill(region.to_pixels(), where, self.params, inside, tuple(committed))

    def _chosen_regions(self) -> dict[int, Box]:
        """The boxes of the committed regions, or of the picked one, if their layer is selected."""
        regions = self.regions
        if regions.layer not in self.viewer.layers.selection:
            return {}
        found = {record.id: record.box for record in regions.store.objects()}
        return {regions.chosen: found[regions.chosen]} if regions.chosen in found else found

    @property
    def busy(self) -> bool:
        """Whether there is something to wait for, and to cancel."""
        asking = self.segmenting.active or self.nuclei.filling or self.halving.active
        asking = asking or self.freehand.active
        return asking or bool(self.commits.waiting)

    def cancel(self) -> None:
        """Stop what runs: the segmentation, commits that wait for theirs, the search for nuclei."""
        if self.busy:
            self._say("Cancelling ...")
        self.segmenting.cancel()
        self.commits.cancel()
        self.halving.cancel()
        self.freehand.cancel()
        self.nuclei.cancel()

    # -- labels ------------------------------------------------------------------------------

    def commit(self) -> list[int]:
        """Keep the object in hand, clear the prompts, and go on to the next; see `Commits`."""
        ids = self.commits.commit(self.params)
        if ids:
            self.follow_view()
        return ids

    def clear(self) -> None:
        """Forget the prompts and the preview; committed objects stay."""
        hand, nothing = self.hand.now, self.hand.nothing
        self.hand.put(nothing)
        if not hand.empty:
            take, leave = partial(self.hand.put, hand), partial(self.hand.put, nothing)
            self._push("clearing the prompts", take, leave)
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
        self.edits.merge(ids)

    def delete(self, ids: Sequence[int]) -> None:
        """Remove committed objects."""
        self.edits.delete(ids)

    def refine(self, object_id: int) -> None:
        """Take a committed object up again: more prompts change it, its commit replaces it."""
        self._retaking.take(object_id)

    def refine_chosen(self) -> None:
        """Take up the object that painting extends, or else the one that is clicked next."""
        if self.committed.chosen:
            self.refine(self.committed.chosen)
        else:
            self.choose("refine")

    def start_split(self) -> None:
        """Let the next line that is drawn cut what it crosses."""
        self.choose("split")

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
        outlined = self.committed.outlined
        self._say("Committed objects are " + ("outlines: O fills them." if outlined else "filled."))

    # -- what is in hand ---------------------------------------------------------------------

    @property
    def unfinished(self) -> Unfinished | None:
        """What would be lost with the slide: prompts in hand, and commits that wait."""
        kept = Unfinished(self.hand.now, tuple(self.commits.waiting))
        return None if kept.hand.empty and not kept.waiting else kept

    def take_up(self, unfinished: Unfinished) -> None:
        """Go on where work on this slide was left."""
        for waiting in unfinished.waiting:
            self.commits.commit_later(replace(waiting, job=None))
        self.hand.put(unfinished.hand)
        self._say(f"{unfinished.text} back in hand.")

    # -- view --------------------------------------------------------------------------------

    def follow_view(self) -> None:
        """Move the work area to what is seen; see `Following`."""
        if not self._closed:
            self._following.follow()

    def move_to(self, area: Frame) -> None:
        """Make another part of the slide editable."""
        self._following.move_to(area)

    def set_slide(self, slide: Slide) -> None:
        """The same slide with the pixel size a person typed: scale the layers by it."""
        self.slide = self.hand.slide = slide
        self.nuclei.set_slide(slide)
        self.edits.mpp = slide.mpp
        self._following.rescale()

    def close(self) -> None:
        """Stop work and let the label store go; everything in it is safe on disk."""
        if self._closed:
            return
        self._closed = True
        self.hand.close()
        self.drawing.close()
        self.commits.close()
        self.halving.close()
        self.freehand.close()
        self.steps.forget(self)
        self.cancel()
        for plane in self.planes:
            plane.layer.editable = False
        self.store.close()

    # -- inner -------------------------------------------------------------------------------

    def _on_taken(self, text: str) -> None:
        """Go on with a tool of prompts once an object is in hand again, and say what to do."""
        if not self.tool.startswith(("click", "scribble", "box", "lasso")):
            self._tools.choose("click +")
        self._say(text)

    def _on_clicked(self, tool: str, row: float, col: float) -> None:
        if self._closed:
            return
        if tool == "wand":
            self.freehand.wand(row, col)
        else:
            self.halving.click(row, col)

    def _on_drawn(self, tool: str, corners: NDArray[np.float64]) -> None:
        """Take what was drawn as the tool means it."""
        if self._closed:
            return
        if tool == "split":
            self.edits.split(corners)
        elif tool == "draw":
            self.freehand.outline(corners)
        elif not self.prompts.fill(corners, tool == "lasso +"):
            self._say("The lasso encloses nothing where the object is prompted: draw it larger.")

    def _push(self, title: str, undo: Act, redo: Act, place: int = -1) -> Step:
        return self.steps.push(title, undo, redo, self, place)

    def _on_edit(self, change: Change, what: str) -> None:
        if self._closed:  # the edit is in the store, and can be taken back when it is opened again
            return
        undo = partial(self.committed.undo, change.edit)
        self._push(what, undo, partial(self.committed.redo, change.edit), change.edit)

    def _on_looks(self, _: object) -> None:
        self.changed.emit()

    def _say(self, text: str) -> None:
        if not self._closed:
            self.status.emit(text)

    def _on_progress(self, progress: Progress) -> None:
        if not self._closed:
            self.progress.emit(progress)

    def _on_labels(self, text: str) -> None:
        if text:  # what undo and redo do is told by the stack
            regions = self.regions.store.count
            also = f" and {many(regions, 'region')}" if regions else ""
            self.status.emit(f"{text}. {many(self.store.count, 'object')}{also}, saved.")
        self.nuclei.refresh()
        self.changed.emit()
