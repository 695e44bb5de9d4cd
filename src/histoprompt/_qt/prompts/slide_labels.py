"""The labels of a slide as a window opens them."""

from __future__ import annotations

from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import StoreInUseError
from histoprompt.core.slides.slide import Slide


def labels_of(slide: Slide) -> tuple[LabelStore, list[str]]:
    """The labels of a slide, and what a person should know of them.

    Where another window has them they are opened to look at, as they are at this moment.
    """
    try:
        store = LabelStore.of(slide)
    except StoreInUseError as error:
        store = LabelStore.of(slide, read_only=True)
        return store, [
            f"These labels are being edited in another window ({error.who}), so they can only be "
            "looked at here, as they are now. To edit them, close them there and choose the "
            "image again."
        ]
    return store, list(store.notes)
