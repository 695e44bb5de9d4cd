"""Regions and objects: two planes, one journal; and stores from before there were planes."""

import json
import os
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoprompt.annotations.class_list import ObjectClass
from histoprompt.annotations.place import FORMAT
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

SHAPE = (200, 180)
OLD = Path(__file__).parent / "data" / "store_format_1.zip"


def open_store(folder, **how):
    return LabelStore.open(folder, SHAPE, "slide", **{"chunk": 32, **how})


def square(row, col, side=30):
    box = Box(row, col, row + side, col + side)
    return Mask(np.ones((side, side), bool), Frame(box, (side, side)))


def seen(store):
    """Everything that can be asked of both planes."""
    planes = [(p.read(p.box).tobytes(), p.objects(), p.next_id()) for p in both(store)]
    return planes, store.class_list(), store.can_undo, store.can_redo


def both(store):
    return store.on("objects"), store.on("regions")


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "s") as store:
        yield store


# -- what planes are for -------------------------------------------------------------------------


def test_a_region_does_not_block_the_objects_in_it_nor_they_it(store):
    regions = store.on("regions")
    assert store.commit(square(60, 60, 10)) == 1
    assert regions.commit(square(40, 40, 80)) == 1
    assert store.commit(square(80, 80, 10)) == 2
    assert [r.area_px for r in store.objects()] == [100, 100]
    assert [r.area_px for r in regions.objects()] == [6400]
    assert regions.read(Box(60, 60, 70, 70)).all()


def test_undo_goes_through_both_planes_in_the_order_of_the_edits(store):
    regions = store.on("regions")
    states = [seen(store)[0]]
    for edit in (
        lambda: store.commit(square(0, 0)),
        lambda: regions.commit(square(0, 0, 90)),
        lambda: store.set_class([1], "nucleus"),
        lambda: regions.set_class([1], "tumour"),
        lambda: regions.delete([1]),
        store.clear,
    ):
        edit()
        states.append(seen(store)[0])
    for state in states[-2::-1]:
        (store if len(state) % 2 else regions).undo()
        assert seen(store)[0] == state
    for state in states[1:]:
        regions.redo()
        assert seen(store)[0] == state
    assert not store.can_redo
    store.undo()
    regions.commit(square(150, 150, 10))
    assert not store.can_redo, "an edit of one plane ends what could be done again on the other"


def test_a_group_changes_both_planes_or_none(store):
    before = seen(store)[0]

    def clumsy():
        with store.group("both"):
            store.commit(square(0, 0))
            store.on("regions").commit(square(0, 0))
            raise ValueError("clumsy")

    with pytest.raises(ValueError, match="clumsy"):
        clumsy()
    assert seen(store)[0] == before
    with store.group("both"):
        store.commit(square(0, 0))
        store.on("regions").commit(square(0, 0))
    store.undo()
    assert [p.count for p in both(store)] == [0, 0]


def test_clear_split_merge_and_levels_are_of_their_plane(store):
    regions = store.on("regions")
    store.commit(square(0, 0, 40))
    for at in (0, 50, 100):
        regions.commit(square(at, 0, 40))
    assert regions.merge([1, 2]) == 1
    assert regions.split(1) == [1, 4]
    labels = regions.read(regions.box)
    for k, level in enumerate(regions.levels):
        assert np.array_equal(level[:], labels[:: 2**k, :: 2**k])
    regions.clear()
    assert (store.count, regions.count) == (1, 0)


def test_the_parent_of_an_object_is_the_region_with_most_of_its_pixels(store):
    regions = store.on("regions")
    regions.commit(square(0, 0, 60))
    regions.commit(square(0, 60, 60))
    inside, across, out, half = (
        store.commit(square(10, 10, 20)),
        store.commit(square(30, 45, 25)),  # columns 45 ... 69: 15 in the first, 10 in the other
        store.commit(square(100, 100, 20)),
        store.commit(square(50, 90, 20)),  # rows 50 ... 69: exactly half
    )
    mostly_out = store.commit(square(52, 0, 20))
    assert store.parents() == {inside: 1, across: 1, half: 2}
    assert not {out, mostly_out} & set(store.parents())
    regions.delete([1])
    assert store.parents() == {half: 2}


def test_an_object_moves_to_the_other_plane_and_back_whole(store):
    store.commit(square(0, 0, 40), info={"model": "m"})
    store.set_class([1], "tumour")
    before = seen(store)[0]
    assert store.move([1], "regions") == {1: 1}
    assert store.count == 0
    (moved,) = store.on("regions").objects()
    assert (moved.area_px, moved.class_name, moved.info["model"]) == (1600, "tumour", "m")
    store.undo()
    assert seen(store)[0] == before
    with pytest.raises(LabelStoreError, match="cannot move"):
        store.move([1], "objects")


def test_where_others_have_its_pixels_a_moved_object_gets_the_rest(store):
    regions = store.on("regions")
    regions.commit(square(0, 0, 20))
    store.commit(square(0, 0, 40))
    store.commit(square(50, 50, 10))
    regions.commit(square(50, 50, 10))
    assert store.move([1, 2], "regions") == {1: 3, 2: 0}
    assert regions.area_of(3) == 1200


# -- classes -------------------------------------------------------------------------------------


def test_a_class_in_use_joins_the_list_and_keeps_its_colour(tmp_path):
    with open_store(tmp_path / "s") as store:
        store.commit(square(0, 0))
        store.on("regions").commit(square(0, 0))
        store.set_class([1], "b")
        store.on("regions").set_class([1], "a")
        first = store.class_list()
        assert [item.name for item in first] == ["b", "a"]
        assert first[0].colour != first[1].colour
        store.set_class([1], "a")
        store.set_class([1], "c")
        assert store.class_list()[:2] == first
        third = store.class_list()[2]
        assert third.colour not in {item.colour for item in first}
        store.undo()
        assert store.class_list() == first
        store.redo()
    with open_store(tmp_path / "s") as store:
        assert store.class_list() == (*first, third)


def test_a_change_of_the_list_is_one_edit_with_its_objects_on_both_planes(store):
    regions = store.on("regions")
    store.commit(square(0, 0))
    regions.commit(square(0, 0))
    store.set_class([1], "tumor")
    regions.set_class([1], "tumor")
    before = seen(store)
    store.set_class_list(
        [ObjectClass("tumour", (1, 2, 3)), ObjectClass("Ignore*", (4, 5, 6))], {"tumor": "tumour"}
    )
    assert (store.class_of(1), regions.class_of(1)) == ("tumour", "tumour")
    assert [item.ignored for item in store.class_list()] == [False, True]
    store.undo()
    assert seen(store)[:2] == before[:2]


def test_a_class_in_use_cannot_leave_the_list(store):
    store.commit(square(0, 0))
    store.set_class([1], "tumour")
    store.set_class_list([ObjectClass("stroma", (1, 2, 3))])
    assert [item.name for item in store.class_list()] == ["stroma", "tumour"]


@pytest.mark.parametrize(
    "classes",
    [
        [("", (0, 0, 0))],
        [(" a", (0, 0, 0))],
        [("a\nb", (0, 0, 0))],
        [("a" * 101, (0, 0, 0))],
        [("a", (0, 0, 0)), ("a", (1, 1, 1))],
        [("a", (0, 0, 256))],
    ],
)
def test_a_list_with_a_fault_changes_nothing(store, classes):
    with pytest.raises(LabelStoreError):
        store.set_class_list([ObjectClass(*item) for item in classes])
    assert store.class_list() == ()
    assert not store.can_undo


# -- any edits, on either plane ------------------------------------------------------------------

EDIT = st.tuples(
    st.sampled_from(["commit", "overwrite", "write", "delete", "class", "undo", "redo", "reopen"]),
    st.sampled_from(["objects", "regions"]),
    st.integers(0, 150),
    st.integers(0, 130),
    st.integers(1, 49),
)


def act(store, state, edit):
    """Do an edit to the store, and to a pair of plain arrays with classes."""
    kind, plane, row, col, side = edit
    number, there = (plane == "regions"), store.on(plane)
    labels, classes = state
    labels, classes = [array.copy() for array in labels], [dict(names) for names in classes]
    view = labels[number][row : row + side, col : col + side]
    ids = there.ids().tolist()
    if kind in ("commit", "overwrite"):
        new = there.next_id()
        there.commit(square(row, col, side), "keep" if kind == "commit" else "overwrite")
        view[(view == 0) | (kind == "overwrite")] = new
    elif kind == "write":
        there.write(
            Box(row, col, row + view.shape[0], col + view.shape[1]), np.full(view.shape, side)
        )
        view[:] = side
    elif kind == "delete" and ids:
        there.delete(ids[:1])
        labels[number][labels[number] == ids[0]] = 0
    elif kind == "class" and ids:
        there.set_class(ids[-1:], f"class {side % 3}")
        classes[number][ids[-1]] = f"class {side % 3}"
    for array, names in zip(labels, classes, strict=True):
        for gone in set(names) - set(array.ravel().tolist()):
            del names[gone]
    return labels, classes


def same(store, state):
    for plane, labels, classes in zip(both(store), *state, strict=True):
        assert np.array_equal(plane.read(plane.box), labels)
        ids, areas = np.unique(labels[labels > 0], return_counts=True)
        assert [r.id for r in plane.objects()] == ids.tolist()
        assert [r.area_px for r in plane.objects()] == areas.tolist()
        assert plane.listed().areas.tolist() == areas.tolist()
        assert {i: name for i, name in plane.classes().items() if name} == classes
        assert [plane.listed().class_names[n] for n in plane.listed().classes] == [
            classes.get(i, "") for i in ids.tolist()
        ]
    return True


def changed(old, new):
    return (
        any(not np.array_equal(a, b) for a, b in zip(old[0], new[0], strict=True))
        or old[1] != new[1]
    )


@settings(max_examples=8, deadline=None)
@given(st.lists(EDIT, min_size=3, max_size=12))
def test_any_edits_of_both_planes_equal_two_plain_arrays(tmp_path_factory, edits):
    folder = tmp_path_factory.mktemp("planes")
    empty = ([np.zeros(SHAPE, np.uint32) for _ in range(2)], [{}, {}])
    done, taken = [empty], []
    store = open_store(folder)
    for edit in edits:
        if edit[0] == "undo":
            assert (store.undo() is not None) == (len(done) > 1)
            taken += [done.pop()] if len(done) > 1 else []
        elif edit[0] == "redo":
            assert (store.redo() is not None) == bool(taken)
            done += [taken.pop()] if taken else []
        elif edit[0] == "reopen":
            store.close()
            store = open_store(folder)
            assert store.notes == []
        else:
            state = act(store, done[-1], edit)
            if changed(done[-1], state):
                done.append(state)
                taken.clear()
        same(store, done[-1])
    store.close()
    (folder / "checkpoint.npz").unlink(missing_ok=True)
    with open_store(folder) as store:
        same(store, done[-1])
    with open_store(folder, rebuild=True) as store:
        same(store, done[-1])
        assert "nothing was different" in store.notes[0]
    shutil.rmtree(folder)


def test_damaged_regions_are_mended_as_objects_are(tmp_path):
    with open_store(tmp_path / "s") as store:
        store.commit(square(0, 0))
        store.on("regions").commit(square(10, 10, 100))
        before = seen(store)
    chunk = tmp_path / "s" / "regions.zarr" / "0" / "c" / "1" / "1"
    chunk.write_bytes(b"x")
    (tmp_path / "s" / "regions.zarr" / "1" / "c" / "0" / "0").unlink()
    with open_store(tmp_path / "s", read_only=True) as store:
        assert (store.verify().labels, store.verify().display) == (1, 1)
    with open_store(tmp_path / "s") as store:
        assert seen(store) == before
        assert "Made again from the journal: 1 part" in store.notes[0]
        assert store.verify().fine


# -- stores from before --------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path):
    """Stores made by the version that knew objects only, and what they held."""
    with zipfile.ZipFile(OLD) as file:
        file.extractall(tmp_path)
    told = json.loads((tmp_path / "told.json").read_text())
    with np.load(tmp_path / "labels.npz") as arrays:
        return tmp_path, told, {name: arrays[name] for name in arrays}


def is_as_old(store, told, labels):
    assert np.array_equal(store.read(store.box), labels)
    found = [
        [r.id, list(map(int, r.box)), r.area_px, r.class_name, dict(r.info)]
        for r in store.objects()
    ]
    assert found == told["objects"]
    assert store.next_id() == told["next"]
    assert [entry.op for entry in store.history()] == told["edits"]
    assert store.can_redo == told["redo"]
    assert store.on("regions").count == 0
    assert [item.name for item in store.class_list()] == ["stroma", "tumour"]


@pytest.mark.parametrize("name", ["closed", "killed"])
@pytest.mark.parametrize("read_only", [False, True])
def test_an_old_store_opens_without_loss(old, name, read_only):
    folder, told, labels = old
    with open_store(folder / name, read_only=read_only) as store:
        assert store.notes == []
        is_as_old(store, told[name], labels[name])
    kept = json.loads((folder / name / "store.json").read_text())
    assert kept["format"] == (1 if read_only else FORMAT)


@pytest.mark.parametrize("name", ["closed", "killed"])
def test_an_old_store_is_edited_undone_and_opened_again(old, name):
    folder, told, labels = old
    with open_store(folder / name) as store:
        store.redo()
        store.on("regions").commit(square(0, 0, 150))
        assert store.move([3], "regions") == {3: 2}
        store.undo()
        store.undo()
        store.undo()
        is_as_old(store, told[name], labels[name])
        while store.can_undo:
            store.undo()
        assert not store.read(store.box).any()
        while store.can_redo:
            store.redo()
    (folder / name / "checkpoint.npz").unlink()
    with open_store(folder / name) as store:
        assert (store.count, store.on("regions").count) == (len(told[name]["objects"]), 2)


class Kill(BaseException):
    """Stands for a process that ends here."""


@pytest.mark.parametrize("step", range(12))
@pytest.mark.parametrize("name", ["closed", "killed"])
def test_a_kill_at_any_step_of_bringing_an_old_store_over_loses_nothing(
    old, name, step, monkeypatch
):
    """The files are changed by renames and folders only, so each of them may be the last."""
    folder, told, labels = old
    left = step

    def dying(real):
        def call(*given, **named):
            nonlocal left
            left -= 1
            if left < 0:
                raise Kill
            return real(*given, **named)

        return call

    with monkeypatch.context() as patch:
        for module, function in ((os, "replace"), (os, "mkdir"), (os, "fsync")):
            patch.setattr(module, function, dying(getattr(module, function)))
        with suppress(Kill):
            open_store(folder / name).close()
    with open_store(folder / name) as store:
        assert store.notes == []
        is_as_old(store, told[name], labels[name])
        store.on("regions").commit(square(0, 0, 150))
        assert store.verify().fine


def test_a_store_of_a_later_format_is_refused(old):
    folder, _, _ = old
    path = folder / "closed" / "store.json"
    path.write_text(path.read_text().replace('"format": 1', f'"format": {FORMAT + 1}'))
    with pytest.raises(LabelStoreError, match=f"format {FORMAT + 1}"):
        open_store(folder / "closed")
