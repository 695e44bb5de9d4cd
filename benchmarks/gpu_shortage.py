"""Memory made to run out at every step of a model's work, for `bench_gpu.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gpu_models import Subject, box_prompt, manager_of, pictures, use
from histoprompt.core.errors import HistopromptError, OutOfMemoryError
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.devices import MIB
from histoprompt.models.loading import load_from_registry
from histoprompt.models.memory.manager import ModelManager

BATCH = 4


@dataclass
class Shortage:
    """Fails at one step as torch does, so many times; loads models that pass through it."""

    step: str = ""
    times: int = 0
    calls: dict[str, int] = field(default_factory=dict)

    def use(self, step: str) -> None:
        self.calls[step] = self.calls.get(step, 0) + 1
        if step == self.step and self.times:
            import torch

            self.times -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def load(self, card: ModelCard, weights: Path | None, device: str) -> Any:
        self.use("load")
        model = load_from_registry(card, weights, device)
        if card.role == "prompt":
            model.embed = self._watched("embed", model.embed)
            model.segment = self._watched("decode", model.segment)
        return model

    def _watched(self, step: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any) -> Any:
            self.use(step)
            return fn(*args)

        return watched


class Bench:
    """A prompt model under a shortage, with another model idle beside it."""

    def __init__(self, model: Subject, other: Subject, device: str) -> None:
        self.shortage = Shortage()
        self.manager = manager_of(device, load=self.shortage.load)
        self.model, self.other = model, other
        self.images = pictures(2 * BATCH)
        self.plain = [self.mask(image) for image in self.images]

    def mask(self, image: np.ndarray) -> np.ndarray:
        return use(self.manager, self.model, image)[-1]

    def look(self, net: Any, part: list[np.ndarray]) -> list[np.ndarray]:
        """A batch; its first step is the one that has no room."""
        self.shortage.use("batch")
        masks = [net.segment(net.embed(image), [box_prompt()]) for image in part]
        return [found[0][0].array for found in masks]

    def batch(self, images: list[np.ndarray]) -> list[np.ndarray]:
        card, weights = self.model.card, self.model.weights
        return self.manager.run(card, Task(), self.look, images, weights)

    def row(self, step: str, times: int, fn: Callable[[], list[np.ndarray]]) -> str:
        """What happens when a step fails so many times after half of the pictures are done."""
        done = [self.mask(image) for image in self.images[:BATCH]]
        if step == "load":
            self.manager.unload(self.model.card.id)
        use(self.manager, self.other, self.images[0])
        self.shortage.step, self.shortage.times = step, times
        said, found = heard(fn)
        self.shortage.times = 0
        idle = self.other.card.id not in {m.card_id for m in self.manager.loaded()}
        kept = sum(same(a, b) for a, b in zip([*done, *found], self.plain, strict=False))
        again = all(same(self.mask(i), p) for i, p in zip(self.images, self.plain, strict=True))
        return (
            f"| {step} | {'once' if times == 1 else 'always'} | {said} | "
            f"{'yes' if idle else 'no'} | {kept} of {len(self.images)} | "
            f"{'yes' if again else 'no'} |"
        )


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a == b).all())


def heard(fn: Callable[[], list[np.ndarray]]) -> tuple[str, list[np.ndarray]]:
    """What a user reads, and what came out."""
    try:
        return "nothing: it worked", fn()
    except OutOfMemoryError as error:
        return " ".join(str(error).split()), []


def injected_rows(model: Subject, other: Subject, device: str) -> Iterator[str]:
    """Errors raised where torch would; half of the pictures are done before."""
    yield "| no room at | how often | what is said | idle one unloaded | work kept | works again |"
    yield "|---|---|---|---|---:|---|"
    bench = Bench(model, other, device)
    rest = bench.images[BATCH:]
    for times in (1, 99):
        yield bench.row("load", times, lambda: [bench.mask(image) for image in rest])
    for step in ("embed", "decode"):
        yield bench.row(step, 99, lambda: [bench.mask(image) for image in rest])
    for times in (1, 99):
        yield bench.row("batch", times, lambda: bench.batch(rest))


def real_rows(models: list[Subject], device: str) -> Iterator[str]:
    """Real shortages of a GPU: torch may take only the model's weights and a little."""
    yield "| model | allowed MiB | what is said | works again |"
    yield "|---|---:|---|---|"
    (image,) = pictures(1)
    for model in models:
        manager = manager_of(device)
        use(manager, model, image)
        found = manager.footprint(model.card)
        manager.unload(model.card.id)
        for allowed in (0.5 * found.weights_mib, found.weights_mib + 0.3 * found.peak_mib):
            said = said_when(manager, model, image, allowed)
            again = "yes" if len(use(manager_of(device), model, image)) else "no"
            yield f"| {model.card.id} | {allowed:.0f} | {said} | {again} |"


def said_when(manager: ModelManager, model: Subject, image: np.ndarray, allowed_mib: float) -> str:
    """What a user reads when torch may take only so much."""
    import torch

    manager.meter.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory / MIB
    room = torch.cuda.memory_reserved() / MIB + allowed_mib
    torch.cuda.set_per_process_memory_fraction(min(1.0, room / total))
    try:
        use(manager_of(manager.device, budget_mib=1e6), model, image)
    except HistopromptError as error:
        return " ".join(str(error).split())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        manager.meter.empty_cache()
    return "nothing: it fitted"
