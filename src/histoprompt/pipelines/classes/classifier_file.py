"""A trained classifier as a file: tensors and a JSON header, nothing that could run code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from typing_extensions import TypedDict

from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import Finite, Shape, parse_json
from histoprompt.core.files.tensors import ordered
from histoprompt.core.strings.names import tidy
from histoprompt.pipelines.classes.classifiers import (
    FewShotClassifier,
    Forest,
    Linear,
    Method,
    Scaling,
)

FORMAT = "histoprompt-classifier-1"
# What safetensors and numpy raise where the table of tensors is damaged.
UNREAL = (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError, AttributeError)


class _Head(TypedDict):
    """What a classifier's header says."""

    classes: Annotated[list[str], Field(max_length=2**15 - 2)]
    feature_names: Annotated[list[str], Field(min_length=1)]
    method: Method
    reach: float
    margin: Finite
    usual_far: NotRequired[Finite | None]
    about: NotRequired[dict[str, str]]


# Far beyond what training makes; sums of products stay finite in float32.
_LARGEST, _SMALLEST = 1e12, 1e-12
_SHAPE: Shape[_Head] = Shape(_Head)


def write_classifier(
    path: str | os.PathLike[str],
    classifier: FewShotClassifier,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a classifier as safetensors; the file appears whole or not at all.

    Besides the model it holds its examples, so it grows with them: 1 kB an example of 256 features.

    Parameters
    ----------
    path : path
    classifier : FewShotClassifier
    about : mapping of str to str, optional
        What else is told of it, such as what its features were made by.

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
    for name, tensor in (("held_out", classifier.held_out), ("cut", classifier.cut)):
        if tensor is not None:
            tensors[name] = tensor
    head = {
        "classes": classifier.classes,
        "feature_names": classifier.feature_names,
        "method": classifier.method,
        "reach": classifier.reach,
        "margin": classifier.margin,
        "usual_far": classifier.usual_far if isfinite(classifier.usual_far) else None,
        "about": dict(about or {}),
    }
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with replacing_file(path) as part:
        # `save_file` would make a file that only its owner may read.
        part.write_bytes(ordered(save(whole, {"format": FORMAT, "head": json.dumps(head)})))


def read_classifier(path: str | os.PathLike[str]) -> FewShotClassifier:
    """Read what `write_classifier` wrote. Raises as `read_told_classifier` does."""
    return read_told_classifier(path)[0]


def read_told_classifier(
    path: str | os.PathLike[str],
) -> tuple[FewShotClassifier, dict[str, str]]:
    """Read what `write_classifier` wrote, with what else is told of it.

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
    except (SafetensorError, OSError, *UNREAL) as error:
        raise LabelError(f"The classifier {path} cannot be read: {error}.") from error
    if meta.get("format") != FORMAT:
        raise LabelError(
            f"{path} is no classifier of this version ({FORMAT}, but it says "
            f"{meta.get('format', 'nothing')}). Choose a file that `classify fit` wrote."
        )
    where = f"The classifier {path}"
    head = _SHAPE.of(parse_json(meta.get("head", ""), where), where, advice="Train it again.")
    try:
        _check_kinds(tensors)
        classifier = _classifier(head, tensors)
        _check(classifier)
    except (KeyError, ValueError) as error:
        raise LabelError(f"The classifier {path} is damaged ({error}). Train it again.") from error
    return classifier, dict(head.get("about") or {})


def _check_kinds(tensors: dict[str, NDArray[Any]]) -> None:
    """Refuse tensors of another kind of number, and numbers that are none."""
    for name, tensor in tensors.items():
        wanted = np.int16 if name == "code" else np.float32
        if tensor.dtype != wanted:
            raise ValueError(f"{name} holds {tensor.dtype}, not {np.dtype(wanted)}")
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name} holds values that are no numbers")
        if tensor.size and np.abs(tensor).max() > _LARGEST:
            raise ValueError(f"{name} holds values above {_LARGEST:g}")


def _classifier(head: _Head, tensors: dict[str, NDArray[Any]]) -> FewShotClassifier:
    classes = tuple(map(tidy, head["classes"]))
    examples, code = tensors["examples"], tensors["code"]
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
        reach=head["reach"],
        margin=head["margin"],
        held_out=tensors.get("held_out"),
        cut=tensors.get("cut"),
        usual_far=float("nan") if (far := head.get("usual_far")) is None else far,
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
    wanted += [(classifier.held_out, (m, c))] if classifier.held_out is not None else []
    wanted += [(classifier.cut, (c,))] if classifier.cut is not None else []
    wrong = [(x.shape, shape) for x, shape in wanted if x.shape != shape]
    if len(set(classifier.classes)) < c or len(set(classifier.feature_names)) < k:
        raise ValueError("a class or a feature comes twice")
    if not classifier.reach >= 0 or not (scaling.deviation > _SMALLEST).all():
        raise ValueError("its scale is none")
    if wrong or c < 2 or m < 1 or not 0 <= classifier.code.min() <= classifier.code.max() < c:
        raise ValueError(f"{c} classes, {k} features, {m:,} examples do not fit: {wrong}")
