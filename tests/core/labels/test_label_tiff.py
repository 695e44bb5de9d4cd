"""Label TIFFs: written by tiles, read by tiles, whatever program wrote them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoprompt.core.errors import Cancelled, LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.labels import tiff as label_io
from histoprompt.core.labels.sources import ArrayLabels, SparseLabels, extent
from histoprompt.core.labels.tiff import TiffLabels, read_labels, write_labels
from histoprompt.core.task import Task

ids = hnp.arrays(
    np.uint32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=70),
    elements=st.sampled_from([0, 0, 0, 1, 70_000, 2**32 - 1]),
)


@pytest.fixture
def blobs() -> np.ndarray:
    rng = np.random.default_rng(0)
    array = np.zeros((300, 500), np.uint32)
    for i in range(1, 40):
        r, c = rng.integers(0, (280, 200))
        array[r : r + 15, c : c + 20] = i * 7000
    return array


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(array=ids, origin=st.none() | st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_labels_come_back_equal(tmp_path, array, origin):
    path = tmp_path / "labels.ome.tif"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_io, "TILE", 32)
        write_labels(path, ArrayLabels(array, origin), mpp=0.25)
    with TiffLabels(path) as found:
        assert found.shape == array.shape
        assert found.origin == origin
        assert found.mpp == 0.25
        np.testing.assert_array_equal(found.read(extent(found)), array)
    np.testing.assert_array_equal(tifffile.imread(path), array)


def test_other_programs_find_the_pixel_size(tmp_path, blobs):
    write_labels(tmp_path / "l.ome.tif", ArrayLabels(blobs), mpp=0.5)
    with tifffile.TiffFile(tmp_path / "l.ome.tif") as file:
        assert file.pages[0].resolution == (20_000.0, 20_000.0)
        assert file.pages[0].resolutionunit == tifffile.RESUNIT.CENTIMETER
        assert file.pages[0].is_tiled
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 7},
        {"compression": "zlib"},
        {"compression": "lzw", "rowsperstrip": 33},
        {"compression": "zlib", "predictor": True, "tile": (128, 64)},
        {"tile": (64, 64)},
        {"byteorder": ">"},
        {"compression": "zlib", "byteorder": ">"},
    ],
)
@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_label_images_of_other_programs_are_read(tmp_path, blobs, options, dtype):
    array = (blobs // 7000).astype(dtype)
    tifffile.imwrite(tmp_path / "l.tif", array, **options)
    source = read_labels(tmp_path / "l.tif", origin=(10, 20))
    box = Box(27, 33, 301, 480)
    np.testing.assert_array_equal(source.read(box), array[17:291, 13:460])
    covered = np.zeros_like(array, bool)
    for filled in source.filled_boxes():
        covered[filled.slices((10, 20))] = True
    assert not array[~covered].any()


def test_empty_tiles_are_neither_read_nor_reported(tmp_path):
    labels = SparseLabels((4000, 5000))
    labels.paste(np.full((20, 20), 9), Box(1600, 2600, 1620, 2620))
    write_labels(tmp_path / "l.ome.tif", labels)
    with TiffLabels(tmp_path / "l.ome.tif") as found:
        assert list(found.filled_boxes()) == [Box(1536, 2560, 2048, 3072)]
        assert found.mpp is None
        decoded = len(found._cache)
    assert decoded == 2  # the one that holds something, and one empty tile for all of them
    assert (tmp_path / "l.ome.tif").stat().st_size < 200_000


def test_an_origin_that_is_given_wins(tmp_path, blobs):
    write_labels(tmp_path / "l.ome.tif", ArrayLabels(blobs, (5, 6)))
    assert read_labels(tmp_path / "l.ome.tif", origin=(7, 8)).origin == (7, 8)


def test_the_cache_keeps_its_bound(tmp_path, blobs, monkeypatch):
    monkeypatch.setattr(label_io, "TILE", 32)
    write_labels(tmp_path / "l.ome.tif", ArrayLabels(blobs))
    monkeypatch.setattr(label_io, "_CACHE_BYTES", 10 * 32 * 32 * 4)
    with TiffLabels(tmp_path / "l.ome.tif") as found:
        np.testing.assert_array_equal(found.read(Box.of_shape(blobs.shape)), blobs)
        assert len(found._cache) == 10


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((8, 8), np.float32), "float32"),
        (np.zeros((8, 8, 3), np.uint8), "colour image"),
        (np.zeros((5, 8, 8), np.uint16), "stack"),
    ],
)
def test_images_that_are_no_labels_are_refused(tmp_path, array, message):
    photometric = "rgb" if array.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "l.tif", array, photometric=photometric)
    with pytest.raises(LabelError, match=message):
        read_labels(tmp_path / "l.tif")


def test_negative_ids_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "l.tif", np.full((8, 8), -1, np.int32), compression="zlib")
    with pytest.raises(LabelError, match="-1"):
        read_labels(tmp_path / "l.tif").read(Box(0, 0, 8, 8))


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(LabelError, match=r"no label file .*l\.tif"):
        read_labels(tmp_path / "l.tif")
    (tmp_path / "l.tif").write_text("a letter")
    with pytest.raises(LabelError, match="not a TIFF"):
        read_labels(tmp_path / "l.tif")
    with pytest.raises(LabelError, match=r"cannot be opened \(File name too long\)"):
        read_labels(tmp_path / ("l" * 300))


def test_a_file_cut_short_is_refused(tmp_path, blobs):
    path = tmp_path / "l.tif"
    tifffile.imwrite(path, blobs, compression="zlib", rowsperstrip=50)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LabelError, match="cut short"):
        read_labels(path)


def test_a_damaged_tile_is_named_when_it_is_read(tmp_path, blobs):
    path = tmp_path / "l.ome.tif"
    write_labels(path, ArrayLabels(blobs))
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 40)
    with pytest.raises(LabelError, match="tile 0 cannot be decoded"):
        read_labels(path).read(Box(0, 0, 10, 10))


def test_a_cancelled_write_keeps_the_file_before_it(tmp_path, blobs):
    path = tmp_path / "l.ome.tif"
    write_labels(path, ArrayLabels(blobs))
    before = path.read_bytes()
    task = Task()
    task.report = lambda _: task.cancel()
    with pytest.raises(Cancelled):
        write_labels(path, ArrayLabels(np.zeros((2000, 2000), int)), task=task)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["l.ome.tif"]
