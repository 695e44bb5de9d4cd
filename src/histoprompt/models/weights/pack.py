"""Carrying weights to a machine without a network: packs made here, packs and files brought there.

On import nothing of a pack decides where a file goes: its names are only looked up among the models
known here, and each file is held against its published digest as a download is.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from histoprompt.core.errors import WeightsError
from histoprompt.core.files.atomic import explained, free_bytes, replacing_file
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.weights import licence
from histoprompt.models.weights.check import WeightsVerification, verify_all
from histoprompt.models.weights.digests import file_digest
from histoprompt.models.weights.find import partial_path
from histoprompt.models.weights.install import alone, put_in_place
from histoprompt.models.weights.pack_format import (
    MANIFEST,
    Packed,
    PackReader,
    manifest,
    member,
    opened,
    pieces,
)


def export_pack(cards: Sequence[ModelCard], out: Path, task: Task | None = None) -> list[Packed]:
    """Write the installed files of some models into one pack.

    Parameters
    ----------
    cards : sequence of ModelCard
        Which models; files that come with installed packages are left out.
    out : Path
        The pack; appears whole or not at all.
    task : Task, optional
        Is told of progress, and cancels.

    Raises
    ------
    WeightsError
        If a model is not installed or one of its files is not the published one.
    ExportError
        If the pack cannot be written.
    """
    task = task or Task()
    files = _files(cards, task)
    if not files:
        raise WeightsError(
            "There is nothing to pack: the weights of these models come with "
            "installed packages, or they need none."
        )
    with replacing_file(out) as part, zipfile.ZipFile(part, "w") as archive:
        archive.writestr(MANIFEST, json.dumps(manifest(cards, list(files)), indent=1))
        for card in cards:
            archive.writestr(f"licences/{card.id}.txt", licence.page(card) + "\n")
        for packed, path in files.items():
            with path.open("rb") as source, member(archive, packed) as target:
                for piece in pieces(source, packed.n_bytes, f"Packing {path.name}", task):
                    target.write(piece)
    return list(files)


def import_pack(
    path: Path, cards: Sequence[ModelCard], task: Task | None = None
) -> list[WeightsVerification]:
    """Put the files of a pack in place, each checked first.

    Parameters
    ----------
    path : Path
        The pack.
    cards : sequence of ModelCard
        The models to take from it; their terms must have been accepted.
    task : Task, optional
        Is told of progress, and cancels.

    Raises
    ------
    LicenceError
        If terms have not been accepted: nothing is put in place then.
    WeightsError
        If the pack is damaged or a file in it is not the published one.
    """
    for card in cards:
        licence.require(card)
    task = task or Task()
    with opened(path) as pack:
        files = pack.files()
        wanted = [(card, spec) for card in cards for spec in card.files if str(spec.place) in files]
        _check_all_there(path, cards, files)
        for card, spec in wanted:
            _check_sizes(pack, files[str(spec.place)], card, spec)
        return [
            _import_packed(pack, files[str(spec.place)], card, spec, task) for card, spec in wanted
        ]


def _check_all_there(path: Path, cards: Sequence[ModelCard], files: Mapping[str, Packed]) -> None:
    """Refuse a pack that lists no file of a model it says it holds."""
    own = {card.id: [s.place for s in card.files if s.package is None] for card in cards}
    lacking = [i for i, places in own.items() if places and not {str(p) for p in places} & {*files}]
    if lacking:
        raise WeightsError(
            f"None of the {len(files):,} files in {path} is a file of {', '.join(lacking)}, so "
            "nothing was put in place. Pack the models again, with this version."
        )


def _check_sizes(pack: PackReader, packed: Packed, card: ModelCard, spec: WeightsSpec) -> None:
    """Refuse, before anything is unpacked, what cannot be the file it is said to be."""
    pack.check_size(packed)
    if spec.n_bytes is not None and packed.n_bytes != spec.n_bytes:
        raise WeightsError(
            f"{pack.path} holds {packed.n_bytes:,} bytes as {packed.place}, but the published "
            f"file of {card.title} has {spec.n_bytes:,}. Copy the pack again, or make it again."
        )
    free = free_bytes(partial_path(spec))
    if packed.n_bytes > free:
        raise WeightsError(
            f"There is no room for {packed.place}: it has {packed.n_bytes // 1_000_000:,} MB, and "
            f"{free // 1_000_000:,} MB are free on that disk."
        )


def import_file(path: Path, card: ModelCard, task: Task | None = None) -> WeightsVerification:
    """Put one weights file that was brought by hand in place.

    Parameters
    ----------
    path : Path
        The file, under any name; it stays where it is and is copied.
    card : ModelCard
        Whose file it is; its terms must have been accepted.

    Raises
    ------
    LicenceError
        If the terms have not been accepted.
    WeightsError
        If it is none of the model's published files.
    """
    task = task or Task()
    licence.require(card)
    if not path.is_file():
        raise WeightsError(f"The file {path} does not exist. Check the path.")
    spec = _spec_of(path, card, task)
    with _gathering(spec, task) as part:
        with path.open("rb") as source, part.open("wb") as target:
            for piece in pieces(source, path.stat().st_size, f"Copying {path.name}", task):
                target.write(piece)
        return put_in_place(card, spec, part, str(path), task)


def _spec_of(path: Path, card: ModelCard, task: Task) -> WeightsSpec:
    """Which of a model's files this is: by its digest, else by its name, else the only one."""
    for spec in card.files:
        algorithm = (spec.digest or "").partition(":")[0]
        if algorithm and file_digest(path, algorithm, task) == spec.digest:
            return spec
    named = [spec for spec in card.files if spec.filename == path.name] or list(card.files)
    if len(named) != 1:
        names = ", ".join(spec.filename for spec in named)
        raise WeightsError(
            f"{path} is none of the published files of {card.title}. Give it the name of the one "
            f"it is: {names}."
            if named
            else f"{card.title} needs no weights."
        )
    return named[0]


def _import_packed(
    pack: PackReader, packed: Packed, card: ModelCard, spec: WeightsSpec, task: Task
) -> WeightsVerification:
    with _gathering(spec, task) as part:
        pack.unpack(packed, part, task)
        return put_in_place(card, spec, part, f"{pack.path}, {packed.place}", task)


@contextmanager
def _gathering(spec: WeightsSpec, task: Task) -> Iterator[Path]:
    """A file to fill that is gone afterwards unless it was put in place."""
    part = partial_path(spec).with_suffix(".import")
    with alone(spec, task), explained(part):
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)


def _files(cards: Sequence[ModelCard], task: Task) -> dict[Packed, Path]:
    """The checked files of the models, each once."""
    found = {}
    for card in cards:
        for spec, checked in zip(card.files, verify_all(card, task), strict=True):
            path = checked.path
            if path is not None and spec.package is None:
                sha256 = file_digest(path, "sha256", task)
                found[Packed(str(spec.place), path.stat().st_size, sha256)] = path
    return found
