"""Where slides are worked on: here, in processes of this machine, or on a cluster by Dask."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

from histoprompt.core.errors import RecipeError
from histoprompt.pipelines.recipes.unit import Unit, UnitResult, look_at_block, run_unit

_LOCAL = re.compile(r"local(?::(\d+))?")
_NEEDS = (
    "Runs on several processes or machines need the packages distributed and dask-jobqueue: "
    "pip install 'napari-histoprompt[scale]'."
)
_TRIM = "MALLOC_TRIM_THRESHOLD_"
# Dask looks at the stack of every thread a hundred times a second, and at itself fifty times. It
# takes 3 % of each process's time, whether that works or waits for its turn.
_UNWATCHED = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
}
# Tasks whose keys begin alike wait at the scheduler until a worker is free. By Dask's own settings
# each worker gets one more ahead, and in the end a slide waits there beside an idle worker.
_ONE_AT_A_TIME = {"distributed.scheduler.worker-saturation": 1.0}
# How long a worker waits before it hands on what another one is to do.
_PAUSE_S = 1.0
_TIMES = 2  # a slide that fails so often is set aside


@dataclass(frozen=True)
class Scheduler:
    """A place to work.

    Attributes
    ----------
    kind : {"here", "local", "address", "slurm"}
    workers : int
    place : str
        The address, or the profile of the cluster.
    """

    kind: str
    workers: int = 1
    place: str = ""


def parse_scheduler(text: str) -> Scheduler:
    """What ``local[:n]``, ``tcp://...`` or ``slurm:PROFILE`` means.

    Raises
    ------
    RecipeError
        If it is none of these.
    """
    local = _LOCAL.fullmatch(text)
    if local:
        workers = int(local[1]) if local[1] else os.cpu_count() or 1
        if not 1 <= workers <= 1024:
            raise RecipeError(f"{text} asks for {workers} processes; 1 to 1,024 are possible.")
        return Scheduler("here" if workers == 1 else "local", workers)
    if text.startswith(("tcp://", "tls://", "ucx://")):
        return Scheduler("address", place=text)
    if text.startswith("slurm:"):
        return Scheduler("slurm", place=text.removeprefix("slurm:"))
    raise RecipeError(
        f"{text!r} is no scheduler. It is local, local:2, tcp://ADDRESS:PORT or slurm:PROFILE."
    )


def work_through(units: Sequence[Unit], scheduler: Scheduler) -> Iterator[UnitResult]:
    """Do all units, and give each result as it comes.

    A unit that fails is tried once more, on another worker where there is one: the disk of the
    first may be full. One whose worker dies twice is given back as failed.

    Raises
    ------
    RecipeError
        If the scheduler is not there, or its packages are not installed.
    """
    if scheduler.kind == "here":
        yield from _one_by_one(units)
        return
    with _client(scheduler) as client:
        yield from _through(client, units)


def _one_by_one(units: Sequence[Unit]) -> Iterator[UnitResult]:
    """In a thread of its own, which keeps whatever a unit raises for itself."""
    with ThreadPoolExecutor(1) as thread:
        for unit in units:
            first = ""
            for tried in range(_TIMES):
                future = thread.submit(run_unit, unit)
                error = future.exception()
                result = future.result() if error is None else _fault(unit, error)
                if result.state != "failed" or tried == _TIMES - 1:
                    yield _after(first, result)
                    break
                first = result.fault


def _after(first: str, result: UnitResult) -> UnitResult:
    """The result of a second try tells why the first one failed; empty if there was none."""
    if not first or result.state == "failed":
        return result
    return replace(result, notes=(*result.notes, f"It was tried a second time: {first}"))


def _fault(unit: Unit, error: BaseException) -> UnitResult:
    if not isinstance(error, Exception):
        raise error
    return UnitResult(unit.name, "failed", fault=f"{type(error).__name__}: {error}"[:300])


def _through(client: Any, units: Sequence[Unit]) -> Iterator[UnitResult]:
    """Slides one by one; one that is divided is done once its blocks were looked at."""
    work = _Work(client)
    waiting = _package("distributed").as_completed(work.begin(units))
    for future in waiting:
        result, more = work.ended(future)
        waiting.update(more)
        if result is not None:
            yield result


class _Work:
    """What a cluster has in hand."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._units: dict[Any, tuple[Unit, int]] = {}
        self._first: dict[str, str] = {}
        self._blocks: dict[Any, int] = {}
        self._divided: list[Unit] = []
        self._left: list[int] = []

    def begin(self, units: Sequence[Unit]) -> list[Any]:
        """Submit the slides that are done whole, and the blocks of the others."""
        futures = []
        for n, unit in enumerate(units):
            if unit.blocks < 2:
                futures.append(self._submit(unit, 1, -n))
                continue
            self._divided.append(unit)
            self._left.append(unit.blocks)
            for block in range(unit.blocks):
                key = f"block-{n}-{block}-{unit.name}"
                future = self._client.submit(
                    look_at_block, unit, block, pure=False, retries=1, key=key, priority=-n
                )
                self._blocks[future] = len(self._divided) - 1
                futures.append(future)
        return futures

    def ended(self, future: Any) -> tuple[UnitResult | None, list[Any]]:
        """The result of a slide, if this is one, and what is to be waited for now."""
        if future in self._blocks:
            # what a block did not look at, whatever became of it, is looked at with the slide
            number = self._blocks.pop(future)
            self._left[number] -= 1
            again = [] if self._left[number] else [self._submit(self._divided[number], 1, 1)]
            return None, again
        unit, times = self._units.pop(future)
        if future.status == "finished":
            result: UnitResult = future.result()
        else:
            result = UnitResult(unit.name, "failed", fault=_why(future))
        if result.state == "failed" and times < _TIMES:
            self._first[unit.folder] = result.fault
            return None, [self._submit(unit, times + 1, 0, self._who_did(future))]
        return _after(self._first.get(unit.folder, ""), result), []

    def _who_did(self, future: Any) -> tuple[str, ...]:
        """The workers that did something; none if nobody knows."""
        found = self._client.who_has([future]).values()
        return tuple(worker for some in found for worker in some)

    def _submit(self, unit: Unit, times: int, priority: int, avoided: Sequence[str] = ()) -> Any:
        there = self._client.nthreads() if avoided else ()
        preferred = [worker for worker in there if worker not in avoided]
        future = self._client.submit(
            _elsewhere, unit, tuple(avoided), pure=False, retries=1 if times == 1 else 0,
            key=f"slide-{times}-{len(self._units)}-{unit.name}-{uuid4().hex[:8]}",
            priority=priority,
            workers=preferred or None, allow_other_workers=bool(preferred),
        )  # fmt: skip
        self._units[future] = (unit, times)
        return future


def _elsewhere(unit: Unit, avoided: Sequence[str]) -> UnitResult:
    """Do a unit on another worker than some, as long as there is one.

    The scheduler lets whoever is idle take work, and a worker with a full disk soon is.
    """
    if avoided:
        dask = _package("distributed")
        here = dask.get_worker().address
        if here in avoided and set(dask.get_client().nthreads()) - set(avoided):
            time.sleep(_PAUSE_S)
            raise dask.Reschedule
    return run_unit(unit)


def _why(future: Any) -> str:
    error = future.exception() if future.status == "error" else None
    if type(error).__name__ == "KilledWorker":
        return "its worker was ended several times, perhaps for lack of memory."
    return f"{type(error).__name__}: {error}"[:300] if error else f"it was {future.status}."


@contextmanager
def _client(scheduler: Scheduler) -> Iterator[Any]:
    dask = _package("distributed")
    if scheduler.kind == "local":
        with (
            _unhindered(),
            dask.LocalCluster(
                n_workers=scheduler.workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
                memory_limit=None,
            ) as cluster,
            dask.Client(cluster) as client,
        ):
            client.register_plugin(_a_gpu_each())
            yield client
        return
    if scheduler.kind == "slurm":
        with _slurm(scheduler.place) as cluster, dask.Client(cluster) as client:
            yield client
        return
    try:
        client = dask.Client(scheduler.place, timeout="10s")
    except (OSError, TimeoutError) as error:
        raise RecipeError(
            f"No scheduler answers at {scheduler.place}. Start one with `dask scheduler`, and "
            "workers with `dask worker`, where the slides can be read."
        ) from error
    with client:
        yield client


@contextmanager
def _unhindered() -> Iterator[None]:
    """Let workers give memory back as other programs do, and spare them most of Dask's watching.

    Dask has memory given back at every chance, and a model that asks for the same large arrays for
    every tile then spends most of its time on getting them anew.
    """
    config, name = _package("dask").config, "distributed.nanny.pre-spawn-environ"
    there = config.get(name, {})
    with config.set(
        {name: {k: v for k, v in there.items() if k != _TRIM}, **_UNWATCHED, **_ONE_AT_A_TIME}
    ):
        yield


def _a_gpu_each() -> Any:
    """What gives every local worker, one that was started anew too, one of several GPUs."""
    plugin: Any = _package("distributed").WorkerPlugin

    class OneGpu(plugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:
            many = len([one for one in Path("/dev").glob("nvidia*") if one.name[6:].isdecimal()])
            if many > 1 and "CUDA_VISIBLE_DEVICES" not in os.environ:
                # before torch is imported there
                os.environ["CUDA_VISIBLE_DEVICES"] = str(int(worker.name) % many)

    return OneGpu()


@contextmanager
def _slurm(profile: str) -> Iterator[Any]:
    """A cluster by dask-jobqueue, as its configuration file describes it under `profile`."""
    jobqueue = _package("dask_jobqueue")
    # Looked for first: a cluster that fails while it is being made is never closed.
    if _package("dask.config").get(f"jobqueue.{profile}", None) is None:
        raise _no_profile(profile, "it is not there")
    try:
        cluster = jobqueue.SLURMCluster(config_name=profile)
    except (KeyError, ValueError, TypeError) as error:
        raise _no_profile(profile, error) from error
    with cluster:
        cluster.adapt(minimum=1, maximum_jobs=100)
        yield cluster


def _no_profile(profile: str, why: object) -> RecipeError:
    return RecipeError(
        f"dask-jobqueue has no usable profile {profile!r} ({why}). Describe it under jobqueue in "
        "~/.config/dask/jobqueue.yaml."
    )


def _package(name: str) -> Any:
    """A package of the extra for scaling out, which tells no types."""
    try:
        return import_module(name)
    except ImportError as error:
        raise RecipeError(_NEEDS) from error
