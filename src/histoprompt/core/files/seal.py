"""A sign that a file was written by this account on this computer, which nobody else can make.

What a list of files says is only as good as who wrote it. Where a list decides what is removed, it
carries a seal: a code of its content by a secret number of the account.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from histoprompt.core import settings

_NAME, _BYTES = "seal_key", 32


def seal_of(content: bytes) -> str:
    """The seal of some bytes; empty where the account's secret cannot be kept."""
    key = _key(make=True)
    return hmac.new(key, content, hashlib.sha256).hexdigest() if key else ""


def is_sealed(content: bytes, seal: str) -> bool:
    """Whether `seal_of` of this account gave this for these bytes."""
    key = _key(make=False)
    if not key or not seal.isascii():
        return False
    return hmac.compare_digest(hmac.new(key, content, hashlib.sha256).hexdigest(), seal)


def _key(*, make: bool) -> bytes:
    """The secret of the account, made when it is first asked for; empty if there is none."""
    path = settings.home() / _NAME
    try:
        if make and not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError:
        return b""
    return key if len(key) == _BYTES else b""


def _make(path: Path) -> None:
    """Write a new secret that only the account may read; another process may be faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
        os.link(part, path)  # unlike a rename it does not replace what another one made
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not path.exists():
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
