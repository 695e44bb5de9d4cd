"""Regions and objects of one file, told apart where the file does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from histoprompt.core.strings.wording import many
from histoprompt.pipelines.exchange.params import Into
from histoprompt.pipelines.formats.annotation import Annotation, Reading


class Sorting:
    """Takes what an import asks for of a file that holds regions with objects in them.

    Into labels both go, each to its plane; into regions only the regions; into a count or prompts
    only the objects. Files that do not tell them apart go where the import says as a whole.

    Parameters
    ----------
    into : "labels", "count", "regions" or "prompts"

    Attributes
    ----------
    regions : list of Annotation
        Regions that go to their plane, beside objects.
    left : int
        Annotations that were not asked for.
    """

    def __init__(self, into: Into) -> None:
        self._into = into
        self.regions: list[Annotation] = []
        self.left = 0

    def wanted(self, items: Iterable[Annotation], reading: Reading) -> Iterator[Annotation]:
        """Those that go where the import says; the reader of a file says whether it sorts."""
        for item in items:
            if not reading.sorts or item.region == (self._into == "regions"):
                yield item
            elif item.region and self._into == "labels":
                self.regions.append(item)
            else:
                self.left += 1

    def notes(self, name: str) -> list[str]:
        """What a person should know of a file of this name."""
        if self.regions:
            return [f"{name} has regions with objects in them: {many(len(self.regions), 'region')}"]
        if not self.left:
            return []
        noun = "object" if self._into == "regions" else "region"
        were = "was" if self.left == 1 else "were"
        return [f"{many(self.left, noun)} of {name} {were} left out: import into labels takes both"]
