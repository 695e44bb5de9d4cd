"""A count in a channel of fluorescence: the nuclei of that channel, and no others."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage as ndi

from histoprompt.cli import main
from histoprompt.core.cell_schema import column_of, intensity_names, is_intensity
from histoprompt.models import registry

SIDE, MPP = 320, 0.5
# Where nuclei lie in each channel, (row, col); radius in pixels.
PLACES = {
    "DAPI": [(r, c) for r in range(60, 270, 80) for c in range(60, 270, 80)],
    "GFP": [(r, c) for r in range(100, 230, 120) for c in range(100, 230, 120)],
}
RADIUS = 8


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    rng = np.random.default_rng(0)
    r, c = np.mgrid[0:SIDE, 0:SIDE]
    planes = rng.normal(200, 8, (2, SIDE, SIDE))
    for channel, places in enumerate(PLACES.values()):
        for row, col in places:
            distance = np.hypot(r - row, c - col)
            planes[channel] += 2500 / (1 + np.exp(np.clip(distance - RADIUS, -20, 20) * 2))
    path = tmp_path_factory.mktemp("made") / "cells.ome.tif"
    meta = {
        "axes": "CYX", "PhysicalSizeX": MPP, "PhysicalSizeY": MPP,
        "Channel": {"Name": list(PLACES)},
    }  # fmt: skip
    tifffile.imwrite(
        path, planes.astype(np.uint16), ome=True, metadata=meta, photometric="minisblack",
        tile=(128, 128),
    )  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("segmenter", "channel", "name"),
    [
        ("classical-cells", None, "DAPI"),
        ("classical-cells", "2", "GFP"),
        (registry.DEFAULT_CELLS, "gfp", "GFP"),
    ],
)
def test_the_cells_of_the_channel_are_counted(image, tmp_path, channel, name, segmenter):
    chosen = [] if channel is None else ["--channel", channel]
    arguments = ["count", str(image), "--out", str(tmp_path), "--segmenter", segmenter, *chosen]
    assert main([*arguments, "--region", f"0,0,{SIDE},{SIDE}", "--device", "cpu"]) == 0
    folder = tmp_path / "cells"
    cells = pd.read_csv(folder / "cells.csv")
    want = np.array(PLACES[name], float)
    found = cells[["row", "col"]].to_numpy()
    assert len(found) == len(want)
    nearest = np.hypot(*(found[:, None] - want[None]).transpose(2, 0, 1)).min(axis=1)
    assert nearest.max() < 2
    area = np.pi * RADIUS**2 * MPP**2
    assert cells["area_um2"].median() == pytest.approx(area, rel=0.3)
    assert json.loads((folder / "count.json").read_text())["channel"] == name
    check_intensities(cells, tifffile.imread(folder / "labels.tif"), tifffile.imread(image))
    # fields are drawn on the slide as it was counted
    assert main(["audit", "draw", str(folder), "--fields", "2"]) == 0


def check_intensities(cells, labels, planes):
    """Every cell is measured in every channel, in the values of the file."""
    for plane, channel in zip(planes, PLACES, strict=True):
        for ending, of in (
            ("mean", ndi.mean),
            ("max", ndi.maximum),
            ("std", ndi.standard_deviation),
        ):
            expected = of(plane.astype(float), labels, cells["id"])
            found = cells[f"{channel}_intensity_{ending}"]
            np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=f"{channel} {ending}")


def test_columns_of_channels_say_what_they_are():
    names = intensity_names(["DAPI", "Ki-67"])
    assert names[3:] == ("Ki-67_intensity_mean", "Ki-67_intensity_max", "Ki-67_intensity_std")
    column = column_of(names[4])
    assert (column.header, column.unit) == ("Ki-67 max", "values of the file")
    assert all(map(is_intensity, names))
    assert not is_intensity("density_mean")


def test_a_channel_that_is_not_there(image, tmp_path, capsys):
    assert main(["count", str(image), "--out", str(tmp_path), "--channel", "CD4"]) == 1
    assert "no channel CD4. It has 1 DAPI, 2 GFP" in capsys.readouterr().err
