"""Cells told apart by words: each is shown to a text scorer, in a crop or as part of its tile.

Two ways. A **crop** shows each cell with some of its surroundings, one forward pass a cell. **Token
pooling** shows a whole tile once and takes, for each cell, the tokens its place falls on, which is
many times less work; it needs a model that hands its tokens out (`TokenScorer`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.errors import MissingMppError, ModelError, PromptError
from histoprompt.core.geometry import Box
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.roles import TextScorer, TokenScorer
from histoprompt.pipelines.embedding.prefetch import prefetch
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.tile_plan import USUAL_MPP, moved_inside
from histoprompt.pipelines.embedding.tiles import embed_images, read_square, run_parts
from histoprompt.pipelines.embedding.words import TEMPLATES, ensemble, probabilities, queries

Way = Literal["crop", "tokens"]


@dataclass(frozen=True)
class CellTexts:
    """The classes cells are told apart into, as words, and how.

    Attributes
    ----------
    texts : tuple of str
        Two or more; ``brown nuclei | positive nuclei`` gives synonyms. The first wording is the
        name of the class.
    templates : str
        A key of `queries.TEMPLATES`.
    way : {"crop", "tokens"}
    margin : float
        Side of a crop over the cell's diameter.
    least_um : float
        Side of the smallest crop in microns: what is around a cell says much of what it is.
    doubt : float
        A cell whose two best texts are closer than this, in probability, is unsure.
    temperature : float
    """

    texts: tuple[str, ...] = ()
    templates: str = "conch"
    way: Annotated[
        Way,
        Parameter(
            "Cells seen as",
            "A picture of each cell, or its part of a tile.",
            offers=(("pictures of their own", "crop"), ("parts of a tile", "tokens")),
            advanced=True,
            option="cells-as",
        ),
    ] = "crop"
    margin: Annotated[
        float,
        Parameter(
            "Crop over diameter",
            "Side of a cell's picture over its diameter.",
            low=1.0,
            high=8.0,
            advanced=True,
            option="cell-margin",
        ),
    ] = 1.75
    least_um: Annotated[
        float,
        Parameter(
            "Smallest crop",
            "Side of the smallest picture of a cell in microns.",
            low=1.0,
            high=200.0,
            unit="µm",
            advanced=True,
            option="cell-crop-um",
        ),
    ] = 16.0
    doubt: Annotated[
        float,
        Parameter(
            "Unsure within",
            "A cell whose two best texts are closer than this is unsure.",
            low=0.0,
            high=1.0,
            advanced=True,
            option="cell-doubt",
        ),
    ] = 0.1
    temperature: Annotated[
        float,
        Parameter(
            "Soften scores by",
            "As for tiles, for the texts of cells.",
            low=0.01,
            high=100.0,
            advanced=True,
            option="cell-temperature",
        ),
    ] = 1.0

    def __post_init__(self) -> None:
        check(self, PromptError)


def score_cells(
    slide: Slide, cells: CellTable, texts: CellTexts, job: ScoreJob, task: Task
) -> CellTable:
    """Give each cell the text that fits it best.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    cells : CellTable
        Where they are and how large.
    texts : CellTexts
    job : ScoreJob
    task : Task
        Told of every batch.

    Returns
    -------
    CellTable
        The same cells; classes are the names of the texts and `UNSURE`, scores the probability of
        the best text, and the vectors are added to the features as ``<model>_<way>_<i>``, so that
        corrections of some cells train a few-shot classifier at once.

    Raises
    ------
    PromptError
        If fewer than two texts are given, or the model cannot know one.
    ModelError
        If tokens are wanted of a model that has none.
    MissingMppError
        If the slide has no pixel size.
    """
    rows, scale = _asked(texts, job, task)
    if slide.mpp is None:
        raise MissingMppError(
            f"{slide.name} does not state its pixel size, and cells are shown to a model at a "
            "known scale."
        )
    names = [query.name for query in queries(texts.texts)]
    if not len(cells):
        return replace(cells, classes=(*names, UNSURE))
    vectors = _vectors(slide, cells, texts, job, task)
    found = probabilities(vectors @ rows.T, scale, len(names))
    return _classified(cells, names, found, vectors, (texts, job.card.id))


def check_texts(texts: CellTexts, job: ScoreJob, task: Task) -> None:
    """Refuse texts that cells cannot be told apart by, before any cell is looked for.

    Raises
    ------
    PromptError
        If fewer than two texts are given, or the model cannot know one.
    """
    _asked(texts, job, task)


def _asked(texts: CellTexts, job: ScoreJob, task: Task) -> tuple[NDArray[np.float32], float]:
    """The vector of each text (m, d), and what cosines are multiplied by."""
    wanted = queries(texts.texts)
    if len(wanted) < 2:
        raise PromptError(
            "Cells are told apart by two texts or more: give one for each class, such as "
            "lymphocytes and tumour cells."
        )
    if any(query.name == UNSURE for query in wanted):
        raise PromptError(f"{UNSURE!r} is what cells are called that fit no text well enough.")
    with job.manager.lease(job.card, task, job.weights) as model:
        rows = []
        for query in wanted:
            task.repeat()
            rows.append(ensemble(model, query, TEMPLATES[texts.templates]))
        return np.stack(rows), float(model.logit_scale) / texts.temperature


def _classified(
    cells: CellTable,
    names: Sequence[str],
    found: NDArray[np.float32],
    vectors: NDArray[np.float32],
    made_by: tuple[CellTexts, str],
) -> CellTable:
    texts, model = made_by
    order = np.sort(found, axis=1)
    code = found.argmax(axis=1).astype(np.int16)
    code[order[:, -1] - order[:, -2] < texts.doubt] = len(names)
    described = [f"{model}_{texts.way}_{i}" for i in range(vectors.shape[1])]
    kept = [i for i, name in enumerate(cells.feature_names) if name not in described]
    table = replace(
        cells,
        features=np.concatenate([cells.features[:, kept], vectors], axis=1),
        feature_names=(*(cells.feature_names[i] for i in kept), *described),
    )
    return table.classified((*names, UNSURE), code, order[:, -1].astype(np.float32))


def _vectors(
    slide: Slide, cells: CellTable, texts: CellTexts, job: ScoreJob, task: Task
) -> NDArray[np.float32]:
    if texts.way == "tokens":
        return _pooled(slide, cells, job, task)
    return _cropped(slide, cells, texts, job, task)


def _cropped(
    slide: Slide, cells: CellTable, texts: CellTexts, job: ScoreJob, task: Task
) -> NDArray[np.float32]:
    """Vectors of a crop a cell, in the order of the cells."""
    boxes = [crop_box(slide, cells, i, texts) for i in range(len(cells))]
    pixels = _pixels(slide, job, boxes)
    crops = prefetch(
        zip(boxes, pixels, strict=True), lambda item: read_square(slide, *item), 2 * job.batch
    )
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(boxes), job.batch):
        task.step(start, len(boxes), f"Showing cells to {job.card.title}")
        batch = np.stack([next(crops) for _ in boxes[start : start + job.batch]])
        rows += run_parts(job, task, embed_images, batch)
    task.step(len(boxes), len(boxes), "Done")
    return np.asarray(rows, np.float32)


def crop_box(slide: Slide, cells: CellTable, index: int, texts: CellTexts) -> Box:
    """The square shown of a cell, integer level-0 pixels; at the slide's edges it is moved in."""
    assert slide.mpp is not None
    diameter = 2 * float(np.sqrt(cells.area_um2[index] / np.pi))
    side = max(2, round(max(texts.margin * diameter, texts.least_um) / slide.mpp))
    r0 = round(float(cells.row[index]) + 0.5 - side / 2)
    c0 = round(float(cells.col[index]) + 0.5 - side / 2)
    return moved_inside(Box(r0, c0, r0 + side, c0 + side), slide.box)


def _pixels(slide: Slide, job: ScoreJob, boxes: Sequence[Box]) -> list[int]:
    """Pixels a side of each crop: the network's, or one number at the model's own scale.

    A model whose features have units of length (its card has an mpp) sees cells at that scale, all
    in crops of the largest one's size; others see each crop filling their input.
    """
    if job.card.mpp is None:
        return [job.card.input_size or 224] * len(boxes)
    assert slide.mpp is not None
    largest = max(box.height for box in boxes)
    return [max(8, round(largest * slide.mpp / job.card.mpp))] * len(boxes)


def _pooled(slide: Slide, cells: CellTable, job: ScoreJob, task: Task) -> NDArray[np.float32]:
    """Vectors of the tokens cells lie on, one forward pass a tile."""
    groups = _by_tile(slide, cells, job)
    windows = list(groups)
    pixels = job.card.input_size or 224
    tiles = prefetch(windows, lambda box: read_square(slide, box, pixels), 2 * job.batch)
    out: NDArray[np.float32] | None = None
    for start in range(0, len(windows), job.batch):
        task.step(start, len(windows), f"Showing tiles to {job.card.title}")
        part = windows[start : start + job.batch]
        batch = np.stack([next(tiles) for _ in part])
        tokens = np.asarray(run_parts(job, task, _tokens, batch))
        if out is None:
            out = np.zeros((len(cells), tokens.shape[-1]), np.float32)
        for box, grid in zip(part, tokens, strict=True):
            out[groups[box]] = _under(grid, box, cells, groups[box])
    task.step(len(windows), len(windows), "Done")
    assert out is not None  # there is a cell, so there is a window
    return out


def _tokens(model: TextScorer, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    if not isinstance(model, TokenScorer):
        raise ModelError(
            "This model gives one vector a tile and no tokens. Show it crops of cells instead."
        )
    return model.embed_tokens(tiles)


def _by_tile(slide: Slide, cells: CellTable, job: ScoreJob) -> dict[Box, list[int]]:
    """The windows that hold cells in their inner three quarters, and the cells of each."""
    assert slide.mpp is not None
    mpp = job.card.mpp or USUAL_MPP
    side = max(8, round((job.card.input_size or 224) * mpp / slide.mpp))
    step, before = max(1, side * 3 // 4), side // 8
    groups: dict[Box, list[int]] = defaultdict(list)
    for i, (row, col) in enumerate(zip(cells.row.tolist(), cells.col.tolist(), strict=True)):
        r0, c0 = int(row // step) * step - before, int(col // step) * step - before
        groups[Box(r0, c0, r0 + side, c0 + side)].append(i)
    return groups


def _under(
    grid: NDArray[np.float32], box: Box, cells: CellTable, index: Sequence[int]
) -> NDArray[np.float32]:
    """Tokens (rows, cols, d) interpolated at the cells' centroids, as unit vectors."""
    at = np.stack([cells.row[index], cells.col[index]], axis=1) - (box.r0, box.c0) + 0.5
    at = at * (grid.shape[0] / box.height) - 0.5
    low = np.clip(np.floor(at).astype(np.intp), 0, np.array(grid.shape[:2]) - 1)
    high = np.minimum(low + 1, np.array(grid.shape[:2]) - 1)
    share = np.clip(at - low, 0, 1).astype(np.float32)
    mixed = sum(_corners(grid, low, high, share))
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed / np.maximum(length, 1e-12), np.float32)


def _corners(
    grid: NDArray[np.float32],
    low: NDArray[np.intp],
    high: NDArray[np.intp],
    share: NDArray[np.float32],
) -> Iterator[NDArray[np.float32]]:
    """The four tokens around each point, weighed bilinearly."""
    for rows, weight_r in ((low[:, 0], 1 - share[:, 0]), (high[:, 0], share[:, 0])):
        for cols, weight_c in ((low[:, 1], 1 - share[:, 1]), (high[:, 1], share[:, 1])):
            yield grid[rows, cols] * (weight_r * weight_c)[:, None]
