"""Where the files of a model lie.

A file is looked for at its place in the weights folder, then inside the package that carries it,
then in the cache that other programs fill from the Hugging Face hub. None is opened here.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from histoprompt.core import settings
from histoprompt.core.errors import WeightsError
from histoprompt.models.card import HubFile, ModelCard, WeightsSpec

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class WeightsStatus:
    """Whether a model's weights are there.

    Attributes
    ----------
    path : Path or None
        The file handed to the loader; None if it is not there or none is needed.
    present : bool
        Whether all files are there.
    expected : Path or None
        Where the first missing file is to be put, or the loader's file if all are there; None for
        a model without weights.
    missing : tuple of WeightsSpec
        The files that are not there.
    """

    path: Path | None
    present: bool
    expected: Path | None
    missing: tuple[WeightsSpec, ...] = ()


def locate(card: ModelCard) -> WeightsStatus:
    """Look for a model's weights without opening them."""
    if card.weights is None:
        return WeightsStatus(None, True, None)
    missing = tuple(spec for spec in card.files if find(spec) is None)
    expected = expected_path(missing[0] if missing else card.weights)
    return WeightsStatus(find(card.weights), not missing, expected, missing)


def find(spec: WeightsSpec) -> Path | None:
    """A file of a model, or None if it is nowhere."""
    path = expected_path(spec)
    if path.is_file():
        return path
    return _packaged(spec.package) or _in_hub_cache(spec.hub)


def expected_path(spec: WeightsSpec) -> Path:
    """Where a file is put by hand, by `models install` and by `models import`."""
    return settings.weights_folder() / spec.place


def partial_path(spec: WeightsSpec) -> Path:
    """Where a file is gathered until it is whole and checked."""
    name = spec.place.as_posix().replace("/", "--")
    return settings.weights_folder() / ".incoming" / f"{name}.part"


def partial_bytes(card: ModelCard) -> int:
    """How much of a begun download is there."""
    paths = [partial_path(spec) for spec in card.files]
    return sum(path.stat().st_size for path in paths if path.is_file())


def missing_error(card: ModelCard, spec: WeightsSpec) -> WeightsError:
    """What to tell the user of a file that is not there."""
    if spec.package is not None:
        return WeightsError(
            f"The weights of {card.title} are missing: {spec.filename}{size_text(spec)} comes "
            f"inside the Python package {spec.package[0]}: install it again, or put the file at "
            f"{expected_path(spec)}."
        )
    return WeightsError(
        f"The weights of {card.title} are missing: the file {spec.filename}{size_text(spec)}. "
        f"Install them in the Models dock or with `histoprompt models install {card.id}`; or get "
        f"the file from {spec.source} and put it at {expected_path(spec)}, or name a file of your "
        f"own. Licence: {card.licence}."
    )


def size_text(spec: WeightsSpec) -> str:
    """The size in brackets, with a space before; empty where none is known."""
    if spec.n_bytes is not None:
        return f" ({spec.n_bytes:,} bytes)"
    return "" if spec.approx_bytes is None else f" (about {megabytes(spec.approx_bytes)})"


def megabytes(n_bytes: int) -> str:
    """A size for people: "606 MB", "0.2 MB"."""
    return f"{max(n_bytes / _MB, 0.1):,.{int(n_bytes < _MB)}f} MB"


def _packaged(package: tuple[str, str] | None) -> Path | None:
    """The file inside an installed package, found without importing the package (and torch)."""
    if package is None:
        return None
    found = find_spec(package[0])
    folders = found.submodule_search_locations if found is not None else None
    path = Path(folders[0]) / package[1] if folders else None
    return path if path is not None and path.is_file() else None


def _in_hub_cache(hub: HubFile | None) -> Path | None:
    """The file as another program fetched it; the cache is shared, so nothing is removed there."""
    if hub is None:
        return None
    from huggingface_hub import constants, try_to_load_from_cache

    # Asked first because the cache's reader takes a while to import.
    if not (Path(constants.HF_HUB_CACHE) / f"models--{hub.repo.replace('/', '--')}").is_dir():
        return None
    found = try_to_load_from_cache(hub.repo, hub.filename, revision=hub.revision)
    return Path(found) if isinstance(found, str) else None
