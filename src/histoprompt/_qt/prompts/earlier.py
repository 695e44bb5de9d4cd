"""Edits of labels that are older than a session, one after another."""

from __future__ import annotations

from functools import partial

from histoprompt._qt.prompts.committed import CommittedObjects
from histoprompt._qt.shell.undo import Step
from histoprompt.annotations.store import Change


class EarlierEdits:
    """Takes back edits that the label store remembers and no step of this session stands for.

    Parameters
    ----------
    committed : CommittedObjects
    owner : object
        Whose steps they become.
    """

    def __init__(self, committed: CommittedObjects, owner: object) -> None:
        self._committed, self._owner = committed, owner

    def undo_earlier(self) -> Step | None:
        """Take back an edit of labels that is older than this session's steps."""
        return self._step(self._committed.undo_earlier())

    def redo_earlier(self) -> Step | None:
        """Do again an edit of labels that was taken back in an earlier session."""
        return self._step(self._committed.redo_earlier())

    def _step(self, change: Change | None) -> Step | None:
        if change is None:
            return None
        undo = partial(self._committed.undo, change.edit)
        redo = partial(self._committed.redo, change.edit)
        title = f"an edit of an earlier session ({change.op})"
        return Step(title, undo, redo, self._owner)
