"""The object in hand: what is prompted, what a model makes of it, and going back to what was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal

from histoprompt._qt.prompts.hand import Hand, Refined
from histoprompt._qt.prompts.nuclei import Nuclei
from histoprompt._qt.prompts.preview import MaskPreview, ShownMask
from histoprompt._qt.prompts.prompt_layers import PromptLayers, Snapshot
from histoprompt._qt.prompts.segmenting import Segmenting
from histoprompt._qt.shell.undo import Step
from histoprompt.core.geometry import Frame
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.results import Mask, mean_score
from histoprompt.core.slides.slide import Slide
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.objects.refine import refining
from histoprompt.pipelines.prompts.segment import ObjectMasks, continued

Push = Callable[..., Step]


class InHand:
    """Prompts, their segmentation in the background, and the preview.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
    slide : Slide
        The owner gives another one when its pixel size is typed.
    area : Frame
        The work area.
    segmenting : Segmenting
    nuclei : Nuclei
        Gives the outlined nucleus that a lone click takes.
    push : callable
        Keeps a step that can be taken back: its title, taking it back, doing it again.
    move_to : callable
        Makes another work area the one in use, of all layers.

    Attributes
    ----------
    each_box : bool
        Every box is an object of its own.
    refined : Refined or None
        The committed object that is changed; None while a new one is made.
    changed : Signal
        Prompts or preview changed.
    said : Signal(str)
        What happened, for the person watching.
    """

    changed = Signal()
    said = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        slide: Slide,
        area: Frame,
        *,
        segmenting: Segmenting,
        nuclei: Nuclei,
        push: Push,
        move_to: Callable[[Frame], object],
    ) -> None:
        self.slide, self.area = slide, area
        self.each_box = False
        self.refined: Refined | None = None
        self._closed = False
        self._nuclei, self._push, self._move_to = nuclei, push, move_to
        self.preview = MaskPreview(viewer, image, area)
        self.prompts = PromptLayers(viewer, image, area)
        self.segmenting = segmenting
        self.preview.painted.connect(self._on_preview_painted)
        self.prompts.edited.connect(self._on_prompts_edited)
        self.prompts.changed.connect(self._on_prompts)
        self.prompts.drawing.connect(self._on_drawing)
        segmenting.answered.connect(self._on_segmented)
        segmenting.sketched.connect(self._on_sketched)
        segmenting.failed.connect(self._on_trouble)
        segmenting.cancelled.connect(self._on_cancelled)

    @property
    def own_layers(self) -> list[Layer]:
        """The layers made here."""
        return [*self.preview.own_layers, *self.prompts.all]

    # -- prompts to preview ------------------------------------------------------------------

    @property
    def objects(self) -> list[ObjectPrompt]:
        """What is prompted: one object, or one for each box."""
        prompt = self.prompts.prompt
        if self.each_box and self.refined is None and len(self.prompts.drawn_boxes) > 1:
            prompts = [Prompt.of_box(box) for box in self.prompts.drawn_boxes]
        else:
            prompts = [prompt] if prompt.is_positive else []
        return [ObjectPrompt(i + 1, p) for i, p in enumerate(prompts)]

    def segment(self) -> None:
        """Segment what is prompted, in the background; a newer answer replaces an older one."""
        objects = self.objects
        if not objects or self.segmenting.card is None or self.untouched:
            self.segmenting.stop()
            self._show(self._start())
            return
        asked = self._continued(objects)
        self._show_proposal(objects)
        self.segmenting.ask(self.slide, asked)

    @property
    def untouched(self) -> bool:
        """Whether an object was taken up again and nothing was said of it yet."""
        return self.refined is not None and self.prompts.snapshot().says_as(self.refined.prompts)

    @property
    def free(self) -> bool:
        """Whether there is nothing in hand that the work area must stay for."""
        return self.prompts.empty and self.refined is None and not self.preview.shown

    @property
    def awaited(self) -> bool:
        """Whether what is shown is no answer yet to what is prompted, but one is coming."""
        objects = self.objects
        return self.segmenting.active and bool(objects) and not self._is_proposal(objects)

    def info(self) -> dict[str, object]:
        """Provenance of what is in hand, for its commit."""
        taken = self._nuclei.under(self.prompts.prompt)
        by_outline = taken is not None and any(mask is taken for mask in self.preview.masks)
        card = self._nuclei.card if by_outline else self.segmenting.card
        return facts(card, self.preview.masks, self.prompts.snapshot())

    # -- what was ----------------------------------------------------------------------------

    @property
    def now(self) -> Hand:
        """What is in hand, to be put back by `put`."""
        return Hand(self.prompts.snapshot(), self.preview.state, self.refined)

    @property
    def nothing(self) -> Hand:
        """Empty hands."""
        return Hand(self.prompts.nothing(), ShownMask())

    def put(self, hand: Hand) -> None:
        """Take up what was in hand once, or nothing; the work area goes where it was."""
        self.segmenting.stop()
        self.refined = hand.refined
        if not hand.empty and hand.prompts.area != self.area:
            self._move_to(hand.prompts.area)
        self.prompts.put(hand.prompts)
        self.preview.put(hand.shown)
        if hand.shown.empty and not (hand.prompts.empty and hand.refined is None):
            self.segment()
        self.changed.emit()

    def move(self, area: Frame) -> None:
        """Serve another work area, empty."""
        self.area = area
        self.preview.move(area)
        self.prompts.move(area)

    def close(self) -> None:
        """Show nothing and say nothing any more."""
        self._closed = True

    # -- inner -------------------------------------------------------------------------------

    def _start(self) -> list[ObjectMasks]:
        """What is shown while nothing is segmented: an object taken up again, as it was."""
        if self.refined is None:
            return []
        return [ObjectMasks(1, (self.refined.mask,), self.prompts.prompt)]

    def _continued(self, objects: list[ObjectPrompt]) -> list[ObjectPrompt]:
        """Prompts with what they correct."""
        asked = continued(objects, self.preview.answers)
        if self.refined is None:
            return asked
        return [refining(item, self.refined.mask) for item in asked]

    def _is_proposal(self, objects: list[ObjectPrompt]) -> bool:
        """Whether what is shown is an outlined nucleus, which no answer takes the place of."""
        return self.preview.shown and self._nuclei.under(objects[0].prompt) is not None

    def _show_proposal(self, objects: list[ObjectPrompt]) -> None:
        """Show the outlined nucleus that was clicked, until the model has answered too."""
        nucleus = self._nuclei.under(objects[0].prompt)
        if nucleus is not None:
            self._show([ObjectMasks(objects[0].id, (nucleus,), objects[0].prompt)])

    def _with_proposal(self, found: list[ObjectMasks]) -> list[ObjectMasks]:
        """Put the outlined nucleus that was clicked before the model's own answers."""
        nucleus = self._nuclei.under(self.prompts.prompt)
        if nucleus is None or len(found) != 1:
            return found
        return [replace(found[0], masks=(nucleus, *found[0].masks))]

    def _on_prompts_edited(self, what: str, before: Snapshot, after: Snapshot) -> None:
        hands = (Hand(prompts, ShownMask(), self.refined) for prompts in (before, after))
        undo, redo = (partial(self.put, hand) for hand in hands)
        self._push(what, undo, redo)

    def _on_preview_painted(self, before: ShownMask, after: ShownMask) -> None:
        prompts = self.prompts.snapshot()
        hands = (Hand(prompts, shown, self.refined) for shown in (before, after))
        undo, redo = (partial(self.put, hand) for hand in hands)
        self._push("painting of the object in hand", undo, redo)
        self.changed.emit()

    def _on_prompts(self) -> None:
        self.segment()
        if not self.objects and not self.prompts.empty:
            self._say("Only what lies outside is marked: point inside the object too.")
        self.changed.emit()

    def _on_drawing(self) -> None:
        objects = self.objects
        if objects and not self._closed:
            self.segmenting.sketch(self.slide, self._continued(objects))

    def _on_sketched(self, found: list[ObjectMasks]) -> None:
        if not self._closed:
            self.preview.sketch(found)

    def _on_segmented(self, found: list[ObjectMasks]) -> None:
        if self._closed:
            return
        self._show(self._with_proposal(found))
        self._say(self.preview.describe())

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
            self._show(self._start())

    def _show(self, found: list[ObjectMasks]) -> None:
        self.preview.show(found)
        self.changed.emit()

    def _say(self, text: str) -> None:
        if not self._closed:
            self.said.emit(text)


def facts(card: ModelCard | None, masks: Sequence[Mask], prompts: Snapshot) -> dict[str, object]:
    """Provenance of masks that a model made of prompts."""
    score = mean_score(masks)
    return {
        "model": card.id if card else "by hand",
        "prompts": sorted(prompts.kinds),
        "score": None if score is None else round(score, 4),
    }
