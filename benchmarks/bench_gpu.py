"""What models take of a GPU, whether eviction gives it back, half precision, and two lanes.

    python benchmarks/bench_gpu.py --out benchmarks/results/gpu.md

Runs with every prompt model and nuclei finder whose weights are on this machine (install more with
``histoprompt models install``); name some with ``--model``. ``--device cpu`` runs the same steps
with the resident size of the process as the only meter, to try the script out: its figures say
nothing about a GPU.

Allocated is what torch gave to tensors, reserved what it took from the device. Out of memory is
real: torch is allowed only as much as the model's weights and a little.
"""

from __future__ import annotations

import argparse
import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.core.errors import HistopromptError, OutOfMemoryError
from histoprompt.core.geometry import Box
from histoprompt.core.prompt import Prompt
from histoprompt.core.task import Task
from histoprompt.models import registry, weights
from histoprompt.models.card import HALF_ERROR, ModelCard
from histoprompt.models.footprints import FootprintBook
from histoprompt.models.manager import ModelManager
from histoprompt.models.memory import MIB, RamMeter, choose_device

SIDE = 512
TYPES = ("float16", "bfloat16")


@dataclass(frozen=True)
class Memory:
    """MiB at one moment."""

    allocated: float
    reserved: float


def memory(device: str) -> Memory:
    """What torch has of the device now; on a processor the resident size of the process."""
    gc.collect()
    if not device.startswith("cuda"):
        used = RamMeter().used_mib()
        return Memory(used, used)
    import torch

    torch.cuda.synchronize()
    return Memory(torch.cuda.memory_allocated() / MIB, torch.cuda.memory_reserved() / MIB)


def pictures(n: int) -> list[np.ndarray]:
    """Noise with dark discs, (SIDE, SIDE, 3) uint8: a network takes the same for any content."""
    rng = np.random.default_rng(0)
    rows, cols = np.ogrid[:SIDE, :SIDE]
    found = []
    for _ in range(n):
        image = rng.integers(180, 256, (SIDE, SIDE, 3), np.uint8)
        for r, c in rng.integers(20, SIDE - 20, (40, 2)):
            image[(rows - r) ** 2 + (cols - c) ** 2 < 100] = (90, 60, 140)
        found.append(image)
    return found


def work(model: Any, card: ModelCard, image: np.ndarray) -> list[np.ndarray]:
    """One picture through a model, with a box in it for one that takes prompts: its outputs."""
    if card.role == "prompt":
        embedding = model.embed(image)
        box = Prompt(box=Box(SIDE // 4, SIDE // 4, SIDE // 2, SIDE // 2))
        masks = model.segment(embedding, [box])[0]
        return [*tensors(embedding.data), masks[0].array]
    if card.role == "cells":
        return [model.segment(image)]
    batch = np.stack([image[:224, :224]])
    return [model.encode(batch) if card.role == "encoder" else model.embed_images(batch)]


def tensors(data: Any) -> list[np.ndarray]:
    """The float arrays in an embedding."""
    held = vars(data).values() if hasattr(data, "__dict__") else [data]
    return [v.detach().float().cpu().numpy() for v in held if hasattr(v, "detach")]


def manager_of(device: str, **options: Any) -> ModelManager:
    return ModelManager(device, footprints=FootprintBook(None), **options)


def use(manager: ModelManager, card: ModelCard, image: np.ndarray) -> list[np.ndarray]:
    with manager.lease(card, Task()) as model:
        return work(model, card, image)


# -- the four questions ---------------------------------------------------------------------------


def footprint_rows(cards: Sequence[ModelCard], device: str) -> Iterator[str]:
    """Guessed and measured footprint; memory before loading, loaded, and after unloading."""
    yield "| model | card MiB | weights MiB | peak MiB | before | loaded | after | given back |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    (image,) = pictures(1)
    for card in cards:
        manager = manager_of(device)
        before = memory(device)
        use(manager, card, image)
        loaded, found = memory(device), manager.footprint(card)
        manager.unload(card.id)
        after = memory(device)
        taken = loaded.allocated - before.allocated
        back = 100 * (loaded.allocated - after.allocated) / taken if taken > 0 else 100.0
        yield (
            f"| {card.id} | {card.memory_mib} | {found.weights_mib:.0f} | {found.peak_mib:.0f} "
            f"| {both(before)} | {both(loaded)} | {both(after)} | {back:.0f} % |"
        )


def both(at: Memory) -> str:
    return f"{at.allocated:.0f} / {at.reserved:.0f}"


def half_rows(cards: Sequence[ModelCard], device: str) -> Iterator[str]:
    """Difference and time of each short type against float32, and what the card says."""
    yield "| model | type | greatest difference, share of size | within | speed-up | card |"
    yield "|---|---|---:|---|---:|---|"
    (image,) = pictures(1)
    for card in cards:
        plain, plain_s = timed(replace(card, half=None), device, image, None)
        for name in TYPES:
            short, short_s = timed(replace(card, half=None), device, image, name)
            error = max(difference(a, b) for a, b in zip(plain, short, strict=True))
            yield (
                f"| {card.id} | {name} | {error:.4f} | {'yes' if error < HALF_ERROR else 'no'} "
                f"| {plain_s / short_s:.2f} | {card.half or 'float32'} |"
            )


def timed(
    card: ModelCard, device: str, image: np.ndarray, short: str | None
) -> tuple[list[np.ndarray], float]:
    """Outputs, and seconds of the second of two runs."""
    manager = manager_of(device)
    with computing_in(short, device):
        use(manager, card, image)
        started = time.perf_counter()
        found = use(manager, card, image)
        memory(device)
        return found, time.perf_counter() - started


@contextmanager
def computing_in(short: str | None, device: str) -> Iterator[None]:
    """torch's own mixed precision around whatever a model does."""
    if short is None:
        yield
        return
    import torch

    with torch.autocast(device.partition(":")[0], dtype=getattr(torch, short)):
        yield


def difference(plain: np.ndarray, short: np.ndarray) -> float:
    """Largest for floats, share of pixels that differ for masks and labels."""
    if plain.dtype.kind != "f":
        return float(((plain > 0) != (short > 0)).mean())
    return float(np.abs(plain - short).max() / max(np.abs(plain).max(), 1e-9))


def lane_rows(cards: Sequence[ModelCard], device: str, n: int) -> Iterator[str]:
    """The same work in one thread and in two."""
    yield "| models | pictures | one lane s | two lanes s | ratio |"
    yield "|---|---:|---:|---:|---:|"
    images = pictures(n)
    pairs = list(pairwise(cards)) or [(cards[0], cards[0])]
    for first, second in pairs[:3]:
        manager = manager_of(device)
        for card in {first.id: first, second.id: second}.values():
            use(manager, card, images[0])
        lanes = [partial(use_all, manager, card, images) for card in (first, second)]
        one = seconds(partial(in_turn, lanes))
        two = seconds(partial(together, lanes))
        yield f"| {first.id}, {second.id} | {2 * n} | {one:.2f} | {two:.2f} | {one / two:.2f} |"


def use_all(manager: ModelManager, card: ModelCard, images: Sequence[np.ndarray]) -> None:
    for image in images:
        use(manager, card, image)


def in_turn(lanes: Sequence[Callable[[], object]]) -> None:
    for lane in lanes:
        lane()


def seconds(fn: Callable[[], object]) -> float:
    started = time.perf_counter()
    fn()
    return time.perf_counter() - started


def together(lanes: Sequence[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=lane) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def shortage_rows(cards: Sequence[ModelCard], device: str) -> Iterator[str]:
    """Real shortages: what is said, and whether the model works again with room."""
    yield "| model | allowed MiB | what happened | works again |"
    yield "|---|---:|---|---|"
    (image,) = pictures(1)
    for card in cards:
        manager = manager_of(device)
        use(manager, card, image)
        found = manager.footprint(card)
        manager.unload(card.id)
        for allowed in (0.5 * found.weights_mib, found.weights_mib + 0.3 * found.peak_mib):
            said = said_when(card, device, image, allowed)
            again = "yes" if use(manager_of(device), card, image) else "no"
            yield f"| {card.id} | {allowed:.0f} | {said} | {again} |"


def said_when(card: ModelCard, device: str, image: np.ndarray, allowed_mib: float) -> str:
    """What a user reads when torch may take only so much."""
    import torch

    total = torch.cuda.get_device_properties(0).total_memory / MIB
    torch.cuda.empty_cache()
    room = memory(device).reserved + allowed_mib
    torch.cuda.set_per_process_memory_fraction(min(1.0, room / total))
    try:
        use(manager_of(device, budget_mib=1e6), card, image)
    except OutOfMemoryError as error:
        return " ".join(str(error).split("(")[0].split())
    except HistopromptError as error:
        return f"another error: {error}"
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    return "it fitted"


# -- the report -----------------------------------------------------------------------------------


def device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        found = torch.cuda.get_device_properties(torch.device(device))
        return f"{found.name}, {found.total_memory / 2**30:.0f} GiB, torch {torch.__version__}"
    return f"processor (no GPU figures), torch {torch.__version__}"


def report(cards: Sequence[ModelCard], device: str, n: int) -> str:
    """All tables as Markdown."""
    parts = [
        f"`python benchmarks/bench_gpu.py` on **{device_name(device)}**; pictures of {SIDE} px.",
        "Footprints in MiB; before, loaded and after are allocated / reserved.",
        "\n".join(footprint_rows(cards, device)),
        f"Half precision against float32; allowed difference {HALF_ERROR:g}.",
        "\n".join(half_rows(cards, device)),
        "Two lanes against one.",
        "\n".join(lane_rows(cards, device, n)),
    ]
    if device.startswith("cuda"):
        parts += ["Memory made short.", "\n".join(shortage_rows(cards, device))]
    return "\n\n".join(parts) + "\n"


def chosen(ids: Sequence[str]) -> list[ModelCard]:
    """The models asked for, or all networks whose weights are here."""
    if ids:
        return [registry.card(i) for i in ids]
    return [c for c in registry.all_cards() if c.weights is not None and weights.locate(c).present]


def main() -> int:
    """Measure, and write or print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="default: the GPU, if there is one")
    parser.add_argument("--model", action="append", default=[], help="may be repeated")
    parser.add_argument("--pictures", type=int, default=20, help="for a lane")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    device = choose_device(args.device)
    if device == "cpu" and args.device != "cpu":
        parser.error("There is no GPU here. --device cpu tries the script out.")
    text = report(chosen(args.model), device, args.pictures)
    if args.out is None:
        print(text)
    else:
        args.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
