"""Words that a model cannot know, typed again."""

from __future__ import annotations

import pytest
from qtpy.QtTest import QTest

from histoprompt._qt.text.words import WordsPanel

pytestmark = pytest.mark.gui


@pytest.fixture
def words(qtbot) -> WordsPanel:
    panel = WordsPanel()
    qtbot.addWidget(panel)
    return panel


def test_a_refused_word_is_replaced_by_the_next_one(words):
    QTest.keyClicks(words._line, "granuloma")
    assert words.take_line()
    words.take_back("granuloma")
    assert words.texts == ()
    QTest.keyClicks(words._line, "tumor")
    assert words._line.text() == "tumor"


def test_a_word_that_is_being_typed_stays(words):
    QTest.keyClicks(words._line, "granuloma")
    words.take_line()
    QTest.keyClicks(words._line, "tum")
    words.take_back("granuloma")
    QTest.keyClicks(words._line, "or")
    assert (words.texts, words._line.text()) == ((), "tumor")


def test_of_two_words_the_refused_one_is_taken_back(words):
    for word in ("granuloma | giant cells", "fat"):
        QTest.keyClicks(words._line, word)
        words.take_line()
    assert words.named(["granuloma"]) == ("granuloma | giant cells",)
    words.take_back("granuloma | giant cells")
    assert words.texts == ("fat",)
    assert words._line.selectedText() == "granuloma | giant cells"


def test_bars_without_a_word_are_found_again(words):
    """A text without any wording is refused too, and has no name but itself."""
    QTest.keyClicks(words._line, "| |")
    words.take_line()
    assert words.named(["| |"]) == ("| |",)
