"""Classifiers as arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cells_of_classes import NAMES, clusters, some_labels
from histoprompt.core.errors import LabelError
from histoprompt.pipelines.classes import classifiers
from histoprompt.pipelines.classes.classifiers import Scaling, margins
from histoprompt.pipelines.classes.few_shot import held_out_logits, prototypes
from histoprompt.pipelines.classes.train import Trainer


@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
@settings(deadline=None)
def test_scaling_forgets_units(seed, factor, shift):
    features = np.random.default_rng(seed).normal(size=(40, 2)).astype(np.float32)
    names = ("a", "b")
    plain = Scaling.of(features, names).apply(features)
    other = (features * [factor, 1] + [shift * factor, 0]).astype(np.float32)
    assert Scaling.of(other, names).apply(other) == pytest.approx(plain, abs=0.02)


def test_every_family_of_features_counts_alike():
    rng = np.random.default_rng(0)
    names = ("area", "perimeter", "stain", *(f"seen_{i}" for i in range(97)))
    scaled = Scaling.of(x := rng.normal(size=(500, 100)).astype(np.float32), names).apply(x)
    assert scaled[:, :3].var(axis=0).sum() == pytest.approx(1, rel=0.05)
    assert scaled[:, 3:].var(axis=0).sum() == pytest.approx(1, rel=0.05)


def test_what_is_missing_or_constant_says_nothing():
    features = np.array([[1, 5, 3], [2, 5, np.nan], [3, 5, 4], [4, 5, 5]], np.float32)
    scaled = Scaling.of(features, ("a", "b", "c")).apply(features)
    assert (scaled[:, 1] == 0).all()
    assert scaled[1, 2] == 0
    assert np.isfinite(scaled).all()
    assert np.isfinite(Scaling.of(features * np.nan, ("a", "b", "c")).apply(features)).all()


def test_an_outlier_is_cut():
    features = np.concatenate([np.random.default_rng(0).normal(size=999), [1e6]])[:, None]
    scaling = Scaling(np.zeros(1, np.float32), np.ones(1, np.float32), np.ones(1, np.float32))
    assert scaling.apply(features.astype(np.float32)).max() == 5


def test_prototypes_split_in_the_middle():
    scaled = np.array([[0, 0], [2, 0], [10, 0]], np.float32)
    model = prototypes(scaled, np.array([0, 0, 1], np.int16), 2)
    half = model.probabilities(np.array([[5.5, 3], [1, 0], [10, 0]], np.float32))
    assert half[0] == pytest.approx([0.5, 0.5], abs=1e-3)
    assert half[1, 0] == pytest.approx(half[2, 1], abs=1e-4)
    assert 0.75 < half[1, 0] < 0.99


def test_held_out_logits_come_from_models_that_have_not_seen_the_example():
    scaled = np.eye(6, dtype=np.float32)
    code = np.array([0, 0, 0, 1, 1, 1], np.int16)
    seen = []

    def grow(examples, of, classes):
        seen.append(examples)
        return prototypes(examples, of, classes)

    assert held_out_logits(scaled, code, 2, grow).shape == (6, 2)
    assert [len(s) for s in seen] == [4, 4, 4]
    assert held_out_logits(scaled[:4], code[:4], 2, grow) is None


def test_margins_are_those_of_the_two_likeliest():
    table = np.array([[0.2, 0.5, 0.3], [1, 0, 0]], np.float32)
    assert margins(table) == pytest.approx([0.2, 1])


def test_cells_are_classified_in_parts_as_at_once(monkeypatch):
    cells, truth = clusters({"a": 60, "b": 60})
    classifier = Trainer(cells).fit(some_labels(cells, truth, 5)).classifier
    whole = classifier.classify(cells.features, NAMES)
    monkeypatch.setattr(classifiers, "_CHUNK", 7)
    parts = classifier.classify(cells.features, NAMES)
    assert (whole[1] == parts[1]).all()
    assert whole[2] == pytest.approx(parts[2], abs=1e-5)
    assert len(classifier.classify(cells.features[:0], NAMES)[1]) == 0


def test_features_are_found_by_name_and_missing_ones_named():
    cells, truth = clusters({"a": 60, "b": 60})
    classifier = Trainer(cells).fit(some_labels(cells, truth, 5)).classifier
    order = np.random.default_rng(0).permutation(len(NAMES))
    names = (*(NAMES[i] for i in order), "more")
    mixed = np.hstack([cells.features[:, order], np.zeros((len(cells), 1), np.float32)])
    assert (
        classifier.classify(mixed, names)[1] == classifier.classify(cells.features, NAMES)[1]
    ).all()
    with pytest.raises(LabelError, match="lack 2: size, shade"):
        classifier.classify(cells.features[:, 2:], NAMES[2:])
