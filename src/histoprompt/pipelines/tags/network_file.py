"""Telling a file of a network that finds boxes from one of a class head."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open

from histoprompt.core.errors import LabelError

NETWORK: Final = "histoprompt-boxes-1"


def is_network(path: Path) -> bool:
    """Whether a file holds a network that finds boxes.

    Raises
    ------
    LabelError
        If it cannot be read.
    """
    try:
        with safe_open(path, "np") as file:
            return bool((file.metadata() or {}).get("format") == NETWORK)
    except (SafetensorError, OSError) as error:
        raise LabelError(f"The detector {path} cannot be read: {error}.") from error
