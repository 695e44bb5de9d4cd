"""Label sources, and the table of their objects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import regionprops

from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.labels import sources as labels
from histoprompt.core.labels import table as label_table
from histoprompt.core.labels.sources import ArrayLabels, SparseLabels, extent, pieces
from histoprompt.core.labels.table import compacted, scan
from histoprompt.core.task import Task

ids = hnp.arrays(
    np.uint32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
    elements=st.sampled_from([0, 0, 0, 1, 2, 70_000, 2**32 - 1]),
)
origins = st.tuples(st.integers(0, 40), st.integers(0, 40))


@given(ids, origins)
def test_sparse_labels_give_back_what_was_pasted(array, origin):
    box = Box.of_shape(array.shape).shift(*origin)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "_SPARSE_BLOCK", 7)
        sparse = SparseLabels((70, 70), (0, 0))
        sparse.paste(array, box)
        np.testing.assert_array_equal(sparse.read(box), array)
        whole = sparse.read(Box(0, 0, 70, 70))
        covered = np.zeros((70, 70), bool)
        for filled in sparse.filled_boxes():
            assert not covered[filled.slices()].any()
            covered[filled.slices()] = True
    assert (whole > 0).sum() == (array > 0).sum()
    assert not whole[~covered].any()


def test_pasting_leaves_what_is_below_zeros_and_cuts_at_the_edge():
    sparse = SparseLabels((4, 4), (10, 10))
    sparse.paste(np.full((4, 4), 5), Box(10, 10, 14, 14))
    sparse.paste(np.array([[0, 6], [7, 8]]), Box(13, 13, 15, 15))
    assert sparse.read(Box(12, 12, 14, 14)).tolist() == [[5, 5], [5, 5]]
    sparse.paste(np.array([[9, 0]]), Box(13, 9, 14, 11))
    sparse.paste(np.array([[1, 2]]), Box(13, 9, 14, 11))
    assert sparse.read(Box(13, 10, 14, 12)).tolist() == [[2, 5]]
    sparse.paste(np.ones((2, 2)).astype(int), Box(50, 50, 52, 52))


def test_sparse_labels_of_a_huge_slide_take_little_room():
    sparse = SparseLabels((100_000, 80_000))
    sparse.paste(np.full((30, 30), 3), Box(70_000, 60_000, 70_030, 60_030))
    assert sum(b.area for b in sparse.filled_boxes()) <= 4 * 256**2


@given(ids, origins, st.integers(1, 30))
def test_the_table_holds_each_object_once_whatever_the_blocks(array, origin, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_table, "_SCAN", block)
        table = scan(ArrayLabels(array, origin), Task())
    present, counts = np.unique(array[array > 0], return_counts=True)
    assert table.ids.tolist() == present.tolist()
    assert table.areas.tolist() == counts.tolist()
    for row, label in enumerate(present):
        box = Box.of_mask(array == label).shift(*origin)
        assert table.boxes[row].tolist() == list(box)
    assert sorted(i for i, _, _ in table.in_reading_order()) == present.tolist()


@given(ids)
def test_renumbering_is_undone_by_the_list_of_ids(array):
    present, compact, areas = compacted(array)
    np.testing.assert_array_equal(np.concatenate([[0], present])[compact], array)
    assert areas.tolist() == [int(p.area) for p in regionprops(compact)]


def test_areas_of_ids_that_came_after_the_scan_are_refused():
    table = scan(ArrayLabels(np.array([[1, 0, 3, 3]])), Task())
    assert table.areas_of(np.array([3, 1], np.uint32)).tolist() == [2, 1]
    for label in (2, 4):
        with pytest.raises(LabelError, match="changed"):
            table.areas_of(np.array([label], np.uint32))


def test_array_labels_read_level0_boxes_and_know_their_extent():
    source = ArrayLabels(np.arange(12).reshape(3, 4), (100, 200))
    assert extent(source) == Box(100, 200, 103, 204)
    assert source.read(Box(101, 202, 103, 204)).tolist() == [[6, 7], [10, 11]]
    with pytest.raises(RegionError, match="outside"):
        source.read(Box(99, 200, 101, 201))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int32, np.int64, np.uint64])
def test_integers_of_all_kinds_become_uint32(dtype):
    source = ArrayLabels(np.array([[0, 1]], dtype))
    found = source.read(Box(0, 0, 1, 2))
    assert found.dtype == np.uint32
    assert found.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), "colour image"),
        (np.zeros((4, 4), float), "float64"),
        (np.zeros((2, 4, 4), int), r"shape \(2, 4, 4\)"),
    ],
)
def test_what_cannot_be_labels_is_refused(array, message):
    with pytest.raises(LabelError, match=message):
        ArrayLabels(array)


@pytest.mark.parametrize("wrong", [-3, 2**32])
def test_ids_out_of_range_are_named(wrong):
    with pytest.raises(LabelError, match=str(wrong)):
        ArrayLabels(np.array([[1, wrong]])).read(Box(0, 0, 1, 2))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9))
def test_pieces_tile_the_box(h, w, size):
    seen = np.zeros((h, w), int)
    for part in pieces(Box(5, 6, 5 + h, 6 + w), size):
        assert max(part.shape) <= size
        seen[part.slices((5, 6))] += 1
    assert (seen == 1).all()
