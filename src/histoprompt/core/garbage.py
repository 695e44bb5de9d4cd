"""Python's garbage collector, kept from stopping everything in the middle of something."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """Within this, many objects may be made without the collector looking through all there are.

    With torch and napari imported one such look takes a quarter of a second. What was made counts
    as old afterwards, so that it is not looked through at once. Nothing is exempt from collection
    for good.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Together these move every object to the oldest generation, without a look at any.
        gc.freeze()
        gc.unfreeze()
        if was_enabled:
            gc.enable()
