"""Memory that runs out at any step of a pipeline: work done is kept, and the message is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import CARD, FakeSegmenter
from histoprompt.core.errors import OutOfMemoryError
from histoprompt.core.geometry import Box
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Progress, Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.footprints import FootprintBook
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import Embedding
from histoprompt.pipelines.prompts.segment import SegmentJob, segment, segment_stream

# Far enough apart that no two objects share a field.
MIDDLES = [(60, 60), (60, 400), (400, 60), (400, 400)]
STEPS = ("load", "embed", "decode")


class Device:
    """A device whose memory is short at chosen steps; a `Meter`.

    Attributes
    ----------
    short : dict
        Of a step, the calls (from 0) at which there is no room.
    """

    exact = True

    def __init__(self, **short: range) -> None:
        self.short = short
        self.calls = dict.fromkeys(STEPS, 0)
        self.emptied = 0

    def use(self, step: str) -> None:
        call = self.calls[step]
        self.calls[step] += 1
        if call in self.short.get(step, ()):
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.\nSee the manual.")

    def free_mib(self) -> float:
        return 123.0

    def used_mib(self) -> float:
        return 0.0

    def reset_peak(self) -> None:
        pass

    def peak_mib(self) -> float:
        return 0.0

    def empty_cache(self) -> None:
        self.emptied += 1


class OnDevice(FakeSegmenter):
    """The fake segmenter, on a device."""

    def __init__(self, device: Device) -> None:
        device.use("load")
        super().__init__()
        self.device = device

    def embed(self, image: np.ndarray) -> Embedding:
        self.device.use("embed")
        return super().embed(image)

    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[list[Mask]]:
        self.device.use("decode")
        return super().segment(embedding, prompts)


def job_on(device: Device) -> SegmentJob:
    def load(card: ModelCard, weights: Path | None, name: str) -> Any:
        return OnDevice(device)

    book = FootprintBook(None)
    manager = ModelManager("cpu", 4096, load=load, meter=device, footprints=book)
    return SegmentJob(manager, EmbeddingCache(), CARD)


@pytest.fixture
def slide() -> Slide:
    pixels = np.random.default_rng(0).integers(0, 256, (480, 480, 3), np.uint8)
    return Slide("noise", "noise", (pixels,), mpp=0.25)


@pytest.fixture
def objects() -> list[ObjectPrompt]:
    boxes = [Box.around(r, c, 30) for r, c in MIDDLES]
    return [ObjectPrompt(i, Prompt(box=box)) for i, box in enumerate(boxes, start=1)]


def areas(found: Sequence[Any]) -> list[int]:
    return [int(item.masks[0].array.sum()) for item in found]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("call", range(4))
def test_memory_short_once_changes_nothing_but_the_time(slide, objects, step, call):
    expected = areas(segment(slide, objects, job_on(Device()), Task()))
    device = Device(**{step: range(call, call + 1)})
    told: list[Progress] = []
    assert areas(segment(slide, objects, job_on(device), Task(told.append))) == expected
    short = step != "load" or call == 0
    assert (device.emptied > 0) == short
    assert any("half the batch" in p.text for p in told) == (short and step != "load")


@pytest.mark.parametrize("step", STEPS[1:])
def test_memory_short_for_good_is_explained_and_mended_by_more_room(slide, objects, step):
    device = Device(**{step: range(2, 1000)})
    job = job_on(device)
    with pytest.raises(OutOfMemoryError) as caught:
        segment(slide, objects, job, Task())
    message = str(caught.value)
    for word in ("Fake ran out of memory on cpu", "123 MiB are free", "4096 MiB", "smaller"):
        assert word in message
    device.short = {}
    again = segment(slide, objects, job, Task())
    assert len(again) == len(objects)


def test_objects_done_before_memory_ran_out_are_kept(slide, objects):
    job = job_on(Device(embed=range(2, 1000)))
    kept = []

    def work() -> None:
        for index, found in segment_stream(slide, objects, job, Task()):
            kept.append((index, areas([found])))

    with pytest.raises(OutOfMemoryError):
        work()
    assert len(kept) == 2
    assert all(area > [0] for _, area in kept)


def test_a_model_that_never_fits_is_refused_and_leaves_the_device_free(slide, objects):
    device = Device(load=range(1000))
    job = job_on(device)
    with pytest.raises(OutOfMemoryError, match=r"Fake ran out of memory on cpu.*smaller model"):
        segment(slide, objects, job, Task())
    assert job.manager.loaded() == []
    assert job.manager.used_mib == 0
    device.short = {}
    assert len(segment(slide, objects, job, Task())) == len(objects)
