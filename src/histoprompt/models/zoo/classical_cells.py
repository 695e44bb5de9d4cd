"""All nuclei without a network or weights: thresholds and a watershed, window by window."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from histoprompt.core.classical.detection import find_nuclei
from histoprompt.models.card import ModelCard
from histoprompt.models.cells.windowed import WindowedCells

CARD = ModelCard(
    id="classical-cells",
    role="cells",
    title="Classical cells (no weights)",
    loader="histoprompt.models.zoo.classical_cells:load",
    input_size=1024,
    window_stride=768,
    licence="BSD-3-Clause",
    citation="Ruifrok and Johnston 2001 (stain); Otsu 1979; watershed on distance and darkness",
    mpp=0.25,
    memory_mib=96,
    description="Finds dark, compact nuclei of H&E and H-DAB on any machine; pale ones are missed.",
)


def load(card: ModelCard, weights: Path | None, device: str) -> WindowedCells:
    """Make the segmenter; it has no weights and always runs on the CPU."""
    return WindowedCells(partial(find_nuclei, mpp=card.mpp), card.input_size, card.window_stride)
