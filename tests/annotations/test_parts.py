"""The parts of the store: journal, patches, measuring."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histoprompt.annotations.arguments import checked_id
from histoprompt.annotations.chunks import ChunkFiles, level_shapes
from histoprompt.annotations.edits import components
from histoprompt.annotations.journal import Journal, Record
from histoprompt.annotations.objects import measure
from histoprompt.annotations.patch import Patch, split_body
from histoprompt.annotations.place import StoreManifest
from histoprompt.core.errors import LabelStoreError, RegionError
from histoprompt.core.geometry import Box

LABELS = arrays(np.uint32, (6, 6), elements=st.sampled_from([0, 1, 2, 70_000, 2**32 - 1]))


@given(LABELS, LABELS)
def test_a_patch_leads_from_one_state_to_the_other_and_back(before, after):
    patch = Patch.between((1, 3, 4), before, after)
    if patch is None:
        assert np.array_equal(before, after)
        return
    assert np.array_equal(patch.set_on(before, after=True), after)
    assert np.array_equal(patch.set_on(after, after=False), before)
    assert np.array_equal(patch.set_on(after, after=True), after)
    rows = [patch.to_row(), patch.to_row()]
    assert list(split_body(rows, patch.data * 2)) == [patch, patch]


def test_damaged_labels_in_a_record_are_a_clear_error():
    patch = Patch.between((0, 0, 0), np.zeros((4, 4), np.uint32), np.ones((4, 4), np.uint32))
    with pytest.raises(LabelStoreError, match="damaged"):
        Patch(patch.key, patch.box, b"xx" + patch.data).set_on(np.ones((4, 4), np.uint32), True)


@given(arrays(np.uint32, (5, 5), elements=st.sampled_from([0, 3, 9, 66_000, 2**32 - 1])))
def test_measured_objects_equal_a_search_by_hand(chunk):
    cells = measure((1, 2, 3), chunk)
    assert cells["id"].tolist() == [i for i in np.unique(chunk) if i]
    for cell in cells:
        rows, cols = np.nonzero(chunk == cell["id"])
        assert cell["area"] == len(rows)
        assert (cell["r0"], cell["r1"]) == (rows.min() + 10, rows.max() + 11)
        assert (cell["c0"], cell["c1"]) == (cols.min() + 15, cols.max() + 16)
        assert (cell["row"], cell["col"]) == (2, 3)


def test_levels_halve_and_round_up_until_a_chunk_holds_them():
    assert level_shapes((1025, 3), 512) == ((1025, 3), (513, 2), (257, 1))
    assert level_shapes((512, 512), 512) == ((512, 512),)


def test_components_are_ordered_by_size_and_take_the_cut_in():
    mask = np.ones((5, 9), bool)
    along = np.zeros_like(mask)
    along[:, 3] = True
    pieces = components(mask, along)
    assert (pieces[:, 4:] == 1).all()
    assert (pieces[:, :3] == 2).all()
    assert set(np.unique(pieces[:, 3])) <= {1, 2}
    assert (components(mask, mask) == 1).all()


def test_a_journal_gives_back_what_was_written(tmp_path):
    journal = Journal(tmp_path / "j")
    offsets = [journal.append(Record({"n": i, "text": "ü"}, b"x" * i)) for i in range(5)]
    journal.close()
    journal = Journal(tmp_path / "j")
    assert [o for o, _ in journal.records(0)] == offsets
    assert [r.header["n"] for _, r in journal.records(offsets[2])] == [2, 3, 4]
    assert journal.read(offsets[4]) == Record({"n": 4, "text": "ü"}, b"xxxx")
    assert journal.read_header(offsets[1])["text"] == "ü"
    assert journal.torn_tail() == b""
    with pytest.raises(LabelStoreError, match=f"byte {offsets[1] + 1}"):
        journal.read(offsets[1] + 1)
    journal.close()


@pytest.mark.parametrize("size", [1, 10, 23, 30, 59])
def test_a_journal_torn_anywhere_keeps_what_is_whole(tmp_path, size):
    journal = Journal(tmp_path / "j")
    journal.append(Record({"n": 0}, b"body"))
    last = journal.append(Record({"n": 1}, b"b" * 40))
    journal.cut(last + size)
    assert [r.header["n"] for _, r in journal.records(0)] == [0]
    assert len(journal.torn_tail()) == size
    journal.cut(journal.end)
    assert journal.append(Record({"n": 2})) == last
    assert [r.header["n"] for _, r in journal.records(0)] == [0, 2]
    journal.close()


@pytest.mark.parametrize("number", [0, -1, 2**32])
def test_an_id_that_is_no_label_is_refused_with_the_number(number):
    with pytest.raises(LabelStoreError, match=f"{number} must lie in"):
        checked_id(number)


def test_a_box_is_rounded_to_pixels_and_refused_beyond_the_slide(tmp_path):
    chunks = ChunkFiles(tmp_path, (20, 30), 8, None)
    assert chunks.inside(Box(0, 0, 20, 30)) == Box(0, 0, 20, 30)
    with pytest.raises(RegionError, match="20 rows and 30 columns"):
        chunks.inside(Box(0, 0, 21, 30))


@pytest.mark.parametrize(
    ("shape", "key", "says"),
    [((20, 30), "other", "another slide"), ((30, 20), "slide", "20 x 30"), ((20, 30), "slide", "")],
)
def test_a_folder_belongs_to_the_slide_that_claimed_it(tmp_path, shape, key, says):
    first = StoreManifest("slide", (20, 30), 8)
    with pytest.raises(LabelStoreError, match="no labels"):
        first.claim(tmp_path, None, read_only=True)
    assert first.claim(tmp_path, None, read_only=False) == first
    wanted = StoreManifest(key, shape, 16)
    if says:
        with pytest.raises(LabelStoreError, match=says):
            wanted.claim(tmp_path, None, read_only=False)
    else:
        assert wanted.claim(tmp_path, None, read_only=True) == first
