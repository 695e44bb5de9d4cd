"""The UUID of an OME-TIFF by what the file holds, so that the same labels are the same file."""

from __future__ import annotations

import hashlib
import mmap
import uuid
from pathlib import Path

# Stands in the file until all of it is known.
UNKNOWN = str(uuid.UUID(int=0))
_TEXT = f"urn:uuid:{UNKNOWN}".encode()


def settle_uuid(path: Path) -> None:
    """Put a UUID made of a file's content where `UNKNOWN` stands in its OME description.

    Parameters
    ----------
    path : Path
        A file that nobody reads yet.
    """
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        known = uuid.UUID(bytes=digest[:16], version=5)
        with mmap.mmap(file.fileno(), 0) as content:
            at = content.find(_TEXT)
            while at >= 0:
                content[at : at + len(_TEXT)] = f"urn:uuid:{known}".encode()
                at = content.find(_TEXT, at + 1)
