"""Texts from files, read with limits: what a file claims never decides how much memory is taken.

Files come from other programs, other people and damaged disks. Everything that reads JSON reads it
here: a file has a largest size, lists nest so deep and no deeper, whole numbers fit into 64 bits,
text is Unicode. What the values must be is then said once, as a type, and held against a `Shape`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import reprlib
import stat
import tomllib
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from histoprompt.core.errors import HistopromptError, LabelError

# The largest file of settings, and of outlines: a hundred thousand of these take 100 MB.
FEW_BYTES, MANY_BYTES = 64 << 20, 1 << 30
# Lists in lists. Outlines need 8; what comes after reading may call itself once a level.
DEEPEST = 64

Error = type[HistopromptError]
T = TypeVar("T")

Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A number that is one."""
Place = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""A level-0 pixel."""
Corners = Annotated[list[Place], Field(min_length=4, max_length=4)]
"""A box, r0, c0, r1, c1."""
Count = Annotated[int, Field(ge=0, lt=2**53)]
"""How many."""

_PIECE = 1 << 24
_LONG = re.compile(rb"\d{19}")
_SURROGATE = re.compile(
    rb"\\\\|(\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w)|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def read_bytes(path: str | os.PathLike[str], error: Error, limit: int = FEW_BYTES) -> bytes:
    """All bytes of a file.

    Parameters
    ----------
    path : path
        An ordinary file: pipes and devices may never end.
    error : type
        What is raised.
    limit : int
        Bytes; a longer file is refused.
    """
    path = Path(path)
    try:
        check_ordinary(path, error)
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as fault:
        raise error(f"{path} cannot be read: {reason(fault)}.") from fault
    except ValueError as fault:  # a NUL in its name
        raise error(f"{str(path)!r} is no name of a file.") from fault
    if len(raw) > limit:
        raise error(f"{path} has more than {limit >> 20} MB, the most that is read of such a file.")
    return raw


def check_ordinary(path: Path, error: Error = LabelError) -> os.stat_result:
    """Refuse what is no ordinary file: pipes and devices may never end; what the system says of it.

    Raises
    ------
    OSError
        If it cannot be looked at.
    """
    told = path.stat()
    if not stat.S_ISREG(told.st_mode):
        raise error(f"{path} is no file that can be read. Name a file.")
    return told


def head_of(path: Path, size: int = 4096, suffixes: tuple[str, ...] = ()) -> bytes:
    """The first bytes of a file, to tell its format by; none of a folder or of another suffix.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    if not path.is_file() or (suffixes and path.suffix.lower() not in suffixes):
        return b""
    with path.open("rb") as file:
        return file.read(size)


def reason(fault: OSError) -> str:
    """Why the system refused a file, in its own words."""
    if fault.errno == errno.ENAMETOOLONG:
        return "its name is too long"
    return fault.strerror or str(fault) or type(fault).__name__


def read_text(path: str | os.PathLike[str], error: Error, limit: int = FEW_BYTES) -> str:
    """A file as text: UTF-8, with or without a byte-order mark. Raises as `read_bytes` does."""
    return _decoded(read_bytes(path, error, limit), str(path), error)


def read_json(
    path: str | os.PathLike[str], error: Error = LabelError, limit: int = MANY_BYTES
) -> Any:
    """What a JSON file holds. Raises as `read_bytes` and `parse_json` do."""
    return parse_json(read_bytes(path, error, limit), str(path), error)


def parse_json(raw: bytes | str, where: str, error: Error = LabelError) -> Any:
    """The values of a JSON text.

    Parameters
    ----------
    raw : bytes or str
        UTF-8, with or without a byte-order mark.
    where : str
        For messages.
    error : type
        What is raised if it is no JSON, nests too deep, or holds a whole number beyond 64 bits.
    """
    text = raw if isinstance(raw, str) else _decoded(raw, where, error)
    data = text.encode("utf-8", "replace")
    try:
        deepest = _depth(data)
        if deepest > DEEPEST:
            raise ValueError(f"it nests {deepest} lists deep, and {DEEPEST} is the most")
        load = partial(json.loads, parse_int=_whole) if _LONG.search(data) else json.loads
        return load(_SURROGATE.sub(_paired, data))
    except (ValueError, RecursionError) as fault:
        raise error(f"{where} is not JSON that can be read: {fault}.") from fault


def read_toml(path: Path, error: Error) -> dict[str, Any]:
    """The tables of a TOML file. Raises as `read_bytes`, and if it is no TOML."""
    try:
        return tomllib.loads(read_text(path, error))
    except (ValueError, RecursionError) as fault:
        raise error(f"{path} is no TOML that can be read: {fault}.") from fault


class Shape(Generic[T]):
    """What the values of a document must be.

    Parameters
    ----------
    kind : type
        Of the whole, such as a `TypedDict`; further keys are left out. Numbers are not read from
        texts, nor whole ones from fractions.
    """

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        return TypeAdapter(self._kind)

    def of(self, data: Any, where: str, error: Error = LabelError, advice: str = "") -> T:
        """The same values, checked.

        Parameters
        ----------
        data : object
        where : str
            The file.
        error : type
            What is raised; its message names the first value that is wrong.
        advice : str
            What to do then, a sentence.
        """
        try:
            return self._adapter.validate_python(data, strict=True)
        except ValidationError as fault:
            told = f"{where} is damaged: {_first(fault)}."
            raise error(f"{told} {advice}" if advice else told) from fault


def _first(fault: ValidationError) -> str:
    found = fault.errors(include_url=False, include_context=False)[0]
    place = "".join(f"[{x}]" if isinstance(x, int) else f".{x}" for x in found["loc"])[:200]
    place = place.removeprefix(".") or "the whole"
    if found["type"] == "missing":
        return f"it lacks {place}"
    owed = found["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{place} {owed}, but is {reprlib.repr(found['input'])}"


def _decoded(raw: bytes, where: str, error: Error) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        kind = "UTF-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8"
        raise error(f"{where} is {kind} (byte {fault.start}). Save it as text in UTF-8.") from fault


def _depth(data: bytes) -> int:
    """How deep lists and objects nest, brackets inside of texts left out."""
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    deepest = depth = 0
    inside = False
    for start in range(0, len(plain), _PIECE):
        piece = np.frombuffer(plain, np.uint8, min(_PIECE, len(plain) - start), start)
        quoted = np.logical_xor.accumulate(piece == ord('"')) ^ inside
        opened = (piece == ord("[")) | (piece == ord("{"))
        steps = opened.astype(np.int8) - ((piece == ord("]")) | (piece == ord("}")))
        level: NDArray[np.int64] = np.cumsum(np.where(quoted, 0, steps), dtype=np.int64)
        deepest = max(deepest, depth + int(level.max()))
        depth, inside = depth + int(level[-1]), bool(quoted[-1])
    return deepest


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise ValueError(f"the whole number {digits[:20]}... of {len(digits)} digits is too large")
    return int(digits)


def _paired(found: re.Match[bytes]) -> bytes:
    """Half of a pair of surrogates is no character: it could be neither shown nor written."""
    return found[0] if found[0] == b"\\\\" or found[1] else rb"\ufffd"
