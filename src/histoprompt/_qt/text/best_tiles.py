"""Pictures of the tiles that fit a text best, read beside the GUI."""

from __future__ import annotations

from functools import partial

from psygnal import Signal

from histoprompt._qt.shell.jobs import Jobs
from histoprompt._qt.text.shown import ShownResults
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.text.gallery import TilePicture, gallery

COUNT, SIDE = 10, 72


class BestTiles:
    """Reads them, the newest wish alone.

    Attributes
    ----------
    read : Signal(list)
        The `TilePicture` that were asked for last.
    """

    read = Signal(list)

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._wish = ShownResults()

    def ask(self, slide: Slide, wish: ShownResults) -> None:
        """Read the tiles that fit the text best, unless those of this map are read already."""
        if wish.scores is None or wish.same_map(self._wish):
            return
        self._wish = wish
        self._jobs.submit(
            partial(gallery, count=COUNT, pixels=SIDE),
            slide,
            wish.scores,
            wish.text,
            lane="interactive",
            key="best tiles",
            title="Reading the best tiles",
            on_done=partial(self._on_read, wish),
        )

    def drop(self) -> None:
        """Want none any more."""
        self._wish = ShownResults()

    def _on_read(self, wish: ShownResults, found: list[TilePicture]) -> None:
        if wish is self._wish:
            self.read.emit(found)
