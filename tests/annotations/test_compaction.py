"""A journal written anew: what can be undone, who made what, and kills at every step."""

import os
import shutil
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.annotations import engine as engine_module
from histoprompt.annotations.class_list import ObjectClass
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from power_cut import ForgetfulDisk

SHAPE = (200, 180)


def open_store(folder, **how):
    return LabelStore.open(folder, SHAPE, "slide", **{"chunk": 32, **how})


def square(row, col, side=30):
    box = Box(row, col, row + side, col + side)
    return Mask(np.ones((side, side), bool), Frame(box, (side, side)))


def seen(store):
    """All that can be asked of both planes, with what made each object and when."""
    planes = []
    for plane in (store.on("objects"), store.on("regions")):
        made = [plane.origin_of(i) for i in plane.ids().tolist()]
        planes.append((plane.read(plane.box).tobytes(), plane.objects(), plane.next_id(), made))
    return planes, store.class_list()


def walked(store, undo, redo):
    """The states on the way back by `undo` edits, and forth by those and `redo` more."""
    states = [seen(store)]
    for _ in range(undo):
        assert store.undo() is not None
        states.append(seen(store))
    for _ in range(undo + redo):
        assert store.redo() is not None
        states.append(seen(store))
    assert store.redo() is None
    for _ in range(redo):
        store.undo()
    assert seen(store) == states[0]
    return states


def work(store):
    """Edits of both planes, some taken back and replaced, the last two taken back."""
    regions = store.on("regions")
    store.commit(square(10, 10), info={"model": "first"})
    regions.commit(square(0, 0, 90), info={"model": "by hand"})
    store.commit(square(5, 100), info={"model": "never seen again"})
    store.clear()
    store.undo()
    store.undo()
    store.commit(square(60, 60), info={"model": "third"})
    regions.set_class([1], "tumour")
    with store.group("several"):
        store.merge([1, 2])
        store.commit(square(120, 20), info={"model": "in a group"})
    store.set_class([1], "nucleus")
    store.delete([3])
    store.commit(square(140, 140), info={"model": "last"})
    store.undo()
    store.undo()


@pytest.fixture
def folder(tmp_path):
    with open_store(tmp_path / "s") as store:
        work(store)
    return tmp_path / "s"


@pytest.mark.parametrize("keep", [None, 0, 1, 3, 100])
def test_labels_makers_and_the_edits_kept_stay_as_they_were(folder, keep):
    with open_store(folder) as store:
        before = walked(store, 6 if keep in (None, 100) else keep, 2)
        history = [entry.op for entry in store.history()]
    with open_store(folder) as store:
        done = store.compact(keep)
        assert done.after < done.before
        with pytest.raises(LabelStoreError, match="closed"):
            store.commit(square(0, 0))
    assert done.kept + done.given_up == 6 + 2
    assert done.dropped == 2  # what was taken back and replaced
    assert (folder / "journal.bin").stat().st_size == done.after
    for _ in range(2):
        with open_store(folder) as store:
            assert store.notes == []
            assert store.verify().fine
            assert [e.op for e in store.history()] == history[6 - done.kept + 2 :]
            assert walked(store, done.kept - 2, 2) == before
            assert store.can_undo == (done.kept > 2)
        (folder / "checkpoint.npz").unlink()
    with open_store(folder, rebuild=True) as store:
        assert "nothing was different" in store.notes[0]
        assert seen(store) == before[0]


def test_a_compacted_store_is_edited_and_compacted_again(folder):
    for keep in (2, None, 1, 0, None):
        with open_store(folder) as store:
            before = seen(store)
            store.compact(keep)
        with open_store(folder) as store:
            assert seen(store) == before
            store.commit(square(30, 30, 7), "overwrite", info={"model": "more"})
            store.on("regions").commit(square(100, 100, 20))
            store.on("regions").delete([max(store.on("regions").ids().tolist())])
            store.undo()
        (folder / "checkpoint.npz").unlink()


EDIT = st.tuples(
    st.sampled_from(["commit", "delete", "class", "list", "move", "undo", "undo", "redo"]),
    st.sampled_from(["objects", "regions"]),
    st.integers(0, 150),
    st.integers(0, 130),
    st.integers(1, 49),
)


def act(store, edit):
    kind, plane, row, col, side = edit
    there = store.on(plane)
    ids = there.ids().tolist()
    if kind == "commit":
        there.commit(square(row, col, side), "overwrite", info={"side": side})
    elif kind == "list":
        store.set_class_list([ObjectClass(f"class {side % 4}", (row, col, side))])
    elif kind == "undo":
        store.undo()
    elif kind == "redo":
        store.redo()
    elif ids and kind == "delete":
        there.delete(ids[:1])
    elif ids and kind == "class":
        there.set_class(ids[:2], f"class {side % 3}")
    elif ids:
        there.move(ids[:1], "regions" if plane == "objects" else "objects")


@settings(max_examples=6, deadline=None)
@given(st.lists(EDIT, min_size=4, max_size=14), st.sampled_from([None, 0, 1, 2, 5]))
def test_any_journal_is_compacted_without_loss(tmp_path_factory, edits, keep):
    folder = tmp_path_factory.mktemp("compact")
    with open_store(folder) as store:
        for edit in edits:
            act(store, edit)
        undo = len(store.history())
        undo = undo if keep is None else min(keep, undo)
        redo = len(store._engine.history.redo)
        before = walked(store, undo, redo)
        store.compact(keep)
    with open_store(folder) as store:
        assert walked(store, undo, redo) == before
    (folder / "checkpoint.npz").unlink(missing_ok=True)
    with open_store(folder) as store:
        assert walked(store, undo, redo) == before
        assert store.notes == []
        assert store.verify().fine
    shutil.rmtree(folder)


class Kill(BaseException):
    """Stands for a process that ends here."""


def dying(real, left):
    def call(*given, **named):
        left[0] -= 1
        if left[0] < 0:
            raise Kill
        return real(*given, **named)

    return call


@pytest.mark.parametrize(("keep", "first"), [(1, 0), (1, 1), (None, 2)])
def test_a_kill_at_any_step_leaves_a_store_as_it_was(folder, tmp_path, monkeypatch, keep, first):
    with open_store(folder) as store:
        before = seen(store)
    finished, steps = False, first
    while not finished:
        there, left = tmp_path / f"killed {steps}", [steps]
        shutil.copytree(folder, there)
        store = open_store(there)
        with monkeypatch.context() as patch:
            for name in ("replace", "fsync", "unlink"):
                patch.setattr(os, name, dying(getattr(os, name), left))
            with suppress(Kill):
                store.compact(keep)
                finished = True
            with suppress(Kill):
                store._engine._let_go()  # a killed process lets the lock go
        with open_store(there) as store:
            assert store.notes == []
            assert seen(store) == before
            assert store.can_undo
            assert not (there / "journal.new").exists()
        shutil.rmtree(there)
        steps += 2
    assert steps > 8


@pytest.mark.parametrize("step", range(0, 24, 2))
def test_a_power_cut_at_any_step_loses_nothing(folder, tmp_path, monkeypatch, step):
    with open_store(folder) as store:
        before = seen(store)
    store, left = open_store(folder), [step]
    disk = ForgetfulDisk(folder, monkeypatch)
    try:
        with monkeypatch.context() as patch:
            for name in ("replace", "fsync", "unlink"):
                patch.setattr(os, name, dying(getattr(os, name), left))
            with suppress(Kill):
                store.compact(1)
            with suppress(Kill):
                store._engine._let_go()
        there = disk.cut(tmp_path / "after")
    finally:
        disk.close()
    monkeypatch.undo()
    with open_store(there) as store:
        assert seen(store) == before
        assert store.can_undo


def test_a_damaged_edit_that_shall_be_kept_stops_it_and_one_given_up_does_not(folder):
    with open_store(folder) as store:
        at = store._engine.history.undo[2]
        before = seen(store)
        body = store._engine.journal.read(at).body_at
    journal = bytearray((folder / "journal.bin").read_bytes())
    journal[body] ^= 0xFF
    (folder / "journal.bin").write_bytes(journal)
    with open_store(folder) as store:
        with pytest.raises(LabelStoreError, match="damaged"):
            store.compact()
        assert seen(store) == before
        assert not (folder / "journal.new").exists()
        store.compact(2)
    (folder / "checkpoint.npz").unlink()
    with open_store(folder) as store:
        assert seen(store) == before


def test_a_journal_grown_large_with_what_was_replaced_is_compacted_at_closing(folder, monkeypatch):
    monkeypatch.setattr(engine_module, "COMPACT_AT", 1000)
    size = (folder / "journal.bin").stat().st_size
    open_store(folder).close()
    assert (folder / "journal.bin").stat().st_size == size, "most of it can still be undone"
    with open_store(folder) as store:
        for n in range(40):
            store.write(Box(n, 0, n + 20, 60), np.full((20, 60), n + 10))
            store.undo()
        before = walked(store, 6, 1)
    assert (folder / "journal.bin").stat().st_size < 1.5 * size
    with open_store(folder) as store:
        assert walked(store, 6, 1) == before


def test_a_store_opened_to_look_at_is_not_compacted(folder):
    with open_store(folder, read_only=True) as store, pytest.raises(LabelStoreError, match="read"):
        store.compact()
