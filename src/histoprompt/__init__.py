"""histoprompt: point at what you mean in a histology slide, correct it, count it, export it.

Everything that the docks and the commands do can be called from Python::

    import histoprompt as hp

    slide = hp.open_slide("slide.svs")
    cells = hp.find_cells(slide, hp.Box(0, 0, 1024, 1024))

The functions are those of `histoprompt.api`. They are looked up when they are first used, so that
importing the package loads neither torch nor napari.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from histoprompt.api import (
        Box,
        CountChoice,
        ExportParams,
        ImportParams,
        ObjectPrompt,
        Prompt,
        ScoreParams,
        classify,
        count,
        export,
        find_cells,
        import_annotations,
        open_slide,
        open_store,
        score,
        segment,
    )

__version__ = "0.1.0"
__all__ = [
    "Box",
    "CountChoice",
    "ExportParams",
    "ImportParams",
    "ObjectPrompt",
    "Prompt",
    "ScoreParams",
    "__version__",
    "classify",
    "count",
    "export",
    "find_cells",
    "import_annotations",
    "open_slide",
    "open_store",
    "score",
    "segment",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'histoprompt' has no attribute {name!r}")
    return getattr(import_module("histoprompt.api"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
