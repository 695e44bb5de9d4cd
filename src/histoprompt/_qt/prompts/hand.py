"""What a person has in hand on a slide: prompts with what came of them, and commits that wait."""

from __future__ import annotations

from dataclasses import dataclass

from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.prompts.preview import Shown
from histoprompt._qt.prompts.prompt_layers import Snapshot
from histoprompt._qt.shell.jobs import Job
from histoprompt._qt.shell.undo import Step
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.strings.wording import many


@dataclass(frozen=True, eq=False)
class Hand:
    """Prompts, and what was shown for them.

    Attributes
    ----------
    prompts : Snapshot
    shown : Shown
    """

    prompts: Snapshot
    shown: Shown

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return self.prompts.empty and self.shown.empty


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
        return f"{text[:1].upper()}{text[1:]}"
