"""Folders that the program names itself, such as one per slide: no link is followed there.

A folder that a person names may be a link: they said where results go. Where the program chooses
the name, a link leads to a place that nobody asked to be written to.
"""

from __future__ import annotations

import os
from pathlib import Path

from histoprompt.core.errors import ExportError


def own_folder(folder: Path) -> Path:
    """The folder itself, if no link lies in its place; it need not exist.

    Raises
    ------
    ExportError
        If its last name is a link, wherever that leads. Links above it are followed.
    """
    if folder.is_symlink():
        raise ExportError(
            f"{folder} is a link to {os.readlink(folder)}. Results are not written through it: "
            "what lies there may belong to something else. Remove the link, or choose another "
            "folder for the results."
        )
    return folder
