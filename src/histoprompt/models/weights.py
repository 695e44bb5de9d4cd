"""Finding weights files and making sure they are what they claim to be.

A file is looked for in the weights folder under its published name, then inside the package that
carries it. Its digest is checked before anything opens it.

The rule for a file the user names: under the published name it claims to be the published file and
must have the published digest; under any other name it is the user's own (fine-tuned, converted)
and is taken as it is, its sha256 reported. Either way only tensors are ever read from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from histoprompt.core import settings
from histoprompt.core.atomic import replacing_file
from histoprompt.core.errors import ExportError, WeightsError
from histoprompt.models.card import ModelCard, WeightsSpec

State = Literal["published", "own", "undigested", "unneeded"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class WeightsStatus:
    """Whether a model's weights are there.

    Attributes
    ----------
    path : Path or None
        The file found; None if none is there or none is needed.
    present : bool
        Whether the model can be loaded as far as its weights go.
    expected : Path or None
        Where a missing file is to be put; None for a model without weights.
    """

    path: Path | None
    present: bool
    expected: Path | None


@dataclass(frozen=True, slots=True)
class Verification:
    """What is known of a weights file.

    Attributes
    ----------
    state : str
        ``"published"``: the digest is the published one. ``"own"``: the user's own file.
        ``"undigested"``: no digest is published to compare with. ``"unneeded"``: no weights.
    path : Path or None
        The file.
    digest : str
        ``"algorithm:hex"``; empty where no weights are needed.
    """

    state: State
    path: Path | None = None
    digest: str = ""

    def __str__(self) -> str:
        """One line for people."""
        texts: dict[State, str] = {
            "published": "is the published file",
            "own": "is your own file, not the published one",
            "undigested": "cannot be compared, as no digest is published for it",
            "unneeded": "needs no weights",
        }
        if self.path is None:
            return texts[self.state]
        return f"{self.path} {texts[self.state]} ({self.digest})"


def locate(card: ModelCard) -> WeightsStatus:
    """Look for a model's weights without opening them."""
    spec = card.weights
    if spec is None:
        return WeightsStatus(None, True, None)
    expected = settings.weights_folder() / spec.filename
    for path in (expected, _packaged(spec)):
        if path is not None and path.is_file():
            return WeightsStatus(path, True, expected)
    return WeightsStatus(None, False, expected)


def resolve(
    card: ModelCard, path: Path | None = None, *, allow_unverified: bool = False
) -> Path | None:
    """The checked weights file to load a model from.

    Parameters
    ----------
    card : ModelCard
        Which model.
    path : Path, optional
        A file the user names, in place of the weights folder and the package.
    allow_unverified : bool
        Take the user's file even if it bears the published name and another digest.

    Returns
    -------
    Path or None
        None for a model without weights.

    Raises
    ------
    WeightsError
        If the file is missing (the message says where to get it and where to put it) or its
        digest is wrong (the message gives both).
    """
    if card.weights is None:
        return None
    found = _existing(card, path)
    if path is None or not allow_unverified:
        verify(card, found)
    return found


def verify(card: ModelCard, path: Path | None = None) -> Verification:
    """Compare a weights file with its published digest.

    Parameters
    ----------
    card : ModelCard
        Which model.
    path : Path, optional
        The file; where `locate` finds it by default.

    Raises
    ------
    WeightsError
        If it is missing, cannot be read, or should be the published file and is not.
    """
    spec = card.weights
    if spec is None:
        return Verification("unneeded")
    path = _existing(card, path)
    if spec.digest is None:
        return Verification("undigested", path, file_digest(path, "sha256"))
    algorithm, _, published = spec.digest.partition(":")
    found = file_digest(path, algorithm)
    if found == spec.digest:
        return Verification("published", path, found)
    if path.name != spec.filename:
        return Verification("own", path, file_digest(path, "sha256"))
    raise WeightsError(
        f"{path} ({path.stat().st_size:,} bytes) is not the published file of {card.title}"
        f"{_size(spec)}: its {algorithm} is {found.partition(':')[2]}, published is {published}. "
        f"Get it again from {spec.source}; if these are weights of your own, give the file another "
        "name."
    )


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file as ``"algorithm:hex"``, remembered until the file changes.

    Parameters
    ----------
    path : Path
        The file.
    algorithm : {"sha256", "md5", "xxh128"}
        Which digest.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        stat = path.stat()
        key = f"{algorithm}|{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        known = _remembered()
        if key not in known:
            known = {**known, key: _hash(path, algorithm)}
            _remember(known)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    return f"{algorithm}:{known[key]}"


def _hash(path: Path, algorithm: str) -> str:
    digest = _hasher(algorithm)()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return str(digest.hexdigest())


def _hasher(algorithm: str) -> Callable[[], Any]:
    if algorithm == "xxh128":
        import xxhash

        return xxhash.xxh128
    # md5 tells a damaged download from a whole one here; it guards no secret.
    return lambda: hashlib.new(algorithm, usedforsecurity=False)


def _existing(card: ModelCard, path: Path | None) -> Path:
    """The file given, or the one found; an error that says what to do if there is none."""
    spec, status = card.weights, locate(card)
    if path is not None and not path.is_file():
        raise WeightsError(f"The weights file {path} does not exist. Check the path.")
    found = path or status.path
    if found is None:
        assert spec is not None
        raise WeightsError(
            f"The weights of {card.title} are missing: the file {spec.filename}{_size(spec)}. Get "
            f"it from {spec.source} and put it at {status.expected}, or name a file of your own. "
            f"Licence: {card.licence}."
        )
    return found


def _size(spec: WeightsSpec) -> str:
    return "" if spec.n_bytes is None else f" ({spec.n_bytes:,} bytes)"


def _packaged(spec: WeightsSpec) -> Path | None:
    """The file inside an installed package, found without importing the package (and torch)."""
    if spec.package is None:
        return None
    name, inside = spec.package
    package = find_spec(name)
    folders = package.submodule_search_locations if package is not None else None
    return Path(folders[0]) / inside if folders else None


def _memory_file() -> Path:
    return settings.cache_folder() / "digests.json"


def _remembered() -> dict[str, str]:
    """Digests computed before; a file that cannot be read is the same as none."""
    try:
        raw = json.loads(_memory_file().read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in raw.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _remember(digests: dict[str, str]) -> None:
    """Keep digests for the next run; where that fails they are computed again."""
    with contextlib.suppress(ExportError), replacing_file(_memory_file()) as part:
        part.write_text(json.dumps(digests, indent=1, sort_keys=True), encoding="utf-8")
