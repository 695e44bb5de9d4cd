"""What a person has in hand on a slide: prompts with what came of them, and commits that wait."""

from __future__ import annotations

from dataclasses import dataclass

from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.prompts.preview import ShownMask
from histoprompt._qt.prompts.prompt_layers import Snapshot
from histoprompt._qt.shell.jobs import Job
from histoprompt._qt.shell.undo import Step
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.results import Mask
from histoprompt.core.strings.wording import capital, many


@dataclass(frozen=True, eq=False)
class Refined:
    """A committed object that was taken up again.

    Attributes
    ----------
    id : int
        Its commit gives this object another mask.
    mask : Mask
        The object as it was, level-0 pixels: what a model is shown as its answer before.
    prompts : Snapshot
        Those that stand for it; as long as there are no others the mask is shown as it was.
    """

    id: int
    mask: Mask
    prompts: Snapshot


@dataclass(frozen=True, eq=False)
class Hand:
    """Prompts, and what was shown for them.

    Attributes
    ----------
    prompts : Snapshot
    shown : ShownMask
    refined : Refined or None
        What they change; None for a new object.
    """

    prompts: Snapshot
    shown: ShownMask
    refined: Refined | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return self.prompts.empty and self.shown.empty and self.refined is None


@dataclass(eq=False)
class Waiting:
    """A commit that waits for its segmentation.

    Attributes
    ----------
    hand : Hand
        What was in hand when it was asked for.
    objects : tuple of ObjectPrompt
        What is segmented for it.
    params : PromptParams
        How its objects are kept.
    job : Job or None
        The segmentation.
    step : Step or None
        What takes it back while it waits.
    """

    hand: Hand
    objects: tuple[ObjectPrompt, ...]
    params: PromptParams
    job: Job | None = None
    step: Step | None = None

    def cancel(self) -> None:
        """Stop waiting."""
        if self.job is not None:
            self.job.cancel()


@dataclass(frozen=True, eq=False)
class Unfinished:
    """What is in hand when another slide is turned to.

    Attributes
    ----------
    hand : Hand
    waiting : tuple of Waiting
    """

    hand: Hand
    waiting: tuple[Waiting, ...]

    @property
    def text(self) -> str:
        """What it is, for people."""
        kept = [] if self.hand.empty else ["unfinished prompts"]
        kept += [f"{many(len(self.waiting), 'commit')} that wait"] if self.waiting else []
        text = " and ".join(kept)
        return capital(text)
