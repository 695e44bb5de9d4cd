"""Classifiers as files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from cells_of_classes import NAMES, clusters, some_labels
from histoprompt.core.errors import ExportError, LabelError
from histoprompt.pipelines.classes.classifier_file import read_classifier, write_classifier
from histoprompt.pipelines.classes.train import Trainer
from histoprompt.pipelines.classes.train_params import TrainParams


@pytest.fixture(params=["logistic", "prototype", "forest"])
def classifier(request):
    cells, truth = clusters({"a": 80, "b": 80})
    params = TrainParams(method=request.param)
    return Trainer(cells, params).fit(some_labels(cells, truth, 6)).classifier


def test_a_classifier_is_read_as_it_was_written(classifier, tmp_path):
    path = tmp_path / "my.classifier"
    write_classifier(path, classifier)
    again = read_classifier(path)
    others, _ = clusters({"a": 50, "b": 50}, seed=7)
    first = classifier.classify(others.features, NAMES)
    second = again.classify(others.features, NAMES)
    assert first[0] == second[0]
    assert (first[1] == second[1]).all()
    assert first[2] == pytest.approx(second[2], abs=1e-6)
    assert (again.method, again.reach, again.margin) == (
        classifier.method, classifier.reach, classifier.margin
    )  # fmt: skip


def rewritten(path, **changes) -> None:
    """The file with a part of its header or its tensors changed."""
    with safe_open(path, "np") as file:
        meta = file.metadata()
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    head = json.loads(meta["head"])
    for name, value in changes.items():
        if name in tensors:
            tensors[name] = value
        elif name == "format":
            meta["format"] = value
        else:
            head[name] = value
    save_file(tensors, path, {**meta, "head": json.dumps(head)})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "histoprompt-classifier-9"}, "classifier-9"),
        ({"feature_names": ["one"]}, "do not fit"),
        ({"classes": ["a"]}, "do not fit"),
        ({"weights": np.zeros((3, 3), np.float32)}, "do not fit"),
        ({"code": np.array([9] * 12, np.int16)}, "do not fit"),
        ({"reach": "far"}, "damaged"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, changes, says):
    cells, truth = clusters({"a": 30, "b": 30})
    path = tmp_path / "c"
    write_classifier(path, Trainer(cells).fit(some_labels(cells, truth, 6)).classifier)
    rewritten(path, **changes)
    with pytest.raises(LabelError, match=says):
        read_classifier(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "c"
    with pytest.raises(LabelError, match="cannot be read"):
        read_classifier(path)
    path.write_bytes(b"\x80\x04\x95 a pickle")
    with pytest.raises(LabelError, match="cannot be read"):
        read_classifier(path)
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(LabelError, match="no classifier"):
        read_classifier(path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    cells, truth = clusters({"a": 30, "b": 30})
    classifier = Trainer(cells).fit(some_labels(cells, truth, 6)).classifier
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError):
        write_classifier(tmp_path / "file" / "c", classifier)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
