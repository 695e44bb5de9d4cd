"""Which names of classes are pointed out as doubles of others."""

from __future__ import annotations

import pytest

from histoprompt.core.labels.class_names import near_double


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("tumor", "tumour"),
        ("Tumour", "tumour"),
        ("tumours", "tumour"),
        ("plasma-cell", "plasma cell"),
        ("plasma  cells", "plasma cell"),
        ("boxes", "box"),
        ("leucocyte", "leukocyte"),
        ("lymphocte", "lymphocyte"),
        ("lymhpocyte", "lymphocyte"),
        ("oedema", "edema"),
        ("haemorrhage", "hemorrhage"),
        ("artery", "arteries"),
        ("gland ", "gland"),
    ],
)
def test_another_spelling_is_pointed_out(name, known):
    assert near_double(name, ["stroma", known]) == known


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("tumour", "tumour"),
        ("", "tumour"),
        ("T cell", "B cell"),
        ("grade 1 tumour", "grade 2 tumour"),
        ("fat", "fad"),
        ("stroma", "tumour"),
        ("positive", "negative"),
        ("epithelium", "endothelium"),
        ("stasis", "stria"),
    ],
)
def test_another_class_is_not(name, known):
    assert near_double(name, [known]) is None
