"""Stores whose files are damaged, lost, too old or too new mend themselves from the journal."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from test_durability import SHAPE, open_store, square

from histoprompt.core.errors import LabelStoreError, StoreInUseError

EMPTY = np.zeros(SHAPE, np.uint32)


def painted(*squares):
    """A picture with squares (id, row, col), later ones over earlier ones."""
    out = EMPTY.copy()
    for number, row, col in squares:
        out[row : row + 30, col : col + 30] = number
    return out


def agrees(store, wanted):
    """The labels are the wanted ones, and the table and all levels tell the same."""
    assert np.array_equal(store.read(store.box), wanted)
    ids, areas = np.unique(wanted[wanted > 0], return_counts=True)
    assert [(r.id, r.area_px) for r in store.objects()] == list(zip(ids, areas, strict=True))
    for k, level in enumerate(store.levels):
        assert np.array_equal(level[:], wanted[:: 2**k, :: 2**k])
        assert np.array_equal(level[1:9:2, 3], wanted[:: 2**k, :: 2**k][1:9:2, 3])


FIRST = painted((1, 10, 10), (2, 100, 100))
SECOND = painted((1, 10, 10), (2, 100, 100), (3, 33, 20), (4, 150, 60))


@pytest.fixture
def store(tmp_path):
    """A closed store of four objects, made in two sessions; a third undid a fifth."""
    for at in ([(10, 10), (100, 100)], [(33, 20), (150, 60)]):
        with open_store(tmp_path / "s") as made:
            for row, col in at:
                made.commit(square(row, col), "overwrite", info={"row": row})
    with open_store(tmp_path / "s") as made:
        made.commit(square(60, 60))
        made.undo()
    return tmp_path / "s"


def damage(path, how):
    data = path.read_bytes()
    match how:
        case "lost":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "garbage":
            path.write_bytes(bytes(255 - b for b in data))
        case "flipped":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 4]))


@pytest.mark.parametrize("how", ["lost", "empty", "cut", "garbage", "flipped"])
@pytest.mark.parametrize(
    "name",
    ["0/c/1/0", "0/c/3/3", "1/c/0/0", "2/c/1/0", "0/zarr.json", "1/zarr.json", "zarr.json"],
)
def test_a_damaged_file_of_the_arrays_is_made_again(store, name, how):
    before = (store / "labels.zarr" / name).read_bytes()
    damage(store / "labels.zarr" / name, how)
    damaged = (store / "labels.zarr" / name).exists() and (
        store / "labels.zarr" / name
    ).read_bytes()
    with open_store(store) as mended:
        agrees(mended, SECOND)
        told = mended.notes
    assert (store / "labels.zarr" / name).read_bytes() == before
    kept = store / "replaced-1" / "labels.zarr" / name
    if name.startswith("0/c"):
        assert len(told) == 1
        assert "1 part of the labels" in told[0]
        assert damaged is False or kept.read_bytes() == damaged
    with open_store(store) as again:
        assert again.notes == []


@pytest.mark.parametrize("how", ["empty", "cut", "flipped"])
def test_damage_that_comes_while_it_is_open_is_mended_when_it_is_read(store, how):
    with open_store(store) as live:
        damage(store / "labels.zarr/0/c/1/0", how)
        damage(store / "labels.zarr/1/c/0/0", how)
        agrees(live, SECOND)
        assert "1 part of the labels" in live.notes[0]
        live.undo()
        agrees(live, painted((1, 10, 10), (2, 100, 100), (3, 33, 20)))


def test_a_large_store_is_compared_by_size_and_checked_as_it_is_read(store, monkeypatch):
    monkeypatch.setattr("histoprompt.annotations.recovery.READ_AT_ONCE", 0)
    damage(store / "labels.zarr/0/c/1/0", "empty")
    damage(store / "labels.zarr/0/c/3/3", "flipped")
    with open_store(store) as mended:
        assert len(mended.notes) == 1
        agrees(mended, SECOND)
        assert len(mended.notes) == 2


def test_what_was_cut_and_replaced_is_never_written_over(store):
    size = (store / "journal.bin").stat().st_size
    for n in (1, 2, 3):
        with (store / "journal.bin").open("ab") as journal:
            journal.write(b"x" * n)
        damage(store / "labels.zarr/0/c/1/0", "cut")
        with open_store(store) as mended:
            agrees(mended, SECOND)
            assert len(mended.notes) == 2
        assert (store / "journal.bin").stat().st_size == size
    assert [(store / f"journal.cut-{n}").read_bytes() for n in (1, 2, 3)] == [b"x", b"xx", b"xxx"]
    assert sorted(p.name for p in store.glob("replaced-*")) == [f"replaced-{n}" for n in (1, 2, 3)]


def live_copy(tmp_path, *, checkpoint):
    """A copy of a store that is at work, as a kill or a backup leaves it; and the journal's size
    after the first session."""
    with open_store(tmp_path / "live") as made:
        for row, col in ((10, 10), (100, 100)):
            made.commit(square(row, col), "overwrite")
        size = made.journal_bytes
        if checkpoint:
            made._engine.checkpoint()
        for row, col in ((33, 20), (150, 60)):
            made.commit(square(row, col), "overwrite")
        shutil.copytree(tmp_path / "live", tmp_path / "s")
    return tmp_path / "s", size


@pytest.mark.parametrize("checkpoint", [True, False])
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_arrays_that_are_ahead_of_the_journal_go_back_to_it(tmp_path, checkpoint, how):
    folder, size = live_copy(tmp_path, checkpoint=checkpoint)
    data = (folder / "journal.bin").read_bytes()
    data = data[:size] if how == "cut" else data[: size + 30] + b"?" + data[size + 31 :]
    (folder / "journal.bin").write_bytes(data)
    with open_store(folder) as mended:
        agrees(mended, FIRST)
        assert "that did not fit it" in mended.notes[-1]
        if how == "flipped":
            assert "with 1 whole edit behind the damage" in mended.notes[0]
        mended.commit(square(150, 60))
    with open_store(folder) as again:
        assert again.notes == []
        assert again.count == 3


@pytest.mark.parametrize("kept", ["checkpoint.npz", "labels.zarr/0/c", "labels.zarr/1"])
def test_a_backup_whose_parts_are_of_different_moments(tmp_path, kept):
    """Some files are of before the last two edits, the others of after."""
    with open_store(tmp_path / "live") as made:
        for row, col in ((10, 10), (100, 100)):
            made.commit(square(row, col), "overwrite")
        made._engine.checkpoint()
        shutil.copytree(tmp_path / "live", tmp_path / "s")
        for row, col in ((33, 20), (150, 60)):
            made.commit(square(row, col), "overwrite")
        made._engine.checkpoint()
        shutil.copytree(tmp_path / "live", tmp_path / "later")
    for part in {"checkpoint.npz", "labels.zarr/0/c", "labels.zarr/1"} - {kept}:
        old, new = tmp_path / "s" / part, tmp_path / "later" / part
        if new.is_dir():
            shutil.rmtree(old)
            shutil.copytree(new, old)
        else:
            shutil.copy(new, old)
    shutil.copy(tmp_path / "later" / "journal.bin", tmp_path / "s" / "journal.bin")
    with open_store(tmp_path / "s") as mended:
        agrees(mended, SECOND)


def test_a_journal_that_shrank_is_followed_and_what_was_there_can_be_restored(store):
    size = (store / "journal.bin").stat().st_size
    with open_store(store) as made:
        first = made._engine.history.undo[2]  # where the third of the edits in force begins
    os.truncate(store / "journal.bin", first + 5)
    with pytest.raises(LabelStoreError, match=f"has {first + 5} bytes; it had {size}"):
        open_store(store, read_only=True)
    with open_store(store) as mended:
        agrees(mended, FIRST)
        assert f"has {first + 5} bytes, and had {size}" in mended.notes[-1]
        assert mended.restore(store / "replaced-1") == 4
        agrees(mended, SECOND)
        mended.undo()
        agrees(mended, FIRST)
        with pytest.raises(LabelStoreError, match="does not hold"):
            mended.restore(store / "replaced-2")


@pytest.mark.parametrize("how", ["lost", "empty"])
def test_without_a_journal_the_arrays_are_all_there_is(store, how):
    damage(store / "journal.bin", how)
    with open_store(store) as mended:
        agrees(mended, SECOND)
        assert "The 4 objects were taken from the arrays" in mended.notes[-1]
        mended.set_class([1, 2], "a")
    with open_store(store) as again:
        agrees(again, SECOND)
        assert again.class_of(2) == "a"
        assert again.notes == []


def test_a_chunk_and_its_records_damaged_leave_a_store_that_opens_and_says_so(store):
    with open_store(store) as made:
        at = made._engine.history.undo[3]  # the edit that made object 4
    data = bytearray((store / "journal.bin").read_bytes())
    data[at + 30] ^= 1
    (store / "journal.bin").write_bytes(data)
    damage(store / "labels.zarr/0/c/5/2", "empty")
    with open_store(store) as mended:
        wanted = SECOND.copy()
        wanted[160:192, 64:96] = 0
        agrees(mended, wanted)
        assert "edits are missing in 1 of 1 part" in mended.notes[-1]
        assert mended.objects()[-1].info == {}  # who made it stood in the damaged record


def test_a_rebuild_keeps_what_differs_and_nothing_else(store):
    with open_store(store, rebuild=True) as made:
        agrees(made, SECOND)
        assert made.notes == ["The labels were made again from the journal; nothing was different."]
    assert not list(store.glob("replaced-*"))
    damage(store / "labels.zarr/0/c/1/0", "cut")
    with open_store(store, rebuild=True) as made:
        agrees(made, SECOND)
        assert "replaced-1" in made.notes[0]


def test_a_checkpoint_of_an_earlier_version_only_costs_time(store):
    """It has no checksums."""
    with np.load(store / "checkpoint.npz") as file:
        old = {name: file[name] for name in file if name not in ("sums", "mark")}
    np.savez(store / "checkpoint.npz", **old)
    with open_store(store) as made:
        agrees(made, SECOND)
        assert made.notes == []


def test_a_reader_keeps_its_moment_while_the_writer_goes_on(store):
    with open_store(store) as writer:
        writer.delete([2])
        wanted = painted((1, 10, 10), (3, 33, 20), (4, 150, 60))
        with open_store(store, read_only=True) as reader:
            writer.clear()
            writer.commit(square(10, 10))
            agrees(reader, wanted)
            with open_store(store, read_only=True) as later:
                assert later.count == 1
        with pytest.raises(StoreInUseError, match=f"process {os.getpid()} on "):
            open_store(store)


@pytest.mark.parametrize("published", [True, False])
def test_a_reader_agrees_with_itself_at_any_moment_of_an_edit(tmp_path, monkeypatch, published):
    """The record of an edit is there, and its chunks are in place or not yet."""
    with open_store(tmp_path / "s") as writer:
        writer.commit(square(10, 10))
        writer._engine.checkpoint()
        wanted = [FIRST, painted((1, 10, 10))]
        if not published:
            monkeypatch.setattr(writer._engine.chunks, "publish", lambda: None)
        writer.commit(square(100, 100))
        with open_store(tmp_path / "s", read_only=True) as reader:
            agrees(reader, wanted[0])
        writer.undo()
        with open_store(tmp_path / "s", read_only=True) as reader:
            agrees(reader, wanted[1])
        monkeypatch.undo()


@pytest.mark.parametrize("moment", ["at work", "closed", "closed and at work", "many edits"])
def test_a_power_cut_loses_no_confirmed_edit(tmp_path, disk, monkeypatch, moment):
    monkeypatch.setattr("histoprompt.annotations.engine.CHECKPOINT_EVERY", 6)
    folder = tmp_path / "disk" / "labels" / "s"
    wanted = []
    live = open_store(folder)
    for n in range(9 if moment == "many edits" else 3):
        live.commit(square(15 * n, 12 * n), "overwrite")
        wanted.append((n + 1, 15 * n, 12 * n))
        with open_store(disk.cut(tmp_path / "left") / "labels" / "s") as found:
            agrees(found, painted(*wanted))
    if "closed" in moment:
        live.close()
        if moment != "closed":
            live = open_store(folder)
            live.commit(square(150, 150), "overwrite")
            wanted.append((4, 150, 150))
    with open_store(disk.cut(tmp_path / "left") / "labels" / "s") as found:
        agrees(found, painted(*wanted))
        if moment == "closed":
            assert not found.notes
    live.close()
