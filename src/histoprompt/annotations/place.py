"""Where the labels of a slide lie, and what marks a folder as theirs."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from histoprompt.core import settings
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.files.atomic import replace_file

FORMAT = 3
"""1: objects only. 2: regions and a list of classes beside them. 3: edits of very many objects are
packed in the journal. What 1 and 2 wrote is read as it is."""
MARK = "store.json"
# What else a store consists of.
CHECKPOINT, JOURNAL = "checkpoint.npz", "journal.bin"


@dataclass(frozen=True)
class StoreManifest:
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
    format: int = field(default=FORMAT, compare=False)

    def to_json(self) -> str:
        """As it is kept in a file."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> StoreManifest:
        """What `to_json` gave.

        Raises
        ------
        ValueError, KeyError, TypeError
            If it is something else.
        """
        raw = json.loads(text)
        rows, cols = raw["shape"]
        return cls(
            str(raw["slide_key"]), (int(rows), int(cols)), int(raw["chunk"]), int(raw["format"])
        )

    @classmethod
    def read(cls, folder: Path) -> StoreManifest | None:
        """The mark of a folder, None if it has none or a damaged one.

        Raises
        ------
        LabelStoreError
            If the mark is of a later version.
        OSError
            If it cannot be read.
        """
        try:
            mark = cls.from_json((folder / MARK).read_bytes())
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return None
        if mark.format > FORMAT:
            raise LabelStoreError(
                f"The labels in {folder} have format {mark.format}; this version knows formats up "
                f"to {FORMAT}. Update histoprompt."
            )
        return mark

    def claim(self, folder: Path, kept: StoreManifest | None, read_only: bool) -> StoreManifest:
        """The mark a folder has, checked against this one; a folder without gets this one.

        Parameters
        ----------
        folder : Path
        kept : StoreManifest or None
            What the other files of the folder tell, which counts more than a damaged mark.
        read_only : bool
            Whether nothing may be written.

        Raises
        ------
        LabelStoreError
            If the folder belongs to another slide, or has no labels and is opened to read only, or
            if no labels can be kept for an image of this shape.
        OSError, ExportError
            If the mark cannot be read or written.
        """
        own = StoreManifest.read(folder)
        mark = replace(kept or own or self, format=FORMAT)
        mark.check(folder, self.shape, self.slide_key)
        if own is None and read_only and kept is None:
            raise LabelStoreError(f"There are no labels in {folder} to read.")
        if (own != mark or own.format < FORMAT) and not read_only:
            if min(mark.shape) < 1 or mark.chunk < 2 or mark.chunk % 2:
                raise LabelStoreError(
                    f"No labels can be kept for an image of {mark.shape} pixels in chunks of "
                    f"{mark.chunk}: sizes must be positive and the chunk even."
                )
            replace_file(folder / MARK, mark.to_json())
        return mark

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


def user_name() -> str:
    """Who works on this computer, for the history; "" if the system does not tell."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def store_folder(slide_key: str, name: str = "labels") -> Path:
    """The folder for one set of labels of a slide, under the user's labels folder."""
    return settings.labels_folder() / _file_name(slide_key) / _file_name(name)


def _file_name(text: str) -> str:
    """A name every file system takes, different for different texts."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:80]
    if plain == text:
        return plain
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
