"""All nuclei: committed at once, or outlined where the user looks so that a click takes one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels
from psygnal import Signal

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers import work_area
from histoprompt._qt.prompts.committed import CommittedObjects
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.shell.jobs import Job, Jobs
from histoprompt._qt.shell.messages import told
from histoprompt.annotations.history import Change
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Progress
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.commit_nuclei import LONGEST, commit_nuclei
from histoprompt.pipelines.cells.find import known_mpp
from histoprompt.pipelines.cells.nuclei_cache import NucleiMap, Square, look_at
from histoprompt.pipelines.formats.regions import Region
from histoprompt.pipelines.regions.committed import committed_regions

FILLING, LOOKING = "filling", "looking"


class Nuclei:
    """Finds nuclei by themselves with the model that does, for one slide.

    Attributes
    ----------
    layer : Labels
        Outlines of the nuclei found ahead, not committed ones.
    card : ModelCard
        The model that finds them.
    switched : Signal
        Outlines are shown from now on, or no longer.
    status, failed : Signal(str)
        What happened or went wrong, for the person watching.
    progress : Signal(Progress)
        How far the search for all nuclei is.
    """

    switched = Signal()
    status = Signal(str)
    failed = Signal(str)
    progress = Signal(Progress)

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        slide: Slide,
        *,
        jobs: Jobs,
        manager: ModelManager,
        committed: CommittedObjects,
    ) -> None:
        self._viewer, self._image, self._slide = viewer, image, slide
        self._jobs, self._manager, self._committed = jobs, manager, committed
        self.card = registry.card(registry.DEFAULT_CELLS)
        self._weights: Path | None = None
        self._map = _empty(slide)
        self._filling: Job | None = None
        self._looking: Job | None = None
        self.layer: Labels = layers.make_outlines(image, committed.area)
        viewer.add_layer(self.layer)
        self.layer.events.visible.connect(self._on_visible)

    def use(self, weights: Path | None) -> None:
        """Find with the user's own weights, or with the published ones."""
        if weights != self._weights:
            self._weights = weights
            self._restart(self._slide)

    def set_slide(self, slide: Slide) -> None:
        """The pixel size became known: what was found at another scale is forgotten."""
        self._restart(slide)
        layers.move(self.layer, self._image, self._committed.area)

    # -- ahead of a click --------------------------------------------------------------------

    def outline(self, on: bool) -> None:
        """Outline nuclei in view from now on, or no longer; the eye of the layer does the same."""
        self.layer.visible = on

    def _on_visible(self, _: object) -> None:
        self.switched.emit()
        if not self.layer.visible:
            _stop(self._looking)
            return
        try:
            known_mpp(self._slide)
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        self._draw()
        self.look()

    def look(self) -> None:
        """Look at the next square in view, in the background, if outlines are wanted."""
        if not self.layer.visible or self._slide.mpp is None or _busy(self._looking):
            return
        view = self.in_view()
        if view is None:
            return
        if max(view.shape) > LONGEST:
            self.status.emit(f"Zoom in: nuclei are outlined in views up to {LONGEST} pixels wide.")
            return
        square = self._map.next_square(view)
        if square is not None:
            self.status.emit("Outlining nuclei in view ...")
            self._looking = self._jobs.submit(
                partial(look_at, weights=self._weights),
                self._slide,
                square,
                self.card,
                self._manager,
                lane="batch",
                key=LOOKING,
                title="Outlining nuclei",
                on_done=self._on_looked,
                on_error=self.status.emit,
                abandon=True,
            )

    def under(self, prompt: Prompt) -> Mask | None:
        """The outlined nucleus that a lone click takes; None for other prompts and elsewhere."""
        lone = prompt.kinds == {"point"} and prompt.labels.tolist() == [True]
        if not (lone and self.layer.visible):
            return None
        place = prompt.points[0]
        return None if self._committed.at(*place) else self._map.at(*place)

    def move(self) -> None:
        """Serve the work area of the committed objects."""
        if self.layer.visible or self.layer.data.shape != self._committed.area.shape:
            self._draw()
        layers.move(self.layer, self._image, self._committed.area)

    def refresh(self) -> None:
        """Committed objects changed: leave out their outlines."""
        if self.layer.visible:
            self._draw()

    # -- all at once -------------------------------------------------------------------------

    def fill(
        self,
        region: Box,
        where: str,
        params: PromptParams,
        inside: Sequence[Region] = (),
        committed: Collection[int] = (),
    ) -> None:
        """Commit all nuclei of a level-0 region that are not committed yet, in the background.

        `where` tells the user which region it is; class and overlap are those of `params`; with
        `inside` only nuclei in these, with `committed` only those in these committed regions.
        """
        _stop(self._looking)  # it would be waited for
        self._filling = self._jobs.submit(
            partial(
                partial(_commit_in, ids=committed) if committed else commit_nuclei,
                card=self.card,
                manager=self._manager,
                weights=self._weights,
                class_name=params.class_name,
                rule=params.rule,
                inside=inside,
            ),
            self._slide,
            region,
            self._committed.store,
            lane="batch",
            key=FILLING,
            title="Finding nuclei",
            on_done=partial(self._on_filled, where, params.class_name),
            on_error=self.status.emit,
            on_cancel=self._on_cancelled,
            on_progress=self.progress.emit,
            abandon=True,
            edits=True,
        )
        self.status.emit(f"Finding all nuclei {where} ...")

    @property
    def filling(self) -> bool:
        """Whether all nuclei of a region are being looked for."""
        return _busy(self._filling)

    def in_view(self) -> Box | None:
        """The part of the slide in view, integer level-0 pixels."""
        seen = work_area.view_box(self._viewer, self._image).intersection(self._slide.box)
        return None if seen is None else seen.to_pixels()

    def cancel(self) -> None:
        """Stop looking and filling."""
        _stop(self._looking)
        _stop(self._filling)

    # -- inner -------------------------------------------------------------------------------

    def _restart(self, slide: Slide) -> None:
        _stop(self._looking)
        self._slide, self._map = slide, _empty(slide)
        self.refresh()
        self.look()

    def _on_looked(self, square: Square) -> None:
        self._map.add(square)
        self._draw()
        self.look()
        if not _busy(self._looking):
            self.status.emit(f"{len(self._map):,} nuclei found: click one that is outlined.")

    def _on_filled(self, where: str, class_name: str, found: tuple[int, Change | None]) -> None:
        count, change = found
        kind = f" of the class {class_name!r}" if class_name else ""
        self._committed.show_change(change, f"Found {count:,} new nuclei {where}{kind}")

    def _on_cancelled(self) -> None:
        self.status.emit("Cancelled: no nucleus was committed; labels are as they were.")

    def _draw(self) -> None:
        area, data = self._committed.area, self._committed.layer.data
        self.layer.data = self._map.outlines(area, data)
        self.layer.editable = False


def _commit_in(
    slide: Slide, region: Box, store: LabelStore, *, ids: Collection[int], **about: Any
) -> tuple[int, Change | None]:
    """As `commit_nuclei`, in committed regions, whose outlines may take a while to follow."""
    inside = committed_regions(store, ids=ids)
    return commit_nuclei(slide, region, store, **{**about, "inside": inside})


def _empty(slide: Slide) -> NucleiMap:
    """Nothing found yet; without a pixel size nothing will be."""
    return NucleiMap(slide.box, slide.mpp or 1.0)


def _stop(job: Job | None) -> None:
    if job is not None:
        job.cancel()


def _busy(job: Job | None) -> bool:
    return job is not None and job.active
