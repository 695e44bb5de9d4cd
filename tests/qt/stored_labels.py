"""What the label store of the slide in hand holds."""

from __future__ import annotations

import numpy as np

from histoprompt._qt.prompts.dock import PromptDock


def stored(dock: PromptDock) -> np.ndarray:
    """The labels of the whole slide, as they are kept."""
    annotator = dock.annotator
    return annotator.store.read(annotator.slide.box)
