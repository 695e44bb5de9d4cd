"""A model is shown its answer before as long as an object is corrected, and no longer."""

from __future__ import annotations

import pytest
from five_nuclei import NUCLEI
from pointer import Pointer

pytestmark = pytest.mark.gui


@pytest.fixture
def annotator(shown_dock):
    return shown_dock.annotator


def test_corrections_see_the_answer_before_undo_and_a_new_object_do_not(
    annotator, until, monkeypatch
):
    asked, answers = [], []
    ask = annotator.segmenting.ask
    monkeypatch.setattr(
        annotator.segmenting,
        "ask",
        lambda slide, objects: asked.append(objects) or ask(slide, objects),
    )
    annotator.segmenting.answered.connect(answers.append)
    pointer = Pointer(annotator)
    annotator.prompts.choose("click +")
    (row, col), other = NUCLEI[0], NUCLEI[1]

    def clicked(at):
        before = len(answers)
        pointer.click(at)
        until(lambda: len(answers) > before)
        return asked[-1][0].prompt

    assert clicked((row, col)).previous is None
    first = annotator.preview.masks[0]
    second = clicked((row + 3, col))
    assert second.previous is first
    assert len(second.points) == 2
    before = len(answers)
    annotator.undo()
    until(lambda: len(answers) > before)
    assert len(asked[-1][0].prompt.points) == 1
    assert asked[-1][0].prompt.previous is None
    annotator.commit()
    assert clicked(other).previous is None
    assert clicked((other[0] + 2, other[1])).previous is not None
