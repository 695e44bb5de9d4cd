"""Fluorescence: channels with names and colours, one of them shown to the models of nuclei."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from histoprompt.core.errors import SlideError
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide

NAMES, COLOURS = ("CD8", "Hoechst 33342", "CD8"), ("#ff8000", "#0080ff", "#00ff00")


def stack(side=256):
    """(3, side, side) uint16: a dim ground, and in each channel discs at places of its own."""
    rng = np.random.default_rng(1)
    r, c = np.mgrid[0:side, 0:side]
    planes = rng.integers(95, 105, (3, side, side)).astype(np.uint16)
    for channel in range(3):
        for row in range(30, side, 60):
            col = 30 + 70 * channel
            planes[channel][(r - row) ** 2 + (c - col) ** 2 <= 64] = 3000 + 500 * channel
    return planes


STACK = stack()


def ome_tiff(path, names=NAMES, pyramid=False):
    colours = [int(c[1:], 16) << 8 | 255 for c in COLOURS]
    signed = [v - 2**32 if v >= 2**31 else v for v in colours]
    meta = {
        "axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5,
        "Channel": {"Name": list(names), "Color": signed},
    }  # fmt: skip
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options = {"photometric": "minisblack", "tile": (64, 64), "compression": "deflate"}
        tiff.write(STACK, metadata=meta, subifds=int(pyramid), **options)
        if pyramid:
            tiff.write(STACK[:, ::2, ::2], subfiletype=1, **options)
    return path


def ome_zarr(path):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = group.create_array("0", shape=STACK.shape, chunks=(1, 64, 64), dtype="u2")
    array[...] = STACK
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    scale = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    sets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": sets}]
    group.attrs["omero"] = {
        "channels": [
            {"label": n, "color": c[1:].upper()} for n, c in zip(NAMES, COLOURS, strict=True)
        ]
    }
    return path


@pytest.fixture(params=["tiff", "pyramid", "zarr"])
def path(request, tmp_path):
    if request.param == "zarr":
        return ome_zarr(tmp_path / "a.zarr")
    return ome_tiff(tmp_path / "a.ome.tif", pyramid=request.param == "pyramid")


def test_names_colours_and_values_are_the_file_s(path):
    with open_slide(path) as slide:
        assert [c.name for c in slide.channels] == ["CD8", "Hoechst 33342", "CD8 (3)"]
        assert tuple(c.colour for c in slide.channels) == COLOURS
        assert slide.mpp == 0.5
        for i, channel in enumerate(slide.channels):
            np.testing.assert_array_equal(channel.levels[0][...], STACK[i])
            np.testing.assert_array_equal(channel.levels[0][10:99:3, -7], STACK[i, 10:99:3, -7])
            for level in channel.levels[1:]:
                np.testing.assert_array_equal(level[...], STACK[i, ::2, ::2])


def test_the_channel_of_nuclei_is_shown_dark_on_white(path):
    with open_slide(path) as slide:
        shown = slide.levels[0][...]
        assert shown.dtype == np.uint8
        assert shown.shape == (256, 256, 3)
        discs = STACK[1] > 1000
        assert shown[discs].max() < 10
        assert shown[~discs].min() > 240
        assert any("Hoechst" in note for note in slide.notes)


def test_another_channel_by_name_and_number(path):
    with open_slide(path) as home, open_slide(path, channel="hoechst 33342") as same:
        assert same.key == home.key
    for which in ("CD8 (3)", "cd8 (3)", 3, "3"):
        with open_slide(path, channel=which) as other:
            assert other.key != home.key
            assert (other.levels[0][...][STACK[2] > 1000] < 10).all()
            assert any("CD8 (3)" in note for note in other.notes)
            assert not any("Hoechst" in note for note in other.notes)


def test_channels_that_are_not_there(path, tmp_path):
    for which in ("CD4", "0", 4, ""):
        with pytest.raises(SlideError, match=r"no channel .*1 CD8, 2 Hoechst 33342"):
            open_slide(path, channel=which)
    colours = tmp_path / "rgb.tif"
    tifffile.imwrite(colours, np.zeros((64, 64, 3), np.uint8), photometric="rgb")
    with pytest.raises(SlideError, match="no channels to choose from"):
        open_slide(colours, channel="DAPI")


def test_a_channel_decodes_no_tile_of_the_others(tmp_path):
    path = ome_tiff(tmp_path / "a.ome.tif")
    with tifffile.TiffFile(path) as tiff:
        places = [(p.dataoffsets[0], p.databytecounts[0]) for p in tiff.pages]
    with path.open("r+b") as file:
        file.seek(places[0][0])
        file.write(bytes(places[0][1]))
    with open_slide(path) as slide:  # shown by the second
        assert (slide.levels[0][...][STACK[1] > 1000] < 10).all()
        with pytest.raises(SlideError, match="cannot be decoded"):
            slide.channels[0].levels[0][...]


def test_channels_without_names(tmp_path):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, np.concatenate([STACK, STACK])[:5], photometric="minisblack",
                     metadata={"axes": "CYX"}, imagej=False)  # fmt: skip
    with open_slide(path) as slide:
        assert isinstance(slide, Slide)
        assert [c.name for c in slide.channels] == [f"channel {i}" for i in range(1, 6)]
        assert len({c.colour for c in slide.channels}) == 5
