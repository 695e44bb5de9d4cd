"""What a record tells of very many objects: packed, and the same as line by line."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.annotations import journal as journal_module
from histoprompt.annotations import long_record, object_changes
from histoprompt.annotations.journal import Journal
from histoprompt.annotations.object_changes import Coded, ObjectChanges, number_of
from histoprompt.annotations.packed import FOLD_AT, Meta, MetaMap
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box

METAS = st.one_of(
    st.none(),
    st.builds(Meta, st.sampled_from(["", "a", "b"]), st.integers(-1, 2**40), st.integers(0, 2**20)),
)


def through(changes):
    """As a header keeps them and gives them back."""
    told = json.loads(json.dumps(changes.to_json(), default=lambda v: np.asarray(v).tolist()))
    return told, ObjectChanges.of(told)


@given(
    st.dictionaries(st.integers(1, 2**32 - 1), st.tuples(METAS, METAS), max_size=30),
    st.integers(0, 20),
)
def test_packed_or_not_it_is_the_same(known, many):
    before, after = ([known[i][n] for i in sorted(known)] for n in (0, 1))
    changes = ObjectChanges(np.array(sorted(known), np.uint32), before, after, (3, 9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(object_changes, "MANY", many)
        told, found = through(changes)
    assert ("packed" in told) == (len(known) > many)
    assert number_of(told) == len(known)
    assert found.ids.tolist() == sorted(known)
    assert (list(found.before), list(found.after)) == (before, after)
    assert found.next_id == (3, 9)
    far = found.moved(lambda meta: meta._replace(record=meta.record + 7))
    owed = [m and m._replace(record=m.record + 7) for m in after]
    assert list(far.after) == owed


def test_what_an_edit_changed_of_a_million_objects_has_each_different_thing_once():
    old, now = MetaMap(), MetaMap()
    for i in range(1, 20_001):
        old[i], now[i] = None, Meta("ab"[i % 2], 500 + i % 3, 0)
    ids, before, after = old.changes(now)
    told = ObjectChanges(ids, before, after, (1, 20_001)).to_json()
    assert told["before"]["metas"] == [None]
    assert len(told["after"]["metas"]) == 6
    assert len(json.dumps(told)) < 20_000, "a byte an object at most"
    found = ObjectChanges.of(told)
    assert list(found.after) == [now[i] for i in range(1, 20_001)]


def test_damage_is_told():
    changes = ObjectChanges(np.arange(1, 9, dtype=np.uint32), [None] * 8, [None] * 8, (1, 9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(object_changes, "MANY", 2)
        told = changes.to_json()
    for wrong in (
        {**told, "packed": "!!"},
        {**told, "packed": told["packed"][:8]},
        {**told, "number": 7},
        {**told, "after": {**told["after"], "metas": []}},
    ):
        with pytest.raises(LabelStoreError, match="damaged"):
            ObjectChanges.of(wrong)
    assert Coded([None], np.zeros(3, np.uint32))[1:] == [None, None]


def test_many_changes_taken_back_one_by_one_are_folded():
    known = MetaMap({i: Meta("a", 1, 0) for i in range(1, 3 * FOLD_AT)})
    for i in range(1, 3 * FOLD_AT - 1):
        del known[i]
        assert len(known._recent) + len(known._gone) <= FOLD_AT + 1
    assert dict(known) == {3 * FOLD_AT - 1: Meta("a", 1, 0)}


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """A store with 6400 objects of 2 x 2 pixels, made by one edit that is packed."""
    labels = np.kron(np.arange(1, 6401, dtype=np.uint32).reshape(80, 80), np.ones((2, 2), int))
    with LabelStore.open(tmp_path / "store", (160, 160), "slide", chunk=32) as store:
        store.write(Box(0, 0, 10, 10), np.full((10, 10), 9), info={"by": "hand"})
        with store.group("import"):
            store.write(Box(0, 0, 160, 160), labels, "import", {"by": "file"})
            store.set_class(range(1, 6401, 2), "odd")
        yield store, labels


def test_a_large_edit_is_undone_and_done_again_and_opened_anew(grid, tmp_path):
    store, labels = grid
    (header,) = [
        store._engine.journal.read_header(at)["objects"]
        for at in store._engine.history.undo
        if "packed" in store._engine.journal.read_header(at)["objects"]
    ]
    assert header["number"] == 6400
    assert store.undo().op == "import"
    assert store.ids().tolist() == [9]
    assert store.origin_of(9).info == {"by": "hand"}
    assert store.redo().op == "import"
    np.testing.assert_array_equal(store.read(store.box), labels)
    assert (store.class_of(9), store.class_of(10)) == ("odd", "")
    store.close()
    (tmp_path / "store" / "checkpoint.npz").unlink()
    with LabelStore.open(tmp_path / "store", (160, 160), "slide") as again:
        np.testing.assert_array_equal(again.read(again.box), labels)
        assert again.origin_of(11).info == {"by": "file"}
        done = again.compact(1)
    assert (done.kept, done.given_up) == (1, 1)
    with LabelStore.open(tmp_path / "store", (160, 160), "slide") as last:
        assert (last.class_of(9), last.origin_of(11).info) == ("odd", {"by": "file"})
        assert last.undo().op == "import"
        assert last.ids().tolist() == [9]
        assert last.verify().fine


def test_undo_never_has_the_whole_record_in_memory(grid, monkeypatch):
    store, _ = grid
    monkeypatch.setattr(long_record, "_PIECE", 256)
    asked = []
    real = Journal.read_bytes

    def read_bytes(journal, at, size):
        asked.append(size)
        return real(journal, at, size)

    monkeypatch.setattr(Journal, "read_bytes", read_bytes)
    monkeypatch.setattr(journal_module.Journal, "read", lambda *_: pytest.fail("read as a whole"))
    patches = [row[6] for row in store._engine.journal.read_header(
        store._engine.history.undo[-1])["patches"]]  # fmt: skip
    store.undo()
    assert max(asked) == max(256, *patches) < sum(patches) / 10
    assert sum(asked) >= 2 * sum(patches), "compared with its checksum first"
    assert store.ids().tolist() == [9]


def test_a_large_edit_that_is_damaged_is_not_undone(grid):
    store, labels = grid
    journal = store._engine.journal
    at = journal.checked(store._engine.history.undo[-1]).body_at
    with (store.folder / "journal.bin").open("r+b") as file:
        file.seek(at + 5)
        byte = file.read(1)
        file.seek(at + 5)
        file.write(bytes([byte[0] ^ 255]))
    with pytest.raises(LabelStoreError, match="damaged at byte"):
        store.undo()
    np.testing.assert_array_equal(store.read(store.box), labels)
