"""Making sure that weights are what they claim to be, before anything opens them.

The rule for a file the user names: under the published name it claims to be the published file and
must have the published digest; under any other name it is the user's own (fine-tuned, converted)
and is taken as it is, its sha256 reported. Either way only tensors are ever read from it;
files that are programs have to be trusted first, see `trust`.

Where no sha256 is published, the sha256 of the first file seen is kept as a pin, and a later file
that differs is refused. A file whose digest is not published at all becomes the first seen only if
its tensors are those of the model, see `fit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from histoprompt.core.errors import WeightsError
from histoprompt.core.provenance import ModelUse
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.weights import pins
from histoprompt.models.weights.digests import file_digest, folder_digest
from histoprompt.models.weights.find import find, missing_error, size_text
from histoprompt.models.weights.fit import check_fit

State = Literal["published", "pinned", "own", "unneeded"]


@dataclass(frozen=True, slots=True)
class WeightsVerification:
    """What is known of a weights file.

    Attributes
    ----------
    state : str
        ``"published"``: the digest is the published one. ``"pinned"``: none is published, and it
        is the file first seen here. ``"own"``: the user's own file. ``"unneeded"``: no weights.
    path : Path or None
        The file.
    digest : str
        ``"algorithm:hex"``; empty where no weights are needed.
    pin : Pin or None
        The sha256 kept from the first file, where none is published.
    """

    state: State
    path: Path | None = None
    digest: str = ""
    pin: pins.Pin | None = None

    def __str__(self) -> str:
        """One line for people."""
        texts: dict[State, str] = {
            "published": "is the published file",
            "pinned": "is the file first seen here; no digest is published for it",
            "own": "is your own file, not the published one",
            "unneeded": "needs no weights",
        }
        if self.path is None:
            return texts[self.state]
        kept = f", the same since {self.pin.date}" if self.pin is not None else ""
        return f"{self.path} {texts[self.state]} ({self.digest}{kept})"


def resolve(
    card: ModelCard, path: Path | None = None, *, allow_unverified: bool = False
) -> Path | None:
    """The checked weights file to load a model from.

    Parameters
    ----------
    card : ModelCard
        Which model.
    path : Path, optional
        A file the user names, in place of the weights folder and the package. For a model whose
        package keeps the weights (`card.needs`) it may be a folder, and is for the package to read.
    allow_unverified : bool
        Take the user's file even if it bears the published name and another digest.

    Returns
    -------
    Path or None
        None for a model without weights, or with those its package keeps.

    Raises
    ------
    WeightsError
        If the file is missing (the message says where to get it and where to put it) or its
        digest is wrong (the message gives both).
    """
    if card.weights is None:
        return None if card.needs is None or path is None else _there(path)
    found = _existing(card, card.weights, path)
    if path is None or not allow_unverified:
        verify_file(card, card.weights, found)
    return found


def companion(card: ModelCard, filename: str, beside: Path | None = None) -> Path:
    """A checked further file of a model, for its loader.

    Parameters
    ----------
    card : ModelCard
        Which model.
    filename : str
        Of one of `card.others`.
    beside : Path, optional
        The loader's file: a companion in the same folder comes first, so that a user's own files
        stay together.

    Raises
    ------
    WeightsError
        If it is missing or its digest is wrong.
    """
    spec = next(spec for spec in card.others if spec.filename == filename)
    near = beside.parent / filename if beside is not None else None
    path = _existing(card, spec, near if near is not None and near.is_file() else None)
    verify_file(card, spec, path)
    return path


def in_use(card: ModelCard, path: Path | None = None) -> ModelUse:
    """The weights a model would be loaded with now, by their digest.

    Parameters
    ----------
    card : ModelCard
    path : Path, optional
        As for `resolve`.

    Raises
    ------
    WeightsError
        As `resolve`.
    """
    found = resolve(card, path)
    if found is None:
        return ModelUse(card.id)
    digest = folder_digest if found.is_dir() else file_digest
    return ModelUse(card.id, digest(found, "sha256"))


def verify(
    card: ModelCard, path: Path | None = None, task: Task | None = None
) -> WeightsVerification:
    """Compare the loader's file with its published digest, and a user's own with the network.

    Parameters
    ----------
    card : ModelCard
        Which model.
    path : Path, optional
        The file; where `locate` finds it by default.
    task : Task, optional
        Is told how far it is read.

    Raises
    ------
    WeightsError
        If it is missing, cannot be read, should be the published file and is not, or holds another
        network.
    """
    if card.weights is None:
        return WeightsVerification("unneeded")
    found = _existing(card, card.weights, path)
    checked = verify_file(card, card.weights, found, task)
    if checked.state == "own":
        check_fit(card, card.weights, found)
    return checked


def verify_all(card: ModelCard, task: Task | None = None) -> list[WeightsVerification]:
    """Compare every file of a model with its published digest.

    Raises
    ------
    WeightsError
        If one is missing, cannot be read, or is another file.
    """
    return [verify_file(card, spec, _existing(card, spec), task) for spec in card.files]


def verify_file(
    card: ModelCard,
    spec: WeightsSpec,
    path: Path,
    task: Task | None = None,
    origin: str = "",
) -> WeightsVerification:
    """Compare one file with what is known of it.

    Parameters
    ----------
    card : ModelCard
        Which model, for messages.
    spec : WeightsSpec
        Which of its files.
    path : Path
        Where it is.
    task : Task, optional
        Is told how far it is read.
    origin : str
        Where it came from, if it is about to be put in place: then it claims to be the published
        file whatever its name.

    Raises
    ------
    WeightsError
        If it should be the published file and is not, or cannot be read.
    """
    claims = bool(origin) or path.name == spec.filename
    algorithm, _, published = (spec.digest or "").partition(":")
    if published:
        found = file_digest(path, algorithm, task)
        if found != spec.digest:
            if claims:
                raise _other_file(card, spec, path, found, origin)
            return WeightsVerification("own", path, file_digest(path, "sha256", task))
        if algorithm == "sha256":
            return WeightsVerification("published", path, found)
    elif not claims:
        return WeightsVerification("own", path, file_digest(path, "sha256", task))
    sha256 = file_digest(path, "sha256", task)
    if pins.pin_of(spec) is None and not origin and path != find(spec):
        # What the user names may be anything: only a file put in place becomes the first seen.
        return WeightsVerification("published" if published else "own", path, sha256)
    if not published and pins.pin_of(spec) is None:
        check_fit(card, spec, path, origin)
    pin = pins.check(card, spec, origin or str(path), sha256)
    return WeightsVerification("published" if published else "pinned", path, sha256, pin)


def _there(path: Path) -> Path:
    if not path.exists():
        raise WeightsError(f"The weights {path} do not exist. Check the path.")
    return path


def _existing(card: ModelCard, spec: WeightsSpec, path: Path | None = None) -> Path:
    """The file given, or the one found; an error that says what to do if there is none."""
    if path is not None and not path.is_file():
        raise WeightsError(f"The weights file {path} does not exist. Check the path.")
    found = path or find(spec)
    if found is None:
        raise missing_error(card, spec)
    return found


def _other_file(
    card: ModelCard, spec: WeightsSpec, path: Path, found: str, origin: str
) -> WeightsError:
    algorithm, _, published = str(spec.digest).partition(":")
    advice = (
        "It was not put in place and nothing opened it. Try again; if it happens again, the file "
        "was changed at its source or on the way."
        if origin
        else f"Get it again from {spec.source}; if these are weights of your own, give the file "
        "another name."
    )
    return WeightsError(
        f"{origin or path} ({path.stat().st_size:,} bytes) is not the published file "
        f"{spec.filename} of {card.title}{size_text(spec)}: its {algorithm} is "
        f"{found.partition(':')[2]}, published is {published}.{_whose(found)} {advice}"
    )


def _whose(digest: str) -> str:
    """Which other model a published digest belongs to, as a sentence; empty if to none."""
    titles = [c.title for c in registry.all_cards() if digest in {s.digest for s in c.files}]
    return f" It is the published file of {titles[0]}." if titles else ""
