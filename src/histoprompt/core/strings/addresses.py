"""Addresses of slides, such as ``https://...`` and ``s3://...``, told from paths."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# What `Path` makes of an address: one slash for two.
_AS_PATH = re.compile(r"^(https?|s3):[\\/](?![\\/])", re.IGNORECASE)
SCHEMES = ("http", "https", "s3")


def is_address(path: str) -> bool:
    """Whether a path is an address such as ``s3://...``, and no file of this machine."""
    return bool(_ADDRESS.match(path))


def address_of(path: str | os.PathLike[str]) -> str | None:
    """The address that a path is, also where it went through a `Path`; None for a path."""
    text = path.as_posix() if isinstance(path, Path) else os.fspath(path)
    text = _AS_PATH.sub(r"\1://", text)
    return text if is_address(text) else None


def scheme_of(address: str) -> str:
    """``"https"`` of ``https://...``, in small letters."""
    return address.partition("://")[0].lower()


def host_of(address: str) -> str:
    """The server, or the bucket, without what a password could be in."""
    return urlsplit(address).netloc.rpartition("@")[2] or address


def address_name(address: str) -> str:
    """The last part of an address's path, as a file would be called."""
    split = urlsplit(address)
    return PurePosixPath(unquote(split.path)).name or split.netloc.rpartition("@")[2]
