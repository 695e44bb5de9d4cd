"""`histoprompt classify` from the terminal."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from cells_of_classes import clusters, some_labels
from histoprompt.cli import main
from histoprompt.pipelines.formats.cell_files import read_cells, write_cells


@pytest.fixture
def files(tmp_path):
    """Cells and labels as files, and what is true."""
    cells, truth = clusters({"tumour": 120, "stroma": 80})
    write_cells(tmp_path / "cells.csv", cells)
    labels = some_labels(cells, truth, 5)
    write_labels(tmp_path / "labels.csv", labels)
    return tmp_path, read_cells(tmp_path / "cells.csv"), truth


def write_labels(path, labels) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "class"])
        writer.writerows(labels.items())


def fit(folder, *more) -> int:
    return main(["classify", "fit", "--cells", str(folder / "cells.csv"), "--labels",
                 str(folder / "labels.csv"), "--out", str(folder / "out"), *more])  # fmt: skip


@pytest.mark.parametrize("method", ["auto", "prototype", "forest"])
def test_a_classifier_is_trained_and_used(files, capsys, method):
    folder, cells, truth = files
    assert fit(folder, "--method", method, "--classes", "stroma,tumour") == 0
    said = capsys.readouterr().out
    assert "5 stroma, 5 tumour" in said
    assert "held-out" in said
    again = ["classify", "apply", "--cells", str(folder / "cells.csv"), "--classifier",
             str(folder / "out"), "--out", str(folder / "classified.csv")]  # fmt: skip
    assert main(again) == 0
    classified = read_cells(folder / "classified.csv")
    assert classified.id.tolist() == cells.id.tolist()
    assert (np.array(classified.class_names) == truth).mean() > 0.75
    assert f"{classified.counts()['tumour']} tumour" in capsys.readouterr().out


def test_one_class_is_learnt_with_a_note(files, capsys):
    folder, cells, truth = files
    labels = {i: n for i, n in some_labels(cells, truth, 5).items() if n == "tumour"}
    write_labels(folder / "labels.csv", labels)
    assert fit(folder) == 0
    assert "Only tumour has examples" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("labels.csv", "id,class\n101,tumour\n99999,stroma\n", "99999"),
        ("labels.csv", "id,class\n101,tumour\n", "no example of stroma"),
        ("labels.csv", "id,kind\n101,tumour\n", "needs id and class"),
        ("labels.csv", "id,class\nseven,tumour\n", "seven"),
        ("labels.csv", "id,class\n101,unsure\n102,stroma\n", "unsure"),
        ("labels.csv", "id,class\n", "labels no cell"),
        ("cells.csv", "id,row,col,area_um2\n101,1,1,1\n", "stroma"),
        ("cells.csv", "id,row\n101,1\n", "area_um2"),
        ("cells.csv", "id,row,col,area_um2,size\n101,1,1,1,big\n", "big"),
    ],
)
def test_bad_input_ends_in_one_line_and_no_file(files, capsys, name, text, says):
    folder, *_ = files
    (folder / name).write_text(text)
    if name == "cells.csv":
        (folder / "labels.csv").write_text("id,class\n101,stroma\n")
    assert fit(folder, "--classes", "stroma,tumour") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert says in error or "0 features" in error
    assert not (folder / "out").exists()


def test_another_table_is_refused(files, capsys):
    folder, cells, _ = files
    assert fit(folder) == 0
    fewer = replace(cells, features=cells.features[:, 1:], feature_names=cells.feature_names[1:])
    write_cells(folder / "other.csv", fewer)
    args = ["classify", "apply", "--cells", str(folder / "other.csv"), "--classifier",
            str(folder / "out"), "--out", str(folder / "no.csv")]  # fmt: skip
    assert main(args) == 1
    assert "lack 1: size" in capsys.readouterr().err
    assert not (folder / "no.csv").exists()


def test_inputs_are_not_written_over(files, capsys):
    folder, *_ = files
    args = ["classify", "fit", "--cells", str(folder / "cells.csv"), "--labels",
            str(folder / "labels.csv"), "--out", str(folder / "labels.csv")]  # fmt: skip
    assert main(args) == 1
    assert "Choose another name" in capsys.readouterr().err


def densities(tmp_path):
    rows = [f"{i},1,1,30,{dab}" for i, dab in enumerate([0.1, 0.2, 0.35, 0.5, 0.9], start=1)]
    path = tmp_path / "cells.csv"
    path.write_text("\n".join(["id,row,col,area_um2,dab_mean", *rows]) + "\n")
    return ["classify", "dab", "--cells", str(path), "--out", str(tmp_path / "out.csv")]


def test_dab_tells_classes_from_thresholds_of_ones_own(tmp_path, capsys):
    limits = ["--weak", "0.3", "--moderate", "0.5", "--strong", "0.8", "--graded"]
    assert main([*densities(tmp_path), *limits]) == 0
    names = read_cells(tmp_path / "out.csv").class_names
    assert list(names) == ["negative", "negative", "1+", "2+", "3+"]
    # three of five are positive; (1 x 20 + 2 x 20 + 3 x 20) per cent
    assert "60.0% positive, H-score 120" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("limits", "says", "owed"),
    [(["--weak", "4"], "between 0 and 3", 2), (["--weak", "0.5"], "grow from 1+ to 3+", 1)],
)
def test_dab_thresholds_that_cannot_be_are_refused(tmp_path, capsys, limits, says, owed):
    try:
        status = main([*densities(tmp_path), *limits])
    except SystemExit as ended:
        status = ended.code
    assert status == owed  # 2 of a single argument, 1 of the work
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_sets_of_features_are_chosen_and_encoders_need_the_slide(files, capsys):
    folder, *_ = files
    assert fit(folder, "--features", "net") == 1
    assert "There are no features 'net'; there are measured, seen." in capsys.readouterr().err
    assert fit(folder, "--features", "measured") == 0
    assert fit(folder, "--encoder", "efficientnet-lite0") == 1
    assert "name it with --slide" in capsys.readouterr().err
