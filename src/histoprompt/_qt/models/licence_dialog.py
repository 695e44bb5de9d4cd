"""The page with a model's terms, which the user accepts before its weights are fetched."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QTextBrowser, QVBoxLayout, QWidget

from histoprompt.models.card import ModelCard
from histoprompt.models.weights import licence

_LINK = re.compile(r"https?://[^\s<>]+[^\s<>.,;)]")


class LicenceDialog(QDialog):
    """Shows terms; accepting records them.

    Parameters
    ----------
    cards : sequence of ModelCard
        Models whose terms are to be accepted.
    parent : QWidget
        Above which it is shown.
    """

    def __init__(self, cards: Sequence[ModelCard], parent: QWidget) -> None:
        super().__init__(parent)
        self._cards = cards
        self.setWindowTitle("Terms of use")
        self._text = QTextBrowser()
        self._text.setOpenExternalLinks(True)
        self._text.setHtml("<hr>".join(_as_html(licence.page(card)) for card in cards))
        self._buttons = QDialogButtonBox()
        self._buttons.addButton("Accept", QDialogButtonBox.ButtonRole.AcceptRole)
        self._buttons.addButton("Do not accept", QDialogButtonBox.ButtonRole.RejectRole)
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel("Read these terms before the weights are put in place."))
        layout.addWidget(self._text)
        layout.addWidget(self._buttons)
        self.resize(560, 320)

    @property
    def text(self) -> str:
        """What is shown."""
        return self._text.toPlainText()

    def accept(self) -> None:
        """Record that the terms were accepted."""
        for card in self._cards:
            licence.accept(card)
        super().accept()


def _as_html(page: str) -> str:
    title, *lines = page.splitlines()
    text = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    # napari's dark themes have no colour of their own for links.
    link = '<a style="color: #6ea8fe" href="{0}">{0}</a>'
    linked = _LINK.sub(lambda found: link.format(found[0]), text)
    return f"<h3>{html.escape(title)}</h3>{linked}"
