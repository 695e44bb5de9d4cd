"""Where histoprompt keeps its files on the user's machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

HOME_VARIABLE = "HISTOPROMPT_HOME"


def home() -> Path:
    """The folder for everything kept between runs: ``HISTOPROMPT_HOME`` or the platform's own."""
    override = os.environ.get(HOME_VARIABLE)
    return Path(override) if override else Path(platformdirs.user_data_dir("histoprompt", False))


def weights_folder() -> Path:
    """Where model weights are looked for and kept."""
    return home() / "models"


def labels_folder() -> Path:
    """Where the label stores of slides are kept."""
    return home() / "labels"


def counts_folder() -> Path:
    """Where counts that are worked on in napari are kept, with the labels given to their cells."""
    return home() / "counts"


def logs_folder() -> Path:
    """Where tracebacks of unforeseen errors are written for a report."""
    own = HOME_VARIABLE in os.environ
    return home() / "logs" if own else Path(platformdirs.user_log_dir("histoprompt", False))


def cache_folder() -> Path:
    """Where what can be computed again is kept: embeddings, measured footprints."""
    return home() / "cache"
