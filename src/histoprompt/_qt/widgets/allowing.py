"""What cannot be used yet is grey, and its tip says what is missing."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

BUSY = "Work goes on: wait for its end, or press Cancel."
# Properties of a widget: what is missing, its own tip, and both.
MISSING, _TIP, _WITH = "histoprompt missing", "histoprompt tip", "histoprompt tip with missing"


def allow(widget: QWidget, missing: str = "") -> None:
    """Let a person use a widget, or grey it and let its tip say why.

    Parameters
    ----------
    widget : QWidget
        Its own tip comes after what is missing, also one that was set meanwhile.
    missing : str
        What has to be there first, as a sentence that says what to do; empty if nothing is missing.
    """
    if widget.toolTip() != widget.property(_WITH):
        widget.setProperty(_TIP, widget.toolTip())
    tip = "\n".join(filter(None, (missing, widget.property(_TIP))))
    widget.setProperty(MISSING, missing)
    widget.setProperty(_WITH, tip)
    widget.setToolTip(tip)
    widget.setAccessibleDescription(tip)
    widget.setEnabled(not missing)
