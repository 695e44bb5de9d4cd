"""The loop closed: a count corrected by hand, learnt from, and counted better."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from histoprompt.core.errors import Cancelled, LabelError, ParameterError  # noqa: E402
from histoprompt.core.labels.sources import ArrayLabels  # noqa: E402
from histoprompt.core.metrics import agreement  # noqa: E402
from histoprompt.core.slides.slide import Slide  # noqa: E402
from histoprompt.core.task import Progress, Task  # noqa: E402
from histoprompt.models import registry  # noqa: E402
from histoprompt.models.memory.manager import ModelManager  # noqa: E402
from histoprompt.pipelines.count.corrections import delete_cells  # noqa: E402
from histoprompt.pipelines.count.job import CountChoice  # noqa: E402
from histoprompt.pipelines.count.kept import KeptCount, open_or_run  # noqa: E402
from histoprompt.training.label_params import LabelTrainingParams  # noqa: E402
from histoprompt.training.on_labels import can_resume, curve_of, train_on_labels  # noqa: E402

TILE = 128
PARAMS = LabelTrainingParams(
    name="My own!", steps=24, batch=2, tile=TILE, variants=2, rate=2e-3, keep=0.0
)


def tissue() -> tuple[np.ndarray, np.ndarray]:
    """Nuclei of a usual look and round pink vacuoles with a dark rim that are none; the truth."""
    rng = np.random.default_rng(3)
    image = np.full((384, 640, 3), (226, 180, 205), float)
    truth = np.zeros(image.shape[:2], np.int32)
    rr, cc = np.mgrid[:384, :640]
    places = [(r, c) for r in range(22, 370, 32) for c in range(22, 630, 32)]
    for number, place in enumerate(places):
        row, col = place + rng.integers(-3, 4, 2)
        far = np.hypot(rr - row, cc - col)
        if number % 3:  # a nucleus
            image[far < 11] = (95, 65, 145)
            truth[far < 11] = number + 1
        else:  # dark and small: debris, counted and deleted by hand
            image[far < 6] = (70, 45, 120)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8), truth


IMAGE, TRUTH = tissue()
SLIDE = Slide.from_arrays("made tissue", [IMAGE], mpp=0.25)


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    return tmp_path


def counted(segmenter: str) -> KeptCount:
    manager = ModelManager("cpu", 2000.0)
    return open_or_run(SLIDE, CountChoice(segmenter=segmenter), manager, SLIDE.box, task=Task())


def held_out(labels: np.ndarray) -> list[np.ndarray]:
    """Every fifth tile in reading order, as training holds them out."""
    tiles = [(r, c) for r in range(0, 384, TILE) for c in range(0, 640, TILE)]
    return [labels[r : r + TILE, c : c + TILE].astype(np.int32) for r, c in tiles[::5]]


def f1_of(work: KeptCount) -> float:
    found = work.progress.store.read(SLIDE.box)
    return agreement(held_out(TRUTH), held_out(found)).f1


def test_corrected_cells_teach_a_model_that_counts_better_where_nobody_taught(home):
    first = counted(registry.DEFAULT_CELLS)
    cells = first.cells
    at = np.rint(np.stack([cells.row, cells.col])).astype(int)
    false = cells.id[TRUTH[tuple(at)] == 0].tolist()
    assert len(false) > 20, "the shipped network takes debris for nuclei"
    delete_cells(first, false, Task())
    work = first.corrected()
    made = train_on_labels(SLIDE, work.progress.store, PARAMS, Task())
    assert made.after.f1 > made.before.f1 + 0.05
    assert abs(made.after.bias) < abs(made.before.bias)
    assert made.held == 3
    assert made.tiles == 15
    card = registry.card(made.card_id)
    assert card.id == "trained-my-own"
    assert card.short_title == "My own!"
    assert "F1" in card.description
    again = counted(card.id)
    assert f1_of(again) > f1_of(first) + 0.05
    assert not can_resume(PARAMS), "nothing is left of a training that is done"


def test_a_training_broken_off_goes_on_and_tells_its_loss(home):
    labels = ArrayLabels(TRUTH.astype(np.uint32), (0, 0))
    params = LabelTrainingParams(name="two", steps=20, batch=1, tile=TILE, variants=1)

    def stop(told: Progress) -> None:
        if told.text.startswith("training the network of nuclei") and told.done >= 11:
            task.cancel()

    task = Task(stop)
    with pytest.raises(Cancelled):
        train_on_labels(SLIDE, labels, params, task)
    assert can_resume(params)
    assert [step for step, _ in curve_of(params)] == [5, 10]
    assert not params.place.weights.exists()
    seen: list[int] = []

    def note(told: Progress) -> None:
        if told.text.startswith("training the network of nuclei"):
            seen.append(told.done)

    made = train_on_labels(SLIDE, labels, params, Task(note), resume=True)
    assert min(seen) >= 11, "it does not begin anew"
    assert params.place.weights.is_file()
    assert registry.card(made.card_id).weights.n_bytes == params.place.weights.stat().st_size


def test_too_few_labels_and_names_that_are_none_are_refused(home):
    few = np.zeros((384, 640), np.uint32)
    few[:20, :20] = 1
    with pytest.raises(LabelError, match="1 tiles of 128 px hold labels"):
        train_on_labels(SLIDE, ArrayLabels(few, (0, 0)), PARAMS, Task())
    with pytest.raises(ParameterError, match="no name"):
        LabelTrainingParams(name="!?")


def test_a_damaged_description_leaves_the_model(home):
    place = LabelTrainingParams(name="three").place
    place.weights.parent.mkdir(parents=True)
    place.weights.write_bytes(b"x")
    place.facts.write_text("{")
    assert [c.title for c in registry.all_cards() if c.id == "trained-three"] == [
        "three (all nuclei, trained here)"
    ]
