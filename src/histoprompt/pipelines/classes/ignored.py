"""Classes that say what must not count: drawn or labelled, never learnt and never counted.

QuPath ignores classes whose name ends with a star, such as ``Ignore*``, and so do we.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from histoprompt.annotations.class_list import is_ignored

K = TypeVar("K")


def without_ignored(labels: Mapping[K, str]) -> dict[K, str]:
    """Labels without those of ignored classes."""
    return {key: name for key, name in labels.items() if not is_ignored(name)}
