"""The texts of the Text dock: typed, listed, chosen, removed."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QLineEdit,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import row
from histoprompt._qt.widgets.completing import WordCompleter

_LIST_HEIGHT = 74
_EXAMPLE = "a word, such as tumour | carcinoma"
_NO_TEXT = "Enter a text first: type a word and press Enter."


class WordsPanel(QWidget):
    """Which texts are looked for, what they are held against, and which of them is shown.

    Attributes
    ----------
    changed : Signal
        Other texts or contrasts.
    chosen : Signal(str)
        The name of the text to show.
    typed : Signal
        A person types a word.
    drafting : Signal(str)
        Wordings are wanted of a class: the word that is typed, or the text that is selected.
    """

    changed = Signal()
    chosen = Signal(str)
    typed = Signal()
    drafting = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._line, self._contrasts = QLineEdit(), QLineEdit()
        self._offered = WordCompleter(self._line)
        self._line.setPlaceholderText(_EXAMPLE)
        self._line.setToolTip("One text at a time; a bar gives it another name: tumour | carcinoma")
        self._contrasts.setPlaceholderText("the usual tissues")
        self._contrasts.setToolTip("What the texts are held against, with commas between")
        self._add = QPushButton("Add", toolTip="Look for this text too (Enter)")
        self._draft = QPushButton("Draft...", toolTip="Other wordings of it, to tick")
        self._remove = QPushButton("Remove", toolTip="Look no more for the text that is selected")
        self._list = QListWidget()
        self._list.setFixedHeight(_LIST_HEIGHT)
        self._list.setToolTip("Texts compete with each other; select the one to show")
        form = QFormLayout()
        form.addRow("Words", row(self._line, self._add))
        form.addRow("Texts", row(self._list, self._remove))
        form.addRow("Against", row(self._contrasts, self._draft))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        self._line.returnPressed.connect(self._on_add)
        self._line.textEdited.connect(self.typed)
        self._add.clicked.connect(self._on_add)
        self._remove.clicked.connect(self._on_remove)
        self._draft.clicked.connect(self._on_draft)
        self._contrasts.editingFinished.connect(self._on_contrasts)
        self._list.currentRowChanged.connect(self._on_row)
        self._said = self.contrasts
        self._on_row(-1)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, each with its other names after bars."""
        return tuple(self._list.item(i).text() for i in range(self._list.count()))

    @property
    def contrasts(self) -> tuple[str, ...]:
        """What the texts are held against; empty for the usual tissues."""
        return tuple(t.strip() for t in self._contrasts.text().split(",") if t.strip())

    def set_value(self, texts: Sequence[str], contrasts: Sequence[str] = ()) -> None:
        """Show these, the last text selected."""
        with signals_blocked(self._list):
            self._list.clear()
            self._list.addItems(list(texts))
            self._list.setCurrentRow(len(texts) - 1)
        self._contrasts.setText(", ".join(contrasts))
        self._said = self.contrasts
        allow(self._remove, "" if texts else _NO_TEXT)

    def select(self, name: str) -> None:
        """Select the text of this name, without telling of it."""
        names = [_name(text) for text in self.texts]
        with signals_blocked(self._list):
            self._list.setCurrentRow(names.index(name) if name in names else -1)

    def offer(self, words: Sequence[str]) -> None:
        """Offer these words while a text is typed."""
        self._offered.offer(words)

    def take_line(self, tell: bool = True) -> bool:
        """Add what is typed to the list, and tell of it; False if nothing new is."""
        text = self._line.text().strip()
        self._line.clear()
        if not text or _name(text) in [_name(known) for known in self.texts]:
            return False
        self.set_value((*self.texts, text), self.contrasts)
        if tell:
            self.changed.emit()
        return True

    def named(self, names: Sequence[str]) -> tuple[str, ...]:
        """The texts in the list that are of these names, in its order."""
        wanted = {_name(name) for name in names}
        return tuple(text for text in self.texts if _name(text) in wanted)

    def put(self, text: str, phrase: str) -> bool:
        """Put a text in place of another one; False if it is there already."""
        others = [known for known in self.texts if known != phrase]
        new = _name(text) not in [_name(known) for known in others]
        self.set_value([*others, text] if new else others, self.contrasts)
        return new

    def take_back(self, text: str) -> None:
        """Put a text of the list back into the line, selected: typing replaces it."""
        if text not in self.texts:
            return
        if not self._line.text():  # else somebody is typing the next one already
            self._line.setText(text)
            self._line.setFocus()
            self._line.selectAll()
        self.set_value([known for known in self.texts if known != text], self.contrasts)

    def _on_add(self) -> None:
        self.take_line()

    def _on_remove(self) -> None:
        left = [text for i, text in enumerate(self.texts) if i != self._list.currentRow()]
        self.set_value(left, self.contrasts)
        self.changed.emit()

    def _on_draft(self) -> None:
        item = self._list.currentItem()
        self.drafting.emit(
            self._line.text().strip() or ("" if item is None else _name(item.text()))
        )

    def _on_contrasts(self) -> None:
        if self.contrasts != self._said:
            self._said = self.contrasts
            self.changed.emit()

    def _on_row(self, index: int) -> None:
        allow(self._remove, "" if index >= 0 else _NO_TEXT)
        if index >= 0:
            self.chosen.emit(_name(self.texts[index]))


def _name(text: str) -> str:
    """What the map of a text is called: its first wording; a text without any as it is."""
    wordings = (" ".join(wording.split()) for wording in text.split("|"))
    return next((wording for wording in wordings if wording), text)
