"""Positive cells by their DAB."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.data import immunohistochemistry

from histoprompt.core.errors import LabelError
from histoprompt.core.stain.ihc import DAB_MEAN, DabClassifier, DabThresholds, ihc_score


def test_grades_begin_at_their_thresholds():
    density = np.array([0, 0.1999, 0.2, 0.39, 0.4, 0.6, 2.0, np.nan])
    assert DabThresholds().grade(density).tolist() == [0, 0, 1, 1, 2, 3, 3, 0]
    assert DabThresholds(0.1, 0.3, 1.9).grade(density).tolist() == [0, 1, 1, 2, 2, 2, 3, 0]


def test_h_score_and_positive_fraction_by_hand():
    density = np.array([0.1] * 5 + [0.3] * 2 + [0.5] * 2 + [0.9, np.nan])
    score = ihc_score(density)
    assert score.cells == 10
    assert score.grades == (5, 2, 2, 1)
    assert score.positive_fraction == pytest.approx(0.5)
    assert score.h_score == pytest.approx(20 * 1 + 20 * 2 + 10 * 3)


def test_no_cells_have_no_score():
    score = ihc_score(np.zeros(0))
    assert np.isnan(score.positive_fraction)
    assert np.isnan(score.h_score)


@pytest.mark.parametrize("numbers", [(0.4, 0.2, 0.6), (0, 0.2, 0.4), (0.2, 0.2, 0.4)])
def test_thresholds_that_do_not_grow_are_refused(numbers):
    with pytest.raises(LabelError, match=r"0\.2, 0\.4, 0\.6"):
        DabThresholds(*numbers)


@pytest.mark.parametrize(
    ("graded", "classes", "code"),
    [
        (False, ("negative", "positive"), [0, 1, 1]),
        (True, ("negative", "1+", "2+", "3+"), [0, 1, 3]),
    ],
)
def test_it_is_used_as_any_classifier(graded, classes, code):
    features = np.array([[9, 0.1], [9, 0.25], [9, 0.7]], np.float32)
    classifier = DabClassifier(DabThresholds(graded=graded))
    found = classifier.classify(features, ("area", DAB_MEAN))
    assert found[0] == classes
    assert found[1].tolist() == code
    assert found[1].dtype == np.int16
    assert np.isnan(found[2]).all()


def test_cells_without_stain_features_are_refused():
    with pytest.raises(LabelError, match=DAB_MEAN):
        DabClassifier().classify(np.zeros((2, 1), np.float32), ("area",))


def test_brown_crypts_are_positive_and_blue_stroma_is_not():
    from histoprompt.core.classical.detection import find_nuclei
    from histoprompt.core.stain.fit import fit_dyes
    from histoprompt.pipelines.cells.features import FEATURE_NAMES, measure

    image = immunohistochemistry()[100:350, 100:350]
    labels = find_nuclei(image, 0.5)
    features = measure(image, labels, 0.5, fit_dyes(image, "H-DAB"))
    _, code, _ = DabClassifier().classify(features, FEATURE_NAMES)
    mean = [image[labels == i + 1].mean(axis=0) for i in range(len(code))]
    redness = np.array([rgb[0] - rgb[2] for rgb in mean])
    assert redness[code == 1].mean() > redness[code == 0].mean() + 20
    assert 0.1 < code.mean() < 0.95


@pytest.mark.shared
def test_one_tissue_on_two_scanners_is_as_positive(shared_data):
    from histoprompt.core.classical.detection import find_nuclei
    from histoprompt.core.readers.open import open_slide
    from histoprompt.core.stain.fit import fit_dyes
    from histoprompt.pipelines.cells.features import FEATURE_NAMES, measure

    fractions = []
    for name in ("ndpi", "vsi"):
        with open_slide(shared_data / "slides" / f"OS-2-{name}.ome.tif") as slide:
            shape = tuple(round(n * slide.mpp / 0.5) for n in slide.shape)
            image, _ = slide.read(slide.box, shape)
        labels = find_nuclei(image, 0.5)
        features = measure(image, labels, 0.5, fit_dyes(image, "H-DAB"))
        fractions.append(ihc_score(features[:, FEATURE_NAMES.index(DAB_MEAN)]).positive_fraction)
    assert fractions[0] == pytest.approx(fractions[1], abs=0.05)
    assert 0.1 < fractions[0] < 0.4
