"""`histoprompt bench` from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from histoprompt import cli


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Two tiles of dark disks on bright ground, as an export lays them out."""
    data = tmp_path / "data"
    for folder in ("images", "labels"):
        (data / folder).mkdir(parents=True)
    rows, cols = np.ogrid[:120, :120]
    for name in ("a", "b"):
        labels = np.zeros((120, 120), np.uint16)
        for value, (r, c) in enumerate([(30, 30), (30, 85), (85, 55)], start=1):
            labels[(rows - r) ** 2 + (cols - c) ** 2 < 12**2] = value
        colour = np.where(labels[..., None] > 0, (90, 60, 140), (235, 215, 225))
        noise = np.random.default_rng(0).integers(-8, 9, colour.shape)
        Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8)).save(
            data / "images" / f"{name}.png"
        )
        tifffile.imwrite(data / "labels" / f"{name}.tif", labels)
    return data


def test_prompts_are_measured_and_written(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures"
    command = ["bench", "prompts", "--model", "classical", "--data", str(labelled)]
    command += ["--objects", "2", "--limit", "1", "--device", "cpu", "--out", str(out)]
    assert cli.main(command) == 0
    shown = capsys.readouterr().out
    assert "# Classical (no weights): prompts" in shown
    assert "2 objects of 1 images" in shown
    assert "Model classical with its own weights, data data, histoprompt " in shown
    with (out / "prompts-classical.csv").open(newline="") as file:
        rows = {row["prompt"]: row for row in csv.DictReader(file)}
    assert {"box", "scribble", "1 click", "NoC@80"} <= set(rows)
    assert float(rows["box"]["mean IoU"]) > 0.7
    assert (out / "prompts-classical.md").read_text() in shown + "\n"
    assert (out / "prompts-classical.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("kind", "role"), [("nuclei", "cells"), ("text", "text")], ids=["nuclei", "text"]
)
def test_a_model_of_another_role_is_one_line(
    kind: str, role: str, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tumor", "stroma"):
        (tmp_path / "tiles" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "tiles" / name / "1.png")
    data = tmp_path / "tiles" if kind == "text" else labelled
    assert cli.main(["bench", kind, "--model", "classical", "--data", str(data)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "classical has the role prompt" in line
    assert f"role {role}" in line


def test_a_folder_without_labels_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main(["bench", "nuclei", "--model", "histoprompt-cells", "--data", str(tmp_path)]) == 1
    )
    assert "holds no training data" in capsys.readouterr().err
