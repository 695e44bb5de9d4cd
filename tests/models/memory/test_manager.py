"""The manager under real threads: budget, leases, eviction, waiting, out-of-memory."""

from __future__ import annotations

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from histoprompt.core.errors import Cancelled, ModelError, OutOfMemoryError
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.devices import MIB
from histoprompt.models.memory.footprints import FootprintBook
from histoprompt.models.memory.manager import ModelManager


class Tensor:
    """As much of a tensor as the manager counts."""

    def __init__(self, mib):
        self.mib = mib

    def numel(self):
        return int(self.mib * MIB)

    def element_size(self):
        return 1


class FakeMeter:
    """A device whose memory the fake models take and give back."""

    exact = True

    def __init__(self, total=10_000.0):
        self.total = total
        self.used = self.peak = self.highest = 0.0
        self.emptied = 0
        self._lock = threading.Lock()

    def take(self, mib):
        with self._lock:
            if self.used + mib > self.total:
                raise RuntimeError(f"CUDA out of memory. Tried to allocate {mib} MiB.")
            self.used += mib
            self.peak = max(self.peak, self.used)
            self.highest = max(self.highest, self.used)

    def give(self, mib):
        with self._lock:
            self.used -= mib

    def free_mib(self):
        return self.total - self.used

    def used_mib(self):
        return self.used

    def reset_peak(self):
        self.peak = self.used

    def peak_mib(self):
        return self.peak

    def empty_cache(self):
        self.emptied += 1


class FakeModel:
    """Takes its weights while it lives, and its peak while it works."""

    def __init__(self, meter, weights_mib, peak_mib):
        meter.take(weights_mib)
        self.meter, self.weights_mib, self.peak_mib = meter, weights_mib, peak_mib

    def __del__(self):
        if hasattr(self, "weights_mib"):
            self.meter.give(self.weights_mib)

    def parameters(self):
        return [Tensor(self.weights_mib)]

    def buffers(self):
        return []

    def work(self, n=1):
        self.meter.take(self.peak_mib * n)
        self.meter.give(self.peak_mib * n)
        return self.weights_mib


class Loads:
    """A loader of fake models that counts."""

    def __init__(self, meter):
        self.meter = meter
        self.calls = []
        self.sizes = {}

    def __call__(self, card, weights, device):
        self.calls.append((card.id, weights, device))
        mib, peak = self.sizes.get(card.id, (card.weights.n_bytes / MIB, None))
        return FakeModel(self.meter, mib, card.memory_mib - mib if peak is None else peak)


def make_card(name, weights=100, total=150):
    spec = WeightsSpec(f"{name}.pth", "nowhere", n_bytes=weights * MIB)
    return ModelCard(name, "prompt", name.upper(), "none:none", weights=spec, memory_mib=total)


@pytest.fixture
def meter():
    return FakeMeter()


@pytest.fixture
def loads(meter):
    return Loads(meter)


@pytest.fixture
def make(meter, loads):
    def _make(budget=1000, book=None):
        return ModelManager(
            "cpu", budget, load=loads, meter=meter, footprints=book or FootprintBook(None)
        )

    return _make


def in_thread(fn, *args):
    thread = threading.Thread(target=fn, args=args, daemon=True)
    thread.start()
    return thread


def use(manager, card, task=None):
    with manager.lease(card, task or Task()) as model:
        done = model.work()
        del model  # held any longer, it would take memory after it has been put out
    return done


def ids(manager):
    return [m.card_id for m in manager.loaded()]


class ReservingMeter(FakeMeter):
    """Keeps what models gave back, as a GPU's allocator does, until its cache is emptied."""

    def __init__(self, total=10_000.0):
        super().__init__(total)
        self.reserved = 0.0

    def take(self, mib):
        super().take(mib)
        self.reserved = max(self.reserved, self.used)

    def empty_cache(self):
        super().empty_cache()
        self.reserved = self.used


# ---------------------------------------------------------------------- residency


def test_a_model_is_loaded_once_and_stays(make, loads):
    manager = make()
    card = make_card("a")
    for _ in range(3):
        use(manager, card)
    assert loads.calls == [("a", None, "cpu")]
    (shown,) = manager.loaded()
    assert (shown.card_id, shown.weights, shown.leased) == ("a", "", False)
    assert shown.mib == pytest.approx(100)
    assert manager.used_mib == pytest.approx(100)


def test_the_least_recently_used_idle_model_goes_first(make, meter):
    manager = make(budget=340)
    a, b, c = (make_card(n) for n in "abc")
    use(manager, a)
    use(manager, b)
    use(manager, a)
    use(manager, c)
    assert ids(manager) == ["a", "c"]
    assert meter.used == 200  # what was evicted gave its memory back


def test_eviction_and_unloading_give_memory_back_to_the_device():
    meter = ReservingMeter()
    book = FootprintBook(None)
    manager = ModelManager("cpu", 250, load=Loads(meter), meter=meter, footprints=book)
    use(manager, make_card("a"))
    assert (meter.used, meter.reserved) == (100, 150)
    use(manager, make_card("b"))
    assert (meter.used, meter.reserved) == (200, 250)
    use(manager, make_card("c"))
    assert ids(manager) == ["b", "c"]
    assert meter.used == 200
    assert meter.highest <= 250
    for name in ("b", "c"):
        manager.unload(name)
    assert (meter.used, meter.reserved) == (0, 0)


def test_other_weights_are_another_model(make, loads):
    manager = make()
    card, own = make_card("a"), Path("/somewhere/tuned.pth")
    use(manager, card)
    with manager.lease(card, Task(), own) as model:
        assert model.weights_mib == 100
    assert [m.weights for m in manager.loaded()] == ["", str(own)]
    assert [c[1] for c in loads.calls] == [None, own]


def test_two_threads_that_ask_at_once_load_once(make, loads):
    manager = make()
    card = make_card("a")
    inside = threading.Barrier(2)

    def lease_together():
        with manager.lease(card, Task()):
            inside.wait()  # passes only if both hold a lease at the same time

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(lease_together) for _ in range(2)]:
            future.result()
    assert len(loads.calls) == 1


def test_unload_and_load_by_hand(make, meter):
    manager = make()
    card = make_card("a")
    manager.load(card)
    assert ids(manager) == ["a"]
    manager.unload("a")
    assert ids(manager) == []
    assert meter.used == 0
    manager.unload("a")  # nothing to do is no error


def test_a_model_in_use_is_not_unloaded(make):
    manager = make()
    with manager.lease(make_card("a"), Task()), pytest.raises(ModelError, match="in use"):
        manager.unload("a")
    assert ids(manager) == ["a"]


def test_changes_are_announced(make):
    manager = make(budget=200)
    seen = []
    manager.changed.connect(lambda: seen.append(ids(manager)))
    use(manager, make_card("a"))
    use(manager, make_card("b"))
    manager.unload("b")
    assert seen[0] == ["a"]
    assert seen[-1] == []
    assert ["b"] in seen


def test_a_failed_load_leaves_no_trace(make):
    manager = make()

    def broken(card, weights, device):
        raise ValueError("a checkpoint of another architecture")

    manager._load = broken
    with pytest.raises(ValueError, match="another architecture"):
        use(manager, make_card("a"))
    assert manager.loaded() == []
    assert manager.used_mib == 0


def test_leases_never_nest(make):
    manager = make()
    a, b = make_card("a"), make_card("b")
    with manager.lease(a, Task()):
        for card in (a, b):
            with pytest.raises(ModelError, match=r"inside the lease of a.*never nest"):
                use(manager, card)
    use(manager, b)  # and the thread may go on


# ---------------------------------------------------------------------- budget


def test_a_model_larger_than_the_budget_is_refused_with_the_numbers(make, loads):
    manager = make(budget=120)
    use_small = make_card("small", 50, 60)
    use(manager, use_small)
    with pytest.raises(OutOfMemoryError, match=r"LARGE needs 150 MiB.*100.*budget of 120 MiB"):
        use(manager, make_card("large"))
    assert ids(manager) == ["small"]  # nothing was thrown out for it
    assert [c[0] for c in loads.calls] == ["small"]


def test_the_default_budget_is_four_fifths_of_what_is_free(loads):
    manager = ModelManager("cpu", load=loads, meter=FakeMeter(2000), footprints=FootprintBook(None))
    assert manager.budget_mib == pytest.approx(1600)
    assert manager.prepared


def test_lowering_the_budget_unloads_idle_models(make):
    manager = make()
    for name in "abc":
        use(manager, make_card(name))
    manager.budget_mib = 150
    assert ids(manager) == ["c"]
    with pytest.raises(ModelError, match="positive"):
        manager.budget_mib = 0
    assert manager.budget_mib == 150


def test_a_model_found_larger_than_promised_is_dropped_and_refused(make, loads, meter):
    manager = make(budget=200)
    loads.sizes["a"] = (500, 10)
    with pytest.raises(OutOfMemoryError, match="500 of them for its weights"):
        use(manager, make_card("a"))
    assert manager.loaded() == []
    assert meter.used == 0
    with pytest.raises(OutOfMemoryError):
        use(manager, make_card("a"))
    assert len(loads.calls) == 1  # now it is known


def test_a_model_found_larger_than_promised_waits_for_its_turn(make, loads):
    manager = make(budget=300)
    loads.sizes["b"] = (200, 50)
    held, release = threading.Event(), threading.Event()

    def hold():
        with manager.lease(make_card("a"), Task()):
            held.set()
            release.wait()

    thread = in_thread(hold)
    held.wait()
    waiting = threading.Event()
    task = Task(report=lambda p: waiting.set() if "Waiting" in p.text else None)
    other = in_thread(use, manager, make_card("b"), task)
    waiting.wait()
    assert manager.used_mib <= 300
    release.set()
    thread.join()
    other.join()
    assert ids(manager) == ["b"]


def test_two_lanes_over_budget_take_turns(make, meter):
    manager = make(budget=200)
    cards = [make_card("a"), make_card("b")]
    meter.total = 200

    def lane(card):
        return [use(manager, card) for _ in range(20)]

    with ThreadPoolExecutor(2) as pool:
        done = [f.result() for f in [pool.submit(lane, c) for c in cards]]
    assert [len(d) for d in done] == [20, 20]


def test_waiting_can_be_cancelled_and_holds_nobody_up(make):
    manager = make(budget=200)
    held, release, waiting = threading.Event(), threading.Event(), threading.Event()

    def hold():
        with manager.lease(make_card("a"), Task()):
            held.set()
            release.wait()

    holder = in_thread(hold)
    held.wait()
    task = Task(report=lambda p: waiting.set())
    errors = []

    def ask():
        try:
            use(manager, make_card("b"), task)
        except Cancelled as error:
            errors.append(error)

    thread = in_thread(ask)
    waiting.wait()
    task.cancel()
    thread.join()
    assert len(errors) == 1
    release.set()
    holder.join()
    use(manager, make_card("c"))


def test_nobody_starves(make):
    """A lane that leases again and again lets one that waits have its turn."""
    manager = make(budget=200)
    stop, started = threading.Event(), threading.Event()

    def greedy():
        while not stop.is_set():
            use(manager, make_card("a"))
            started.set()

    thread = in_thread(greedy)
    started.wait()
    patient = in_thread(use, manager, make_card("b"))
    patient.join()
    stop.set()
    thread.join()
    assert not patient.is_alive()


@pytest.mark.parametrize("seed", range(5))
def test_stress_never_above_budget_never_stuck(make, meter, seed):
    """Many threads, random models, some cancelled: the device would fail above its memory."""
    budget = meter.total = 600
    manager = make(budget=budget)
    rng = random.Random(seed)
    cards = [
        make_card(f"m{i}", w := rng.randint(1, 300), w + rng.randint(0, 300)) for i in range(8)
    ]
    over, outcomes = [], []

    def worker(k):
        own = random.Random(seed * 100 + k)
        for _ in range(30):
            task = Task()
            if own.random() < 0.1:
                task.cancel()
            try:
                use(manager, own.choice(cards), task)
                outcomes.append("used")
            except Cancelled:
                outcomes.append("cancelled")
            if manager.used_mib > budget + 1e-6:
                over.append(manager.used_mib)
            if own.random() < 0.05:
                try:
                    manager.unload(own.choice(cards).id)
                except ModelError:
                    outcomes.append("busy")

    threads = [in_thread(worker, k) for k in range(8)]
    for thread in threads:
        thread.join()
    assert not any(t.is_alive() for t in threads)
    assert over == []
    assert meter.highest <= budget
    assert outcomes.count("used") + outcomes.count("cancelled") == 240
    assert all(not m.leased for m in manager.loaded())


# ---------------------------------------------------------------------- measuring


def test_footprints_are_measured_and_remembered(make, loads, tmp_path):
    path = tmp_path / "cache" / "footprints.json"
    card = make_card("a", 100, 500)
    loads.sizes["a"] = (80, 30)
    first = make(book=FootprintBook(path))
    assert first.footprint(card).total_mib == 500
    use(first, card)
    later = make(book=FootprintBook(path))
    found = later.footprint(card)
    assert (found.weights_mib, found.peak_mib) == (80, 30)


def test_a_use_that_fails_or_is_not_one_is_not_measured(make):
    manager = make()
    card = make_card("a", 100, 500)
    manager.load(card)
    with pytest.raises(ZeroDivisionError), manager.lease(card, Task()):
        _ = 1 / 0
    assert manager.footprint(card).peak_mib == 400


def test_a_use_beside_another_is_not_measured(make, loads, meter):
    manager = make()
    a, b = make_card("a", 100, 200), make_card("b", 100, 200)
    for name in "ab":
        loads.sizes[name] = (100, 5)
    ready, release = threading.Event(), threading.Event()

    def hold():
        with manager.lease(a, Task()):
            ready.set()
            release.wait()

    thread = in_thread(hold)
    ready.wait()
    use(manager, b)
    release.set()
    thread.join()
    assert manager.footprint(a).peak_mib == 100
    assert manager.footprint(b).peak_mib == 100


def test_a_large_batch_is_not_held_against_a_model(make, loads):
    """Its peak was measured under a large budget; under a small one it works alone."""
    manager = make(budget=1000)
    card = make_card("a", 100, 150)
    with manager.lease(card, Task()) as model:
        model.work(n=10)
    assert manager.footprint(card).peak_mib == 500
    manager.budget_mib = 200
    use(manager, card)


# ---------------------------------------------------------------------- running out of memory


def test_out_of_memory_while_loading_evicts_the_rest_and_tries_again(make, meter):
    manager = make(budget=10_000)
    use(manager, make_card("a"))
    meter.total = 180  # another program took the rest
    use(manager, make_card("b"))
    assert ids(manager) == ["b"]


def test_out_of_memory_while_loading_becomes_a_clear_error(make, meter):
    manager = make(budget=10_000)
    meter.total = 50
    with pytest.raises(OutOfMemoryError, match=r"A ran out of memory on cpu: 50 MiB.*Close other"):
        use(manager, make_card("a"))
    assert manager.loaded() == []


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("CUDA out of memory."), RuntimeError("can't allocate memory")],
)
def test_out_of_memory_in_a_lease_becomes_a_clear_error(make, meter, error):
    manager = make()
    use(manager, make_card("idle"))
    with (
        pytest.raises(OutOfMemoryError, match="A ran out of memory"),
        manager.lease(make_card("a"), Task()),
    ):
        raise error
    assert ids(manager) == ["a"]
    assert meter.emptied > 0
    assert not manager.loaded()[0].leased


def test_other_errors_pass_through_a_lease(make):
    manager = make()
    with pytest.raises(RuntimeError, match="shape mismatch"), manager.lease(make_card("a"), Task()):
        raise RuntimeError("shape mismatch")


def work_each(model, part):
    model.work(len(part))
    return [x * 2 for x in part]


def test_a_batch_that_does_not_fit_goes_through_in_halves(make, meter):
    manager = make(budget=10_000)
    use(manager, make_card("idle"))
    meter.total = 100 + 50 * 3
    parts = []

    def fn(model, part):
        parts.append(list(part))
        return work_each(model, part)

    assert manager.run(make_card("a"), Task(), fn, [1, 2, 3, 4, 5]) == [2, 4, 6, 8, 10]
    assert parts == [[1, 2, 3, 4, 5], [1, 2, 3], [4, 5]]
    assert ids(manager) == ["a"]


def test_a_batch_whose_halves_do_not_fit_is_a_clear_error(make, meter):
    manager = make(budget=10_000)
    meter.total = 160
    with pytest.raises(OutOfMemoryError, match=r"A ran out of memory.*smaller model"):
        manager.run(make_card("a"), Task(), work_each, [1, 2, 3, 4, 5])
    assert manager.run(make_card("a"), Task(), work_each, [7]) == [14]


def test_a_single_item_is_tried_again_after_the_rest_is_gone(make, meter):
    manager = make(budget=10_000)
    use(manager, make_card("idle"))
    meter.total = 220
    assert manager.run(make_card("a"), Task(), work_each, (3,)) == [6]
    assert ids(manager) == ["a"]


def test_cancel_between_the_tries(make, meter):
    manager = make(budget=10_000)
    meter.total = 200
    task = Task()

    def fn(model, part):
        task.cancel()
        return work_each(model, part)

    with pytest.raises(Cancelled):
        manager.run(make_card("a"), task, fn, [1, 2, 3, 4])


def test_every_place_memory_can_run_out_leaves_the_manager_usable(make, meter):
    """The device fails at its n-th allocation, for every n of a load, an embedding and a batch."""
    for n in range(8):
        manager = make(budget=10_000)
        count, take = itertools.count(), meter.take

        def failing(mib, count=count, take=take, n=n):
            if next(count) == n:
                raise MemoryError
            take(mib)

        meter.take = failing
        card = make_card("a")
        assert manager.run(card, Task(), work_each, [1, 2]) == [2, 4]
        assert manager.run(card, Task(), work_each, [3, 4, 5]) == [6, 8, 10]
        del meter.take
        use(manager, card)
        manager.unload("a")
        assert meter.used == 0
