"""How well a model names tiles by words alone (zero-shot)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from histoprompt.core.errors import LabelError, PromptError
from histoprompt.core.files.documents import read_text
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import TextScorer
from histoprompt.pipelines.embedding.words import Query, ensemble
from histoprompt.pipelines.evaluate.report import Cell, Report, check_role, rounded

# Published with PLIP and QuiltNet.
TEMPLATES = (
    "An H&E image patch of {}.",
    "a histopathology slide showing {}",
    "histopathology image of {}",
    "pathology tissue showing {}",
    "presence of {} tissue on image",
)
_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
Float = NDArray[np.float32]


def classes_in(folder: Path) -> dict[str, list[Path]]:
    """Images by class: one folder a class, its name the words, ``_`` for a space.

    Raises
    ------
    LabelError
        If there are fewer than two classes with images.
    """
    found: dict[str, list[Path]] = {}
    for inner in sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []:
        images = sorted(p for p in inner.iterdir() if p.suffix.lower() in _SUFFIXES)
        if images:
            found[inner.name.replace("_", " ")] = images
    if len(found) < 2:
        raise LabelError(
            f"{folder} holds {len(found)} classes: it needs a folder of images for each class, "
            "named as the class is called."
        )
    return found


def read_templates(path: Path | None) -> tuple[str, ...]:
    """Sentences of a text file, one a line with ``{}`` for the class; `TEMPLATES` without a file.

    Raises
    ------
    PromptError
        If the file cannot be read, is empty, or a line lacks ``{}``.
    """
    if path is None:
        return TEMPLATES
    text = read_text(path, PromptError)
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if wrong := [line for line in lines if line.count("{}") != 1]:
        raise PromptError(f"A template must hold {{}} once for the class: {wrong[0]!r} does not.")
    if not lines:
        raise PromptError(f"{path} holds no templates: one a line, with {{}} for the class.")
    return lines


def bench_text(
    classes: dict[str, list[Path]],
    card: ModelCard,
    manager: ModelManager,
    task: Task,
    *,
    weights: Path | None = None,
    templates: Sequence[str] = TEMPLATES,
) -> Report:
    """Give every image the class whose words it is closest to.

    Each class is the mean of its words in all templates, of unit length.

    Parameters
    ----------
    classes : dict of str to list of Path
        As `classes_in` gives them.
    card, manager, weights
        The model.
    task : Task
        Told of every image.
    templates : sequence of str
        With ``{}`` for the class.

    Raises
    ------
    ModelError
        If the model does not read texts.
    PromptError
        If the model cannot know a class.
    LabelError
        If a file is no image.
    """
    check_role(card, "text", "texts")
    names = tuple(classes)
    paths = [(i, path) for i, name in enumerate(names) for path in classes[name]]
    with manager.lease(card, task, weights) as model:
        words = class_vectors(model, names, templates)
    called = np.zeros(len(paths), int)
    for done, (_, path) in enumerate(paths):
        task.step(done, len(paths), f"Looking at {path.name}")
        tile = _read(path)
        with manager.lease(card, task, weights) as model:
            called[done] = int((_embed(model, tile) @ words.T).argmax())
    task.step(len(paths), len(paths), "Done")
    return _report(card, names, np.array([i for i, _ in paths]), called, templates)


def class_vectors(model: TextScorer, names: Sequence[str], templates: Sequence[str]) -> Float:
    """The unit vector of each class, (k, d)."""
    return np.stack([ensemble(model, Query(name, (name,)), templates) for name in names])


def _embed(model: TextScorer, tile: NDArray[np.uint8]) -> Float:
    vector: Float = model.embed_images(tile[None])[0]
    return vector


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return np.asarray(Image.open(path).convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise LabelError(f"{path} cannot be read as an image: {error}.") from error


def _report(
    card: ModelCard,
    names: tuple[str, ...],
    true: NDArray[np.intp],
    called: NDArray[np.intp],
    templates: Sequence[str],
) -> Report:
    table = np.zeros((len(names), len(names)))
    np.add.at(table, (true, called), 1)
    hit, n_true, n_called = table.diagonal(), table.sum(1), table.sum(0)
    precision, recall = hit / np.maximum(n_called, 1), hit / np.maximum(n_true, 1)
    f1 = 2 * hit / np.maximum(n_true + n_called, 1)
    rows: list[tuple[Cell, ...]] = [
        (name, int(n_true[i]), int(n_called[i]), *rounded([precision[i], recall[i], f1[i]]))
        for i, name in enumerate(names)
    ]
    means = rounded([precision.mean(), recall.mean(), f1.mean()])
    rows.append(("mean of classes", len(true), len(true), *means))
    return Report(
        f"{card.title}: words alone",
        f"{len(true):,} images of {len(names)} classes, {len(templates)} templates. Accuracy "
        f"{hit.sum() / len(true):.3f}, macro F1 {f1.mean():.3f}; always calling the most frequent "
        f"class would give an accuracy of {n_true.max() / len(true):.3f}.",
        ("class", "n", "called so", "precision", "recall", "F1"),
        tuple(rows),
        ("precision", "recall", "F1"),
    )
