"""A trained classifier as a file: tensors and a JSON header, nothing that could run code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from histoprompt.core.atomic import replacing_file
from histoprompt.core.errors import LabelError
from histoprompt.pipelines.classifiers import FewShotClassifier, Forest, Linear, Scaling

FORMAT = "histoprompt-classifier-1"


def write_classifier(path: str | os.PathLike[str], classifier: FewShotClassifier) -> None:
    """Write a classifier as safetensors; the file appears whole or not at all.

    Besides the model it holds its examples, so it grows with them: 1 kB an example of 256 features.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    tensors = {
        "mean": classifier.scaling.mean,
        "deviation": classifier.scaling.deviation,
        "share": classifier.scaling.share,
        "examples": classifier.examples,
        "code": classifier.code,
    }
    if isinstance(classifier.model, Linear):
        tensors |= {"weights": classifier.model.weights, "bias": classifier.model.bias}
    head = {
        "classes": classifier.classes,
        "feature_names": classifier.feature_names,
        "method": classifier.method,
        "reach": classifier.reach,
        "margin": classifier.margin,
    }
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with replacing_file(path) as part:
        # `save_file` would make a file that only its owner may read.
        part.write_bytes(save(whole, {"format": FORMAT, "head": json.dumps(head)}))


def read_classifier(path: str | os.PathLike[str]) -> FewShotClassifier:
    """Read what `write_classifier` wrote.

    Raises
    ------
    LabelError
        If it is missing, damaged, no classifier, or of another version.
    """
    path = Path(path)
    try:
        with safe_open(path, "np") as file:
            meta = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise LabelError(f"The classifier {path} cannot be read: {error}.") from error
    if meta.get("format") != FORMAT:
        raise LabelError(
            f"{path} is no classifier of this version ({FORMAT}, but it says "
            f"{meta.get('format', 'nothing')}). Choose a file that `classify fit` wrote."
        )
    try:
        classifier = _classifier(json.loads(meta["head"]), tensors)
        _check(classifier)
    except (KeyError, TypeError, ValueError) as error:
        raise LabelError(f"The classifier {path} is damaged ({error}). Train it again.") from error
    return classifier


def _classifier(head: dict[str, Any], tensors: dict[str, Any]) -> FewShotClassifier:
    classes, examples, code = tuple(head["classes"]), tensors["examples"], tensors["code"]
    forest = head["method"] == "forest"
    return FewShotClassifier(
        classes=classes,
        feature_names=tuple(head["feature_names"]),
        scaling=Scaling(tensors["mean"], tensors["deviation"], tensors["share"]),
        method=head["method"],
        model=Forest(examples, code, len(classes))
        if forest
        else Linear(tensors["weights"], tensors["bias"]),
        examples=examples,
        code=code,
        reach=float(head["reach"]),
        margin=float(head["margin"]),
    )


def _check(classifier: FewShotClassifier) -> None:
    """Refuse parts that do not fit together."""
    c, k, m = (len(x) for x in (classifier.classes, classifier.feature_names, classifier.code))
    scaling = classifier.scaling
    wanted: list[tuple[NDArray[Any], tuple[int, ...]]]
    wanted = [(x, (k,)) for x in (scaling.mean, scaling.deviation, scaling.share)]
    wanted += [(classifier.examples, (m, k)), (classifier.code, (m,))]
    if isinstance(classifier.model, Linear):
        wanted += [(classifier.model.weights, (c, k)), (classifier.model.bias, (c,))]
    wrong = [(x.shape, shape) for x, shape in wanted if x.shape != shape]
    if wrong or c < 2 or m < 1 or not 0 <= classifier.code.min() <= classifier.code.max() < c:
        raise ValueError(f"{c} classes, {k} features, {m} examples do not fit: {wrong}")
