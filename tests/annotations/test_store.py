"""The label store's own promises, one at a time."""

import gc
import json
import shutil
import weakref

import numpy as np
import psutil
import pytest
import zarr

from histoprompt.annotations.place import FORMAT, store_folder
from histoprompt.annotations.store import Change, LabelStore
from histoprompt.core import settings
from histoprompt.core.errors import LabelStoreError, RegionError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask


def square(row, col, side=30, score=None):
    box = Box(row, col, row + side, col + side)
    return Mask(np.ones((side, side), bool), Frame(box, (side, side)), score)


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path / "s", (300, 200), "slide", chunk=64) as opened:
        yield opened


@pytest.mark.parametrize("shape", [(1, 1), (256, 256), (511, 513), (1025, 3)])
def test_sizes_of_all_kinds_and_their_pyramids(tmp_path, shape):
    labels = (np.arange(shape[0] * shape[1]) % 997).astype(np.uint32).reshape(shape)
    with LabelStore.open(tmp_path / "s", shape, "slide") as store:
        store.write(store.box, labels)
        assert max(store.levels[-1].shape) <= 512
        for k, level in enumerate(store.levels):
            assert np.array_equal(level[:], labels[:: 2**k, :: 2**k])
    group = zarr.open_group(str(tmp_path / "s" / "labels.zarr"), mode="r")
    assert np.array_equal(group["0"][:], labels)
    assert group["0"].dtype == np.uint32
    assert group["0"].metadata.zarr_format == 3


def test_a_slide_of_100k_by_80k_costs_what_is_marked(tmp_path):
    process = psutil.Process()
    before = process.memory_info().rss
    with LabelStore.open(tmp_path / "s", (100_000, 80_000), "slide") as store:
        assert len(store.levels) == 9
        corner = store.commit(square(99_990, 79_990, 40))
        store.commit(square(10, 10, 100))
        assert store.box_of(corner) == Box(99_990, 79_990, 100_000, 80_000)
        assert store.filled_boxes() == [
            Box(0, 0, 512, 512),
            Box(99_840, 79_872, 100_000, 80_000),
        ]
        assert store.levels[8][-1, -1] == 0 or store.levels[8][-1, -1] == corner
        assert store.levels[3][99_992 // 8, 79_992 // 8] == corner
        store.clear()
        assert store.filled_boxes() == []
        assert not list((tmp_path / "s" / "labels.zarr").rglob("c/*/*"))
    assert process.memory_info().rss - before < 200 * 2**20
    size = sum(f.stat().st_size for f in (tmp_path / "s").rglob("*") if f.is_file())
    assert size < 100_000


def test_a_masks_frame_says_where_it_goes(store):
    coarse = Mask(np.ones((5, 5), bool), Frame(Box(20, 40, 40, 60), (5, 5)))
    made = store.commit(coarse)
    assert store.box_of(made) == Box(20, 40, 40, 60)
    assert store.area_of(made) == 400


def test_keep_leaves_what_is_there_and_overwrite_takes_it(store):
    first = store.commit(square(0, 0, 20))
    second = store.commit(square(10, 10, 20), "keep")
    assert (store.area_of(first), store.area_of(second)) == (400, 300)
    third = store.commit(square(0, 0, 20), "overwrite")
    assert store.ids().tolist() == [second, third]
    with store.group("commit") as edit:
        assert store.commit(square(0, 0, 20), "keep") == 0
    assert edit.change is None
    with pytest.raises(LabelStoreError, match="'keep' or 'overwrite'"):
        store.commit(square(0, 0), "replace")


def test_a_mask_beyond_the_slide_makes_no_object(store):
    assert store.commit(square(400, 400)) == 0
    assert not store.can_undo


def test_undo_and_redo_say_what_they_changed(store):
    assert store.undo() is None
    with store.group("commit") as edit:
        store.commit(square(50, 50, 20))
    assert edit.change == Change(Box(50, 50, 70, 70), "commit")
    assert store.set_class([1], "tumour") == Change(Box(50, 50, 70, 70), "class")
    erased = store.write(Box(60, 0, 64, 200), np.zeros((4, 200), int), op="erase")
    assert erased == Change(Box(60, 50, 64, 70), "erase")
    assert [store.undo().op, store.undo().op] == ["erase", "class"]
    assert store.class_of(1) == ""
    assert store.redo() == Change(Box(50, 50, 70, 70), "class")
    assert store.class_of(1) == "tumour"


def test_an_edit_that_changes_nothing_keeps_the_redo_branch(store):
    store.commit(square(0, 0))
    store.undo()
    size = store.journal_bytes
    assert store.write(Box(0, 0, 9, 9), np.zeros((9, 9), int)) is None
    assert store.clear() is None
    assert store.can_redo
    assert store.journal_bytes == size


def test_a_new_edit_after_undo_drops_the_redo_branch_also_when_opened_again(tmp_path):
    with LabelStore.open(tmp_path / "s", (300, 200), "slide") as store:
        store.commit(square(0, 0))
        store.commit(square(50, 50))
        store.undo()
        store.commit(square(100, 100))
    with LabelStore.open(tmp_path / "s", (300, 200), "slide") as store:
        assert store.redo() is None
        assert [store.box_of(i) for i in (1, 2)] == [Box(0, 0, 30, 30), Box(100, 100, 130, 130)]
        assert store.undo() is not None
        assert store.undo() is not None
        assert store.undo() is None
        assert store.count == 0


def test_a_group_is_one_record_and_each_object_has_its_own_provenance(store):
    with store.group("segment"):
        for i in range(3):
            store.commit(square(0, 40 * i, score=i / 4), info={"model": "m", "prompt": [i]})
        assert [r.info["prompt"] for r in store.objects()] == [[0], [1], [2]]
    assert [dict(r.info) for r in store.objects()] == [
        {"score": i / 4, "model": "m", "prompt": [i]} for i in range(3)
    ]
    (entry,) = store.history()
    assert entry.op == "segment"
    assert [op for op, _ in entry.steps] == ["commit"] * 3
    assert entry.time.endswith("+00:00")
    assert store.undo().op == "segment"
    assert store.count == 0


def test_provenance_outlives_the_process_and_takes_numpy_values(tmp_path):
    info = {"score": np.float32(0.5), "box": np.arange(4), "path": tmp_path}
    with LabelStore.open(tmp_path / "s", (300, 200), "slide") as store:
        store.commit(square(0, 0), info=info)
        store.merge([1])
    with LabelStore.open(tmp_path / "s", (300, 200), "slide") as store:
        (record,) = store.objects()
        assert record.info == {"score": 0.5, "box": [0, 1, 2, 3], "path": str(tmp_path)}


def test_merge_keeps_the_smallest_id_and_its_class(store):
    for i in range(3):
        store.commit(square(0, 40 * i))
    store.set_class([1], "tumour")
    store.set_class([2, 3], "stroma")
    assert store.merge([3, 1]) == 1
    assert {r.id: r.class_name for r in store.objects()} == {1: "tumour", 2: "stroma"}
    assert store.area_of(1) == 1800
    store.undo()
    assert {r.id: r.class_name for r in store.objects()}[3] == "stroma"


def test_split_gives_new_ids_and_loses_no_pixel(store):
    store.commit(square(0, 0, 40))
    line = Mask(np.eye(40, dtype=bool), Frame(Box(0, 0, 40, 40), (40, 40)))
    thick = Mask(line.array | np.roll(line.array, 1, 1), line.frame)
    assert store.split(1) == [1]
    first, second = store.split(1, along=thick)
    assert (first, second) == (1, 2)
    assert store.area_of(1) + store.area_of(2) == 1600
    assert min(store.area_of(1), store.area_of(2)) > 700
    store.undo()
    assert store.area_of(1) == 1600


def test_unknown_objects_are_named(store):
    store.commit(square(0, 0))
    for edit in (store.merge, store.delete, lambda ids: store.set_class(ids, "x")):
        with pytest.raises(LabelStoreError, match="no such object among the 1: 7"):
            edit([1, 7])
    with pytest.raises(LabelStoreError, match="no such object"):
        store.split(9)
    assert store.box_of(7) is None
    assert store.area_of(7) == 0
    assert len(store.history()) == 1


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.zeros((3, 4), int), "shape"),
        (np.zeros((4, 4), float), "float64"),
        (np.full((4, 4), -1), "go from -1"),
        (np.full((4, 4), 2**32), "4294967295"),
    ],
)
def test_labels_that_do_not_fit_are_refused(store, labels, says):
    with pytest.raises(LabelStoreError, match=says):
        store.write(Box(0, 0, 4, 4), labels)
    assert not store.can_undo


def test_a_box_outside_the_slide_is_refused(store):
    with pytest.raises(RegionError, match="300 rows and 200 columns"):
        store.read(Box(0, 0, 301, 10))
    with pytest.raises(RegionError):
        store.write(Box(-1, 0, 3, 4), np.zeros((4, 4), int))


def test_no_id_is_used_twice_in_one_line_of_edits(store):
    store.commit(square(0, 0))
    store.delete([1])
    assert store.next_id() == 2
    store.write(Box(0, 0, 1, 1), np.array([[2**32 - 1]]))
    with pytest.raises(LabelStoreError, match="no larger number"):
        store.commit(square(50, 50))
    store.undo()
    assert store.next_id() == 2


def test_a_store_of_another_slide_is_refused(tmp_path):
    LabelStore.open(tmp_path / "s", (300, 200), "slide a").close()
    with pytest.raises(LabelStoreError, match=r"300 x 200 .*, not 200 x 300"):
        LabelStore.open(tmp_path / "s", (200, 300), "slide a")
    with pytest.raises(LabelStoreError, match=r"another slide .*'slide a', not 'slide b'"):
        LabelStore.open(tmp_path / "s", (300, 200), "slide b")
    LabelStore.open(tmp_path / "s", (300, 200), "slide a").close()


@pytest.mark.parametrize("mark", ["", "{}", "not json", '{"shape": 3}', None])
@pytest.mark.parametrize("closed", [True, False])
def test_a_damaged_mark_is_written_again(tmp_path, mark, closed):
    store = LabelStore.open(tmp_path / "live", (300, 200), "slide", chunk=32)
    store.write(Box(10, 20, 40, 60), np.full((30, 40), 7))
    if closed:
        store.close()
    shutil.copytree(tmp_path / "live", tmp_path / "s")
    store.close()
    path = tmp_path / "s" / "store.json"
    path.unlink() if mark is None else path.write_text(mark)
    with LabelStore.open(tmp_path / "s", (300, 200), "slide") as again:  # of another chunk size
        assert again.notes == ["store.json was damaged or lost, and was written again."]
        assert again.area_of(7) == 1200
    assert json.loads(path.read_text())["chunk"] == 32
    path.write_text("{}")
    with pytest.raises(LabelStoreError, match="another slide"):  # the checkpoint knows whose it is
        LabelStore.open(tmp_path / "s", (300, 200), "another")


def test_a_later_format_is_refused(tmp_path):
    LabelStore.open(tmp_path / "s", (300, 200), "slide").close()
    mark = tmp_path / "s" / "store.json"
    mark.write_text(mark.read_text().replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}'))
    with pytest.raises(LabelStoreError, match=rf"format {FORMAT + 1}.*Update"):
        LabelStore.open(tmp_path / "s", (300, 200), "slide")


def test_a_folder_that_cannot_be_one_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabelStoreError, match="Cannot open the labels"):
        LabelStore.open(tmp_path / "file", (300, 200), "slide")
    with pytest.raises(LabelStoreError, match="no labels"):
        LabelStore.open(tmp_path / "nothing", (300, 200), "slide", read_only=True)
    assert not (tmp_path / "nothing").exists()


def test_a_closed_store_refuses_edits(store):
    store.close()
    with pytest.raises(LabelStoreError, match="closed"):
        store.clear()
    store.close()


def test_a_closed_store_holds_no_pixels_until_somebody_collects_it(store):
    store.commit(square(0, 0))
    held = weakref.ref(store._engine.chunks.read(0, (0, 0, 0)))
    assert held() is not None
    gc.disable()
    try:
        store.close()
        assert held() is None
    finally:
        gc.enable()


def test_a_reader_sees_the_writers_edits_when_it_opens(store):
    store.commit(square(0, 0), info={"n": 1})
    store.commit(square(40, 40))
    store.undo()
    files = sorted(p.stat().st_mtime_ns for p in store.folder.rglob("*") if p.is_file())
    with LabelStore.open(store.folder, (300, 200), "slide", read_only=True) as reader:
        assert reader.objects() == store.objects()
        assert np.array_equal(reader.read(reader.box), store.read(store.box))
    assert files == sorted(p.stat().st_mtime_ns for p in store.folder.rglob("*") if p.is_file())


def test_no_undo_inside_a_group(store):
    store.commit(square(0, 0))
    with pytest.raises(LabelStoreError, match="inside a group"), store.group("odd"):
        store.undo()
    assert store.count == 1


def test_folders_of_stores_differ_and_suit_any_file_system():
    keys = ["abc", "a/b", "a_b", "a:b", "ü", "..", "x" * 300, "x" * 301]
    folders = [store_folder(key, "my labels") for key in keys]
    assert len(set(folders)) == len(keys)
    for folder in folders:
        assert folder.parent.parent == settings.labels_folder()
        assert all(len(part) < 120 for part in folder.parts[-2:])
    assert store_folder("abc") == settings.labels_folder() / "abc" / "labels"
