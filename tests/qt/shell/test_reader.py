"""The reader in napari's own layer model; no window is needed."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel
from napari.layers import Layer

from histoprompt._qt.layers.make import show_alone, slide_of
from histoprompt._qt.reader import get_reader
from histoprompt._qt.shell.current_slide import CurrentSlide
from histoprompt.core.errors import SlideError
from histoprompt.core.readers.open import open_slide

PICTURE = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)


@pytest.fixture
def pyramid(tmp_path):
    path = tmp_path / "slide.ome.tif"
    options = {"photometric": "rgb", "tile": (128, 128), "compression": "deflate"}
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "axes": "YXS"}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(PICTURE, subifds=2, metadata=sizes, **options)
        for step in (2, 4):
            tiff.write(PICTURE[::step, ::step], subfiletype=1, **options)
    return path


def test_a_pyramid_becomes_a_multiscale_layer_in_microns(pyramid):
    [(levels, arguments, kind)] = get_reader(str(pyramid))(str(pyramid))
    layer = Layer.create(levels, arguments, kind)
    assert (layer.multiscale, layer.rgb, layer.name) == (True, True, "slide")
    assert [a.shape for a in layer.data] == [(700, 900, 3), (350, 450, 3), (175, 225, 3)]
    np.testing.assert_allclose(layer.scale, (0.25, 0.25))
    assert [str(u) for u in layer.units] == ["micrometer", "micrometer"]
    slide = open_slide(pyramid)
    facts = layer.metadata["histoprompt"]
    assert (facts["path"], facts["key"]) == (str(pyramid), slide.key)
    assert (facts["mpp"], facts["mpp_source"]) == (0.25, "file")


def test_napari_shows_the_level_and_the_place_it_asks_for(pyramid):
    viewer = ViewerModel()
    reader = get_reader(str(pyramid))
    [(levels, arguments, _)] = reader(str(pyramid))
    layer = viewer.add_image(levels, **arguments)
    np.testing.assert_array_equal(layer._slice.image.raw, PICTURE[::4, ::4])
    layer.data_level = 0
    layer.corner_pixels = np.array([[100, 200], [219, 339]])
    layer.refresh(extent=False, thumbnail=False)
    np.testing.assert_array_equal(layer._slice.image.raw, PICTURE[100:220, 200:340])


def test_a_flat_image_without_a_pixel_size_is_in_pixels(tmp_path):
    path = tmp_path / "flat.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb")
    [(data, arguments, kind)] = get_reader(path)(path)
    layer = Layer.create(data, arguments, kind)
    assert not layer.multiscale
    np.testing.assert_allclose(layer.scale, (1, 1))
    assert [str(u) for u in layer.units] == ["pixel", "pixel"]
    assert layer.metadata["histoprompt"]["mpp"] is None
    np.testing.assert_array_equal(np.asarray(layer.data), PICTURE)


def test_several_files_become_several_layers(pyramid, tmp_path):
    second = tmp_path / "other.tif"
    tifffile.imwrite(second, PICTURE[:50], photometric="rgb")
    paths = [str(pyramid), str(second)]
    names = [arguments["name"] for _, arguments, _ in get_reader(paths)(paths)]
    assert names == ["slide", "other"]


def test_unknown_paths_are_left_to_other_readers(tmp_path, pyramid):
    (tmp_path / "empty").mkdir()
    for path in ("notes.txt", "x.czi", str(tmp_path / "empty"), [], [str(pyramid), "x.npy"]):
        assert get_reader(path) is None


def test_folders_are_known_by_what_lies_in_them(tmp_path, shared_data):
    zarr.open_group(tmp_path / "image", mode="w")
    assert get_reader(str(tmp_path / "image")) is not None
    assert get_reader(str(shared_data / "slides" / "CMU-1-Small-Region-dicom")) is not None


def test_a_known_kind_that_cannot_be_read_says_why(tmp_path):
    path = tmp_path / "broken.svs"
    path.write_bytes(b"II*\0\x08\0\0\0")
    reader = get_reader(str(path))
    with pytest.raises(SlideError, match=r"broken\.svs holds no image"):
        reader(str(path))


def test_fluorescence_is_a_layer_per_channel_each_with_its_slide(tmp_path):
    path = tmp_path / "cells.ome.tif"
    planes = np.random.default_rng(1).integers(0, 3000, (2, 256, 256)).astype(np.uint16)
    colours = [0xFF8000FF - 2**32, 0x0080FFFF]
    meta = {"axes": "CYX", "Channel": {"Name": ["CD8", "DAPI"], "Color": colours}}
    tifffile.imwrite(path, planes, ome=True, metadata=meta, photometric="minisblack")
    viewer = ViewerModel()
    for one in get_reader(str(path))(str(path)):
        viewer.add_layer(Layer.create(*one))
    nuclei, other = viewer.layers
    assert [layer.name for layer in viewer.layers] == ["cells: DAPI", "cells: CD8"]
    np.testing.assert_array_equal(np.asarray(nuclei.data), planes[1])
    np.testing.assert_allclose(nuclei.colormap.colors[-1][:3], (0, 128 / 255, 1), atol=1e-6)
    show_alone(viewer, other)
    assert nuclei.visible
    for layer, name in ((nuclei, "DAPI"), (other, "CD8")):
        slide = slide_of(layer)
        assert slide.channels[slide.shown_channel].name == name


@pytest.mark.parametrize("docks_first", [True, False])
def test_of_fluorescence_the_channel_of_the_nuclei_is_worked_on(tmp_path, qapp, docks_first):
    path = tmp_path / "cells.ome.tif"
    planes = np.random.default_rng(1).integers(0, 3000, (3, 256, 256)).astype(np.uint16)
    meta = {"axes": "CYX", "Channel": {"Name": ["CD8", "DAPI", "CD3"]}}
    tifffile.imwrite(path, planes, ome=True, metadata=meta, photometric="minisblack")
    viewer = ViewerModel()
    current = CurrentSlide(viewer, lambda: False) if docks_first else None
    for one in get_reader(str(path))(str(path)):
        viewer.add_layer(Layer.create(*one))
    if current is None:
        current = CurrentSlide(viewer, lambda: False)
        assert current.take_lone()
    assert current.image.name == "cells: DAPI"
    assert current.slide.channels[current.slide.shown_channel].name == "DAPI"
    assert all(layer.visible for layer in viewer.layers)
    viewer.add_image(np.zeros((9, 9, 3), np.uint8), name="other")
    current.choose(None)
    assert not current.take_lone(), "of two slides a person chooses"
    current.close()


def test_addresses_of_slides_are_taken_and_others_are_not():
    assert get_reader("https://host/slide.zarr") is not None
    assert get_reader(["https://host/slide.ome.tif?key=1"]) is not None
    assert get_reader("s3://bucket/slides/a.zarr/0") is not None
    assert get_reader("https://host/page.html") is None
