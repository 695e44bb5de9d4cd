"""Words that are offered while one types look as the window does."""

from __future__ import annotations

import pytest
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from histoprompt._qt.prompts.class_field import ClassField
from histoprompt._qt.text.words import WordsPanel
from histoprompt._qt.widgets.completing import WordCompleter

pytestmark = pytest.mark.gui

DARK, LIGHT = "#262930", "#efebe9"


@pytest.fixture
def window(qtbot) -> QWidget:
    """A window with a style of its own, as napari's has."""
    made = QWidget()
    QVBoxLayout(made)
    made.setStyleSheet(f"QWidget {{ background-color: {DARK}; color: #f0f1f2; }}")
    qtbot.addWidget(made)
    return made


def shown_in(window: QWidget, widget: QWidget, line: QLineEdit) -> QLineEdit:
    window.layout().addWidget(widget)
    window.show()
    line.setFocus()
    return line


def ground(line: QLineEdit) -> str:
    """The colour that most of the list is painted in."""
    popup = line.completer().popup()
    QTest.qWaitForWindowExposed(popup)
    picture = popup.viewport().grab().toImage()
    colours = [
        picture.pixelColor(x, y).name() for x in range(picture.width() - 4, picture.width() - 1)
        for y in range(picture.height())
    ]  # fmt: skip
    return max(set(colours), key=colours.count)


def typed(line: QLineEdit, text: str) -> None:
    line.clear()
    QTest.keyClicks(line, text)
    assert line.completer().popup().isVisible()


def words_line(window: QWidget) -> QLineEdit:
    panel = WordsPanel()
    panel.offer(["tumour", "stroma", "lymphocyte"])
    return shown_in(window, panel, panel._line)


def class_line(window: QWidget) -> QLineEdit:
    field = ClassField(lambda: None)
    field.offer(["tumour", "stroma"])
    return shown_in(window, field, field)


@pytest.mark.parametrize("make", [words_line, class_line])
def test_offered_words_have_the_colours_of_the_window(window, make):
    line = make(window)
    typed(line, "tum")
    assert ground(line) == DARK
    line.completer().popup().hide()
    window.setStyleSheet(window.styleSheet().replace(DARK, LIGHT))
    typed(line, "str")
    assert ground(line) == LIGHT


def test_words_are_found_by_any_part_of_them(qtbot):
    line = QLineEdit()
    qtbot.addWidget(line)
    completer = WordCompleter(line)
    completer.offer(["Plasma cell", "stroma"])
    completer.setCompletionPrefix("MA C")
    assert completer.currentCompletion() == "Plasma cell"
    assert completer.completionCount() == 1
