"""From a click to its mask, and how much of that is not the network's.

The whole path is timed, as the Prompt dock and ``histoprompt segment`` take it: planning the
field, reading the slide, lending the model, embedding, decoding, mapping the mask to the slide.
Time in the network is what its image encoder, prompt encoder and mask decoder take; on a GPU each
of them is waited for, so that their time is theirs.

    python benchmarks/bench_latency.py --out benchmarks/results/latency.md

SAM ViT-B runs with random weights, saved once to a temporary file in the published layout: they do
for time and for nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

AIM_OWN_PERCENT = 15
AIM_WARM_MS = 100


@dataclass
class Watch:
    """Adds up the time between entering and leaving the network."""

    device: str
    seconds: float = 0.0

    def wrap(self, owner: Any, name: str) -> None:
        """Time every call of a method or of a module held by `owner`."""
        inner = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._wait()
            started = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self._wait()
                self.seconds += time.perf_counter() - started

        # A module refuses a plain function in place of one of its modules.
        owner.__dict__.pop(name, None)
        getattr(owner, "_modules", {}).pop(name, None)
        owner.__dict__[name] = timed

    def _wait(self) -> None:
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()


@dataclass
class Figures:
    """Times of one kind of click."""

    model: str
    device: str
    what: str
    total: list[float] = field(default_factory=list)
    network: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def row(self) -> str:
        ms = 1e3 * np.array(self.total)
        own = 100 * (1 - np.array(self.network) / np.array(self.total))
        return (
            f"| {self.model} | {self.device} | {self.what} | {len(ms)} | {np.median(ms):.1f} "
            f"| {np.percentile(ms, 95):.1f} | {np.median(ms * own / 100):.1f} "
            f"| {np.median(own):.0f} % | {1e3 * np.median(self.cpu):.0f} |"
        )


def measure(model: str, device: str, weights: Path | None, cold: int, warm: int) -> list[Figures]:
    """`cold` first clicks of one model on one device, each followed by `warm` more at its place."""
    from histoprompt.core.readers.open import open_slide
    from histoprompt.core.slides.sample import SLIDE, sample_file
    from histoprompt.core.task import Task
    from histoprompt.models import registry
    from histoprompt.models.memory.embeddings import EmbeddingCache
    from histoprompt.models.memory.manager import ModelManager
    from histoprompt.pipelines.prompts.segment import SegmentJob, segment

    slide = open_slide(sample_file(SLIDE))
    card, manager, cache = registry.card(model), ModelManager(device), EmbeddingCache()
    job, watch = SegmentJob(manager, cache, card, weights), Watch(device)
    with manager.lease(card, Task(), weights) as net:
        watch_network(watch, net)
    found = []
    for what, prompts in {"click": clicks, "box": boxes}.items():
        first, again = (Figures(card.title, device, f"{what}, {t}") for t in ("cold", "warm"))
        places = [[place] for place in prompts(cold + 1)]
        segment(slide, places[0], job, Task())  # what only the very first call pays
        for place in places[1:]:
            click = partial(segment, slide, place, job, Task())
            cache.clear()
            clock(first, watch, click)
            for _ in range(warm):
                clock(again, watch, click)
        found += [first, again]
    print("\n".join(figures.row() for figures in found), flush=True)
    return found


def watch_network(watch: Watch, model: Any) -> None:
    """Time the three parts of a model of the SAM family, as it calls them."""
    watch.wrap(model._net, "image_encoder")
    watch.wrap(model._net, "prompt_encoder")
    watch.wrap(model, "_decode")


def clock(figures: Figures, watch: Watch, work: Callable[[], object]) -> None:
    watch.seconds, started, cpu = 0.0, time.perf_counter(), time.process_time()
    work()
    figures.cpu.append(time.process_time() - cpu)
    figures.total.append(time.perf_counter() - started)
    figures.network.append(watch.seconds)


def clicks(count: int) -> Iterator[Any]:
    from histoprompt.core.prompts.file import ObjectPrompt
    from histoprompt.core.prompts.prompt import Prompt

    for i, box in enumerate(nuclei(count), 1):
        yield ObjectPrompt(i, Prompt(np.array([box.centre]), np.array([True])))


def boxes(count: int) -> Iterator[Any]:
    from histoprompt.core.prompts.file import ObjectPrompt
    from histoprompt.core.prompts.prompt import Prompt

    for i, box in enumerate(nuclei(count), 1):
        yield ObjectPrompt(i, Prompt.of_box(box))


def nuclei(count: int) -> list[Any]:
    """Boxes of true nuclei in the middle of the sample slide, in an order of chance."""
    import tifffile
    from skimage.measure import regionprops

    from histoprompt.core.geometry import Box
    from histoprompt.core.slides.sample import LABELS, sample_file

    truth = tifffile.imread(sample_file(LABELS)).astype(np.int32)
    boxes = [Box(*map(int, p.bbox)) for p in regionprops(truth) if p.area > 250]
    inside = Box.of_shape(truth.shape).pad(-300)
    held = [b for b in boxes if inside.covers(b)]
    chosen = np.random.default_rng(0).permutation(len(held))[:count]
    return [held[i] for i in chosen]


def random_sam(folder: Path) -> Path:
    """A file of random weights in the layout of the published SAM ViT-B."""
    import torch
    from segment_anything import sam_model_registry

    path = folder / "random_vit_b.pth"
    torch.save(sam_model_registry["vit_b"]().state_dict(), path)
    return path


def report(rows: list[Figures], setting: str) -> str:
    head = (
        "# From a click to its mask\n\n"
        f"`python benchmarks/bench_latency.py`: {setting}. Sample slide, every nucleus another "
        "one; cold: the field has no embedding yet, warm: it has one. Own: all that is not the "
        "network (field, slide, lease, box from a click, mask to slide). Aims: a warm click under "
        f"{AIM_WARM_MS} ms on 2 cores and less than {AIM_OWN_PERCENT} % own time. Where SAM ViT-B "
        "is named it has random weights, which take the same time. CPU ms: what all threads of "
        "the process used, which other work on the machine disturbs less.\n\n"
        "| model | device | prompt | n | median ms | p95 ms | own ms | own share | CPU ms |\n"
        "|---|---|---|---:|---:|---:|---:|---:|---:|\n"
    )
    return head + "\n".join(row.row() for row in rows) + "\n"


def settings(devices: list[str], load: tuple[float, ...]) -> str:
    import torch

    names = [f"{torch.cuda.get_device_name()} (CUDA)"] if "cuda" in devices else []
    before = ", ".join(f"{x:.1f}" for x in load)
    after = os.getloadavg()[0]
    return (
        f"{platform.system()}, {os.cpu_count()} CPU cores, torch threads: "
        f"{torch.get_num_threads()} (set by OMP_NUM_THREADS), "
        f"{', '.join(names) or 'no GPU'}, torch {torch.__version__}, load average "
        f"{before} before and {after:.1f} after"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--out", type=Path, default=root / "benchmarks/results/latency.md")
    parser.add_argument("--devices", default="auto", help="cpu, cuda or cpu,cuda")
    parser.add_argument("--models", default="litemedsam,sam-vit-b")
    parser.add_argument("--cold", type=int, default=10, help="cold clicks: embeddings made")
    parser.add_argument("--warm", type=int, default=5, help="warm clicks after each")
    parser.add_argument("--cold-sam", type=int, default=2, help="the same for SAM on the CPU")
    args = parser.parse_args()
    import torch

    load = os.getloadavg()
    devices = args.devices.split(",")
    if args.devices == "auto":
        devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    rows: list[Figures] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HISTOPROMPT_HOME"] = folder
        models = args.models.split(",")
        sam = random_sam(Path(folder)) if "sam-vit-b" in models else None
        for device in devices:
            for model in models:
                slow = device == "cpu" and model == "sam-vit-b"
                cold = args.cold_sam if slow else args.cold
                weights = sam if model == "sam-vit-b" else None
                rows += measure(model, device, weights, cold, args.warm)
    args.out.write_text(report(rows, settings(devices, load)), encoding="utf-8")


if __name__ == "__main__":
    main()
