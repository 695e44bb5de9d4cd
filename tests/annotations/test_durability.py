"""What is left after kills, full disks, torn files and quarrels over a store."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

SHAPE = (200, 180)


def open_store(folder, **how):
    return LabelStore.open(folder, SHAPE, "slide", chunk=32, **how)


def square(row, col, side=30):
    box = Box(row, col, row + side, col + side)
    return Mask(np.ones((side, side), bool), Frame(box, (side, side)))


def whole(store):
    return store.read(store.box)


def state_of(store):
    return whole(store).tobytes(), store.objects(), store.next_id(), store.can_undo, store.can_redo


def is_consistent(store):
    labels = whole(store)
    ids, counts = np.unique(labels[labels > 0], return_counts=True)
    assert [r.id for r in store.objects()] == ids.tolist()
    assert [r.area_px for r in store.objects()] == counts.tolist()
    for k, level in enumerate(store.levels):
        assert np.array_equal(level[:], labels[:: 2**k, :: 2**k])


# -- killed processes ----------------------------------------------------------------------------

EDITOR = """
import sys
from pathlib import Path
import numpy as np
from histoprompt.annotations.store import LabelStore
from histoprompt.core.geometry import Box

def edit(store, n):
    rng = np.random.default_rng(n)
    kind = rng.integers(0, 6)
    if kind == 0:
        store.undo()
    elif kind == 1:
        store.redo()
    elif kind == 2 and store.count:
        store.delete([int(rng.choice(store.ids()))])
    else:
        r, c = rng.integers(0, 100, 2)
        h, w = rng.integers(1, 80, 2)
        labels = np.kron(rng.integers(0, 50, (h, w)), np.ones((4, 4), int))[:h, :w]
        store.write(Box(r, c, r + h, c + w), labels)

if __name__ == "__main__":
    folder, start = Path(sys.argv[1]), int(sys.argv[2])
    with LabelStore.open(folder, (200, 180), "slide", chunk=32) as store:
        print("ready", flush=True)
        for n in range(start, start + 100_000):
            edit(store, n)
            print(n, flush=True)
"""


def run_and_kill(script, folder, start, least, seconds):
    """Let the editor make some edits and kill it a little later; how many it said were done."""
    with subprocess.Popen(
        [sys.executable, str(script), str(folder), str(start)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        done = [process.stdout.readline() for _ in range(least)]
        threading.Timer(seconds, process.send_signal, [signal.SIGKILL]).start()
        done += [line for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL
    return len(done)


def test_a_killed_process_loses_at_most_the_edit_in_hand(tmp_path):
    script = tmp_path / "editor.py"
    script.write_text(EDITOR)
    edit_space = {"__name__": "editor"}
    exec(compile(EDITOR, "editor", "exec"), edit_space)
    chance = random.Random(7)
    done = 0
    with open_store(tmp_path / "model") as model:
        states = [state_of(model)]
        for _ in range(4):
            start = done
            said = run_and_kill(script, tmp_path / "killed", start, 3, 0.3 * chance.random())
            for n in range(start, start + said + 1):
                if n + 1 == len(states):
                    edit_space["edit"](model, n)
                    states.append(state_of(model))
            with open_store(tmp_path / "killed") as store:
                is_consistent(store)
                now = state_of(store)
            possible = [n for n in (start + said, start + said + 1) if states[n][0] == now[0]]
            assert possible, f"{said} edits were confirmed, and the state is none of the next"
            assert any(states[n][3:] == now[3:] for n in possible)
            done = max(n for n in possible if states[n][3:] == now[3:])
    assert done > 10


def test_the_lock_of_a_killed_process_is_gone(tmp_path):
    script = tmp_path / "editor.py"
    script.write_text(EDITOR)
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "s"), "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(
            LabelStoreError, match=f"open for writing already .process {process.pid} "
        ):
            open_store(tmp_path / "s")
        reader = open_store(tmp_path / "s", read_only=True)
        with reader, pytest.raises(LabelStoreError, match="read only"):
            reader.clear()
        process.kill()
        process.stdout.read()
    with open_store(tmp_path / "s") as store:
        is_consistent(store)
        store.commit(square(0, 0), "overwrite")


# -- torn and damaged files ----------------------------------------------------------------------


@pytest.fixture
def two_edits(tmp_path):
    """Folders of a store after its first and after its second edit, and the states then."""
    with open_store(tmp_path / "live") as store:
        store.commit(square(10, 10), info={"by": "first"})
    with open_store(tmp_path / "live") as store:  # closed before, so there is a checkpoint
        first = state_of(store)
        shutil.copytree(tmp_path / "live", tmp_path / "first")
        store.commit(square(33, 10), "overwrite", info={"by": "second"})
        second = state_of(store)
        shutil.copytree(tmp_path / "live", tmp_path / "second")
    return tmp_path / "first", first, tmp_path / "second", second


@pytest.mark.parametrize("part", [0.0, 0.05, 0.3, 0.6, 0.99, 1.0])
def test_a_torn_record_is_cut_off_and_a_whole_one_is_carried_out(two_edits, part):
    folder, first, later, second = two_edits
    journal = (later / "journal.bin").read_bytes()
    size = (folder / "journal.bin").stat().st_size
    keep = size + round((len(journal) - size) * part)
    (folder / "journal.bin").write_bytes(journal[:keep])
    with open_store(folder) as store:
        is_consistent(store)
        assert state_of(store) == (second if part == 1 else first)
        store.commit(square(100, 100))
        after = state_of(store)
    with open_store(folder) as store:
        assert state_of(store) == after


def test_a_record_with_flipped_bits_is_kept_beside_and_not_believed(two_edits):
    folder, first, later, _ = two_edits
    journal = bytearray((later / "journal.bin").read_bytes())
    size = (folder / "journal.bin").stat().st_size
    journal[-3] ^= 0xFF
    (folder / "journal.bin").write_bytes(journal)
    with open_store(folder) as store:
        assert state_of(store) == first
    assert (folder / "journal.cut-1").read_bytes() == journal[size:]


def test_arrays_half_changed_by_a_kill_are_mended(two_edits):
    """The second edit is in the journal, and only some of its chunks are in place."""
    folder, _, later, second = two_edits
    shutil.copy(later / "journal.bin", folder / "journal.bin")
    shutil.copytree(later / "staging", folder / "staging", dirs_exist_ok=True)
    (folder / "staging" / "0.0.0").write_bytes(b"what a killed process staged")
    shutil.copy(later / "labels.zarr/0/c/1/1", folder / "labels.zarr/0/c/1/1")
    (folder / "labels.zarr/1/c/0/0").unlink()
    with open_store(folder) as store:
        is_consistent(store)
        assert state_of(store) == second


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_lost_checkpoint_only_costs_time(two_edits, damage):
    _, _, folder, second = two_edits
    with open_store(folder):
        pass
    path = folder / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    with open_store(folder) as store:
        assert state_of(store) == second


def test_lost_arrays_are_made_again_from_the_journal(two_edits):
    _, _, folder, second = two_edits
    with open_store(folder):
        pass
    shutil.rmtree(folder / "labels.zarr")
    with open_store(folder) as store:
        is_consistent(store)
        assert state_of(store) == second


def test_a_damaged_old_record_stops_undo_and_harms_nothing(two_edits):
    _, _, folder, second = two_edits
    with open_store(folder):
        pass
    journal = bytearray((folder / "journal.bin").read_bytes())
    journal[-2] ^= 1
    (folder / "journal.bin").write_bytes(journal)
    with open_store(folder) as store:
        with pytest.raises(LabelStoreError, match="damaged at byte"):
            store.undo()
        assert state_of(store) == second
        store.commit(square(100, 100))
        is_consistent(store)


# -- full disk -----------------------------------------------------------------------------------


@contextmanager
def files_of_at_most(size):
    """No file may grow beyond this many bytes, as on a disk that is full."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def noise(n=160):
    rng = np.random.default_rng(0)
    return rng.choice(rng.integers(1, 2**32, 40), (n, n)).astype(np.uint32)


def delete_and_write(store):
    with store.group("several"):
        store.delete(store.ids()[:3])
        store.write(Box(8, 8, 168, 168), noise())


@pytest.mark.parametrize("room", ["none for the chunks", "none for the journal"])
def test_a_full_disk_leaves_the_labels_as_they_were(tmp_path, room):
    with open_store(tmp_path / "s") as store:
        for i in range(6):
            store.write(Box(0, 0, 160, 160), noise() // 2**i)
        store.undo()
        before = state_of(store)
        limit = 300 if room == "none for the chunks" else store.journal_bytes + 500
        with files_of_at_most(limit):
            with pytest.raises(LabelStoreError, match="as they were before"):
                store.write(Box(8, 8, 168, 168), noise())
            assert state_of(store) == before
            with pytest.raises(LabelStoreError):
                delete_and_write(store)
            assert state_of(store) == before
        assert not list((tmp_path / "s" / "staging").iterdir())
        assert (tmp_path / "s" / "journal.bin").stat().st_size == store.journal_bytes
        is_consistent(store)
        assert store.redo() is not None
        store.write(Box(8, 8, 168, 168), noise())
        after = state_of(store)
    with open_store(tmp_path / "s") as store:
        assert state_of(store) == after


def test_a_full_disk_on_undo_leaves_the_labels_as_they_were(tmp_path):
    with open_store(tmp_path / "s") as store:
        store.write(Box(0, 0, 160, 160), noise())
        store.clear()
        before = state_of(store)
        with files_of_at_most(300), pytest.raises(LabelStoreError, match="make room"):
            store.undo()
        assert state_of(store) == before
        store.undo()
        assert np.array_equal(store.read(Box(0, 0, 160, 160)), noise())


def test_no_room_for_the_checkpoint_only_makes_opening_slower(tmp_path):
    with open_store(tmp_path / "s") as store:
        store.commit(square(0, 0))
        before = state_of(store)
        with files_of_at_most(10):
            store.close()
    assert not list((tmp_path / "s").glob("checkpoint*"))
    with open_store(tmp_path / "s") as store:
        assert state_of(store) == before


def test_a_failed_edit_inside_a_group_cannot_slip_into_the_record(tmp_path):
    with open_store(tmp_path / "s") as store:
        before = state_of(store)

        def clumsy():
            with store.group("clumsy"):
                store.commit(square(0, 0))
                with files_of_at_most(300), suppress(LabelStoreError):
                    store.write(Box(0, 0, 160, 160), noise())

        with pytest.raises(LabelStoreError, match="none of it was made"):
            clumsy()
        assert state_of(store) == before


# -- threads -------------------------------------------------------------------------------------


def test_edits_and_reads_from_many_threads_do_not_mix(tmp_path):
    errors = []

    def work(store, n):
        try:
            for i in range(8):
                store.commit(square(n * 40, i * 20, 15), info={"thread": n})
                store.read(store.box)
                store.objects()
        except Exception as error:  # noqa: BLE001 - told to the test's own thread
            errors.append(error)

    with open_store(tmp_path / "s") as store:
        threads = [threading.Thread(target=work, args=(store, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert store.count == 32
        assert all(r.box.r0 == r.info["thread"] * 40 for r in store.objects())
        is_consistent(store)


def test_a_store_closed_in_another_thread_can_be_opened_again(tmp_path):
    store = open_store(tmp_path / "s")
    thread = threading.Thread(target=store.close)
    thread.start()
    thread.join()
    open_store(tmp_path / "s").close()


def test_two_viewers_in_one_process_do_not_write_the_same_store(tmp_path):
    with open_store(tmp_path / "s"), pytest.raises(LabelStoreError, match=str(os.getpid())):
        open_store(tmp_path / "s")
    holder = json.loads((tmp_path / "s" / "writer.json").read_text())
    assert holder["pid"] == os.getpid()
    assert time.strptime(holder["since"][:19], "%Y-%m-%dT%H:%M:%S")
