"""Words that a model cannot know, typed again."""

from __future__ import annotations

import pytest
from napari.settings import get_settings
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
    words.take_back()
    assert words.texts == ()
    QTest.keyClicks(words._line, "tumor")
    assert words._line.text() == "tumor"


def test_a_word_that_is_being_typed_stays(words):
    QTest.keyClicks(words._line, "granuloma")
    words.take_line()
    QTest.keyClicks(words._line, "tum")
    words.take_back()
    QTest.keyClicks(words._line, "or")
    assert (words.texts, words._line.text()) == ((), "tumor")


def test_what_is_offered_has_the_colours_of_napari(words, qtbot):
    words.offer(("lymphocyte", "tumour"))
    words.show()
    QTest.keyClicks(words._line, "lym")
    offered = words._line.completer().popup()
    qtbot.waitUntil(offered.isVisible)
    picture = offered.grab().toImage()
    corner = picture.pixelColor(picture.width() - 4, picture.height() - 4)
    assert get_settings().appearance.theme == "dark"
    assert corner.lightness() < 128
