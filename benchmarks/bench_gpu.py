"""What models take of memory, whether eviction gives it back, half precision, lanes, shortages.

    python benchmarks/bench_gpu.py --full --out benchmarks/results/gpu.md    # on a GPU
    python benchmarks/bench_gpu.py --out benchmarks/results/gpu.md           # without one

Models whose weights are not on this machine get random ones, with ``--full`` in the published size,
else in a small network of the same structure; ``--model`` names some. On a processor the steps are
the same: allocated is then what torch's tensors hold and reserved the resident size of the
process, and what autocast rounds is rounded without its arithmetic.

On a GPU allocated is what torch gave to tensors, reserved what it took from the device, and memory
is also made short for real: torch is allowed only as much as the model's weights and a little.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gpu_models import (
    SIDE,
    Subject,
    manager_of,
    networks,
    pictures,
    rounding_to,
    subjects,
    use,
    work,
)
from gpu_shortage import injected_rows, real_rows
from histoprompt.core.task import Task
from histoprompt.models.card import HALF_ERROR
from histoprompt.models.devices import MIB, RamMeter, choose_device, modules_in
from histoprompt.models.memory.manager import ModelManager

TYPES = ("float16", "bfloat16")


@dataclass(frozen=True)
class Memory:
    """MiB at one moment."""

    allocated: float
    reserved: float

    def __str__(self) -> str:
        return f"{self.allocated:.1f} / {self.reserved:.0f}"


def memory(device: str) -> Memory:
    """What torch has of the device now; on a processor its tensors and the process."""
    import torch

    gc.collect()
    if not device.startswith("cuda"):
        held = [t.untyped_storage() for t in gc.get_objects() if issubclass(type(t), torch.Tensor)]
        n_bytes = {s.data_ptr(): s.nbytes() for s in held}
        return Memory(sum(n_bytes.values()) / MIB, RamMeter().used_mib())
    torch.cuda.synchronize()
    return Memory(torch.cuda.memory_allocated() / MIB, torch.cuda.memory_reserved() / MIB)


# -- footprints and eviction ----------------------------------------------------------------------


def footprint_rows(models: Sequence[Subject], device: str) -> Iterator[str]:
    """Guessed and measured footprint; memory before loading, loaded, and after eviction."""
    yield "| model | values | card | weights MiB | peak MiB | before | loaded | evicted | back |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    (image,) = pictures(1)
    for model in models:
        manager = manager_of(device)
        before = memory(device)
        use(manager, model, image)
        loaded, found = memory(device), manager.footprint(model.card)
        manager.budget_mib = 1e-3
        after = memory(device)
        taken = loaded.allocated - before.allocated
        back = 100 * (loaded.allocated - after.allocated) / taken if taken > 0 else 100.0
        yield (
            f"| {model.card.id} | {model.values} | {model.card.memory_mib} "
            f"| {found.weights_mib:.1f} | {found.peak_mib:.0f} "
            f"| {before} | {loaded} | {after} | {back:.0f} % |"
        )


# -- half precision -------------------------------------------------------------------------------


def half_rows(models: Sequence[Subject], device: str) -> Iterator[str]:
    """Difference and time of each short type against float32, and what the card says."""
    columns = "".join(f" {name}: numbers | pixels | speed-up |" for name in TYPES)
    yield f"| model | values |{columns} card |"
    yield f"|---|---|{'---:|---:|---:|' * len(TYPES)}---|"
    (image,) = pictures(1)
    for model in models:
        plain = replace(model, card=replace(model.card, amp_dtype=None))
        manager = manager_of(device)
        expected, usual_s = timed(manager, plain, image, None)
        cells = ""
        for name in TYPES:
            found, short_s = timed(manager, plain, image, name)
            speed = f"{usual_s / short_s:.2f}" if device.startswith("cuda") else "-"
            cells += f" {differences(expected, found)} | {speed} |"
        yield f"| {model.card.id} | {model.values} |{cells} {model.card.amp_dtype or 'float32'} |"


def timed(
    manager: ModelManager, model: Subject, image: np.ndarray, short: str | None
) -> tuple[list[np.ndarray], float]:
    """Outputs, and seconds of the second of two runs."""
    seconds = 0.0
    found: list[np.ndarray] = []
    for _ in range(2 if manager.device.startswith("cuda") else 1):
        started = time.perf_counter()
        with manager.lease(model.card, Task(), model.weights) as net:
            looking = partial(computing_in, net, short, manager.device)
            found = work(net, model.card, image, looking)
        seconds = time.perf_counter() - started
    return found, seconds


def computing_in(net: Any, short: str | None, device: str) -> AbstractContextManager[Any]:
    """torch's own mixed precision; on a processor its rounding alone."""
    if short is None:
        return nullcontext()
    import torch

    if device.startswith("cuda"):
        return torch.autocast("cuda", dtype=getattr(torch, short))
    return rounding_to(torch.nn.ModuleList(modules_in(net)), short)


def differences(plain: Sequence[np.ndarray], short: Sequence[np.ndarray]) -> str:
    """Norm of the difference as a share of the norm; share of pixels of masks or labels."""
    numbers, pixels = "-", "-"
    for a, b in zip(plain, short, strict=True):
        if a.dtype.kind != "f":
            pixels = f"{100 * ((a > 0) != (b > 0)).mean():.2f} %"
        elif np.isfinite(b).all():
            error = np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), 1e-9)
            numbers = f"{error:.4f}{'' if error < HALF_ERROR else ' !'}"
        else:
            numbers = "overflow"
    return f"{numbers} | {pixels}"


# -- two lanes ------------------------------------------------------------------------------------


def lane_rows(models: Sequence[Subject], device: str, n: int) -> Iterator[str]:
    """The same work in one thread and in two, as a click beside a count has it."""
    yield "| models | pictures | one lane s | two lanes s | ratio |"
    yield "|---|---:|---:|---:|---:|"
    images = pictures(n)
    first = first_of(models, "prompt")
    for second in (first, first_of(models, "cells"), first_of(models, "encoder")):
        manager = manager_of(device)
        for model in {first.card.id: first, second.card.id: second}.values():
            use(manager, model, images[0])
        lanes = [partial(use_all, manager, model, images) for model in (first, second)]
        one = seconds(partial(in_turn, lanes))
        two = seconds(partial(together, lanes))
        names = f"{first.card.id}, {second.card.id}"
        yield f"| {names} | {2 * n} | {one:.2f} | {two:.2f} | {one / two:.2f} |"


def first_of(models: Sequence[Subject], role: str) -> Subject:
    """The first of a role that works with a network; the first of all if there is none."""
    return next((m for m in models if m.card.role == role), models[0])


def use_all(manager: ModelManager, model: Subject, images: Sequence[np.ndarray]) -> None:
    for image in images:
        use(manager, model, image)


def in_turn(lanes: Sequence[Callable[[], object]]) -> None:
    for lane in lanes:
        lane()


def together(lanes: Sequence[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=lane) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def seconds(fn: Callable[[], object]) -> float:
    started = time.perf_counter()
    fn()
    return time.perf_counter() - started


# -- the report -----------------------------------------------------------------------------------


def where(device: str) -> str:
    """The device in words, and what its figures are worth."""
    import torch

    if device.startswith("cuda"):
        found = torch.cuda.get_device_properties(torch.device(device))
        name = f"{found.name}, {found.total_memory / 2**30:.0f} GiB"
        return f"`python benchmarks/bench_gpu.py`: **{name}**, torch {torch.__version__}."
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    return (
        f"`python benchmarks/bench_gpu.py`: **a processor ({os.cpu_count()} cores, load average "
        f"{load}), torch {torch.__version__}; no GPU was at hand**. "
        "`python benchmarks/bench_gpu.py --full --out benchmarks/results/gpu.md` gives the figures "
        "of one. Here allocated is what torch's tensors hold, reserved the resident size of the "
        "process, which keeps what it freed."
    )


def report(models: Sequence[Subject], device: str, n: int) -> str:
    """All tables as Markdown, with one line before each."""
    first, other = first_of(models, "prompt"), first_of(models, "cells")
    parts = [
        f"{where(device)} Pictures of {SIDE} px. Values: own "
        "are trained; random ones have the published size; small ones are random, in a small "
        "network of the same structure. Before, loaded, evicted: MiB allocated / reserved; back: "
        "share of what was allocated for the model that eviction freed.",
        "\n".join(footprint_rows(models, device)),
        "Short types against float32: norm of the difference as a share of the norm "
        f"({HALF_ERROR:g} is allowed, ! is more), pixels of the mask or labels that differ. Of "
        "random weights this tells overflow and rounding, not accuracy.",
        "\n".join(half_rows(models, device)),
        "Two lanes against one.",
        "\n".join(lane_rows(models, device, n)),
        f"Out of memory, raised where torch raises it, in {first.card.id} with "
        f"{other.card.id} idle beside it and half of the pictures done.",
        "\n".join(injected_rows(first, other, device)),
    ]
    if device.startswith("cuda"):
        parts += ["Memory made short for real.", "\n".join(real_rows(list(models), device))]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Measure, and write or print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="default: the GPU, if there is one")
    parser.add_argument("--model", action="append", default=[], help="may be repeated")
    parser.add_argument("--full", action="store_true", help="random weights in published sizes")
    parser.add_argument("--pictures", type=int, default=4, help="for a lane")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    device = choose_device(args.device)
    with tempfile.TemporaryDirectory() as folder, networks(args.full):
        text = report(subjects(args.model, Path(folder), args.full), device, args.pictures)
    if args.out is None:
        print(text)
    else:
        args.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
