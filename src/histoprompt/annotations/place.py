"""Where the labels of a slide lie, and what marks a folder as theirs."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from histoprompt.core import settings
from histoprompt.core.errors import LabelStoreError

FORMAT = 1
MARK = "store.json"


@dataclass(frozen=True)
class StoreMark:
    """What a store belongs to.

    Attributes
    ----------
    slide_key : str
        `Slide.key` of the slide.
    shape : (rows, cols)
        Of its level 0.
    chunk : int
        Side of a chunk of the arrays.
    format : int
        Version of the files.
    """

    slide_key: str
    shape: tuple[int, int]
    chunk: int
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Mark a folder."""
        part = folder / f"{MARK}.part"
        part.write_text(json.dumps(asdict(self), indent=1))
        part.replace(folder / MARK)

    @classmethod
    def read(cls, folder: Path) -> StoreMark | None:
        """The mark of a folder, None if it has none.

        Raises
        ------
        LabelStoreError
            If the mark is damaged or of a later version.
        """
        try:
            raw = json.loads((folder / MARK).read_text())
            rows, cols = raw["shape"]
            mark = cls(str(raw["slide_key"]), (rows, cols), int(raw["chunk"]), int(raw["format"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise LabelStoreError(f"{folder / MARK} is damaged: {error!r}.") from error
        if mark.format > FORMAT:
            raise LabelStoreError(
                f"The labels in {folder} have format {mark.format}; this version knows formats up "
                f"to {FORMAT}. Update histoprompt."
            )
        return mark

    def claim(self, folder: Path, read_only: bool) -> StoreMark:
        """The mark a folder has, checked against this one; a folder without gets this one.

        Raises
        ------
        LabelStoreError
            If the folder belongs to another slide, or has no mark and is opened to read only, or
            if no labels can be kept for an image of this shape.
        """
        mark = StoreMark.read(folder)
        if mark is not None:
            mark.check(folder, self.shape, self.slide_key)
            return mark
        if read_only:
            raise LabelStoreError(f"There are no labels in {folder} to read.")
        if min(self.shape) < 1 or self.chunk < 2 or self.chunk % 2:
            raise LabelStoreError(
                f"No labels can be kept for an image of {self.shape} pixels in chunks of "
                f"{self.chunk}: sizes must be positive and the chunk even."
            )
        self.write(folder)
        return self

    def check(self, folder: Path, shape: tuple[int, int], slide_key: str) -> None:
        """Refuse a slide the labels do not belong to.

        Raises
        ------
        LabelStoreError
            If the size or the slide is another.
        """
        if self.shape != shape:
            raise LabelStoreError(
                f"The labels in {folder} belong to an image of {self.shape[0]} x {self.shape[1]} "
                f"pixels (rows x columns), not {shape[0]} x {shape[1]}. Choose another folder."
            )
        if self.slide_key != slide_key:
            raise LabelStoreError(
                f"The labels in {folder} belong to another slide of the same size (key "
                f"{self.slide_key!r}, not {slide_key!r}). Choose another folder."
            )


def store_folder(slide_key: str, name: str = "labels") -> Path:
    """The folder for one set of labels of a slide, under the user's labels folder."""
    return settings.labels_folder() / _file_name(slide_key) / _file_name(name)


def _file_name(text: str) -> str:
    """A name every file system takes, different for different texts."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:80]
    if plain == text:
        return plain
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
