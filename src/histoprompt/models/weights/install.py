"""Putting the files of a model in place, and taking them away.

Whatever arrives is gathered in a folder beside the weights, checked there, and moved in place in
one step; nothing that was not checked ever lies where a model is loaded from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from filelock import FileLock, Timeout

from histoprompt.core.errors import WeightsError
from histoprompt.core.files.atomic import explained
from histoprompt.core.files.durable import sync_file, sync_folder
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.weights import licence, pins
from histoprompt.models.weights.check import WeightsVerification, verify_file
from histoprompt.models.weights.checkpoints import check_format
from histoprompt.models.weights.digests import file_digest, remember_move
from histoprompt.models.weights.find import expected_path, find, missing_error, partial_path
from histoprompt.models.weights.hub import hub_source
from histoprompt.models.weights.transfer import DownloadSource, direct, fetch, mark_of

# What the files of tensors end in; vocabularies and the like do not.
_WEIGHTS = {".pt", ".pth", ".bin", ".safetensors"}
# Seconds between two looks at a file that another process is fetching.
_LOOK = 0.2


def install(card: ModelCard, task: Task | None = None) -> list[WeightsVerification]:
    """Fetch what a model lacks; files that are there are checked and never fetched again.

    Parameters
    ----------
    card : ModelCard
        Which model; its terms must have been accepted.
    task : Task, optional
        Is told of progress, and cancels: what came so far is kept for the next time.

    Raises
    ------
    LicenceError
        If the terms have not been accepted.
    WeightsError
        If a file cannot be fetched or is not the published one.
    """
    licence.require(card)
    return [_install_file(card, spec, task or Task()) for spec in card.files]


def remove(card: ModelCard, task: Task | None = None, *, forget: bool = False) -> list[Path]:
    """Delete a model's files from the weights folder, begun downloads included.

    Files inside packages and in the hub's shared cache are not ours to delete.

    Parameters
    ----------
    task : Task, optional
        Cancels while another program works on a file.
    forget : bool
        Forget the sha256 of the first file seen as well, so that another one can be installed.

    Returns
    -------
    list of Path
        What was deleted.
    """
    removed = []
    for spec in card.files:
        path = expected_path(spec)
        with alone(spec, task or Task()), explained(path):
            part = partial_path(spec)
            removed += [old for old in (path, part) if old.is_file()]
            for old in (path, part, mark_of(part)):
                old.unlink(missing_ok=True)
        if forget:
            pins.forget(spec)
    return removed


def sharing(card: ModelCard, cards: tuple[ModelCard, ...]) -> list[ModelCard]:
    """Other models that use a file of this one, and lose it too when it is removed."""
    places = {spec.place for spec in card.files}
    return [c for c in cards if c.id != card.id and places & {spec.place for spec in c.files}]


def put_in_place(
    card: ModelCard, spec: WeightsSpec, part: Path, origin: str, task: Task
) -> WeightsVerification:
    """Check a gathered file and move it to where it is looked for.

    Parameters
    ----------
    part : Path
        The file, on the same disk as the weights folder; deleted if it is not the published one.
    origin : str
        Where it came from, for messages.

    Raises
    ------
    WeightsError
        If it is not the published file, or not the one first seen, or no weights at all.
    """
    try:
        if spec.digest is None and PurePath(spec.filename).suffix in _WEIGHTS:
            check_format(part, origin)
        checked = verify_file(card, spec, part, task, origin=origin)
    except WeightsError:
        part.unlink(missing_ok=True)
        raise
    target = expected_path(spec)
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        remember_move(part, target)
        sync_file(part)
        os.replace(part, target)
        sync_folder(target.parent)
        # What was begun by another way is no longer needed.
        partial_path(spec).unlink(missing_ok=True)
    return WeightsVerification(checked.state, target, checked.digest, checked.pin)


@contextmanager
def alone(spec: WeightsSpec, task: Task) -> Iterator[None]:
    """Let one program at a time work on a file; the others wait and can be cancelled.

    Raises
    ------
    Cancelled
        If the task is cancelled while another program works on the file.
    """
    path = partial_path(spec).with_suffix(".lock")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        while not _taken(lock):
            task.step(0, 0, f"Waiting for another program that fetches {spec.filename}")
    try:
        yield
    finally:
        lock.release()


def _taken(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=_LOOK)
    except Timeout:
        return False
    return True


def _install_file(card: ModelCard, spec: WeightsSpec, task: Task) -> WeightsVerification:
    with alone(spec, task):
        path = find(spec)
        if path is not None:
            return verify_file(card, spec, path, task)
        if spec.package is not None:
            raise missing_error(card, spec)
        source = _source(spec)
        part = partial_path(spec)
        fetch(source, part, task)
        _check_stated(spec, source, part, task)
        return put_in_place(card, spec, part, source.url, task)


def _source(spec: WeightsSpec) -> DownloadSource:
    if spec.hub is not None:
        return hub_source(spec, spec.hub)
    url = direct(spec.url or spec.source)
    return DownloadSource(url, spec.filename, spec.source, spec.n_bytes, spec.digest)


def _check_stated(spec: WeightsSpec, source: DownloadSource, part: Path, task: Task) -> None:
    """Compare with the hash that the hub states, where none is published."""
    if spec.digest is not None or source.digest is None:
        return
    found = file_digest(part, "sha256", task)
    if found != source.digest:
        part.unlink()
        raise WeightsError(
            f"{spec.filename} came damaged from {source.url}: its sha256 is "
            f"{found.partition(':')[2]}, the hub states {source.digest.partition(':')[2]}. It was "
            "not put in place. Try again."
        )
