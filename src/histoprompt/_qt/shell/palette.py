"""What keys do, as commands of napari's command palette; the manifest names them.

Each act of the table of keys is a function of this module, made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari import current_viewer

from histoprompt._qt.shell.keys import TABLE
from histoprompt._qt.shell.session import session_of
from histoprompt._qt.shell.shortcuts import run

# They are about the tile under the pointer, which is on the palette then.
_POINTED = ("mark_yes", "mark_no")
ACTS = tuple(
    dict.fromkeys(gesture.act for gesture in TABLE if gesture.act and gesture.act not in _POINTED)
)


def __getattr__(name: str) -> Callable[[], None]:
    """The command of an act; a space of the act is an underscore in the name."""
    act = next((act for act in ACTS if act.replace(" ", "_") == name), None)
    if act is None:
        raise AttributeError(name)
    return partial(run, act)


def helper_layers() -> None:
    """List the layers that only tools work with too, or no longer."""
    viewer = current_viewer()
    if viewer is not None:
        listed = session_of(viewer).listed
        listed.show_helpers(not listed.shows_helpers)
