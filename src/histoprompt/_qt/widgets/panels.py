"""Rows that several docks have: which image, which model."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QPushButton,
    QWidget,
)
from superqt.utils import signals_blocked

from histoprompt._qt.shell.jobs import Jobs
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Dock, row
from histoprompt._qt.widgets.number_box import NumberBox
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.errors import WeightsError
from histoprompt.core.prompts.prompt import KIND_WORDS
from histoprompt.core.strings.typed_numbers import COARSEST_UM, FINEST_UM
from histoprompt.core.task import Task
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard, Role


class ImagePanel(QWidget):
    """Which image is worked on, and its pixel size: shows the session's slide, and chooses it.

    Parameters
    ----------
    dock : Dock
        Whose row it is.
    pixel_size : bool
        Whether to have a row for it.
    """

    def __init__(self, dock: Dock, pixel_size: bool = True) -> None:
        super().__init__()
        self._slide = dock.session.slide
        self._combo = narrow_combo()
        self._mpp = NumberBox((FINEST_UM, COARSEST_UM), decimals=4, maximum=1e5, singleStep=0.01)
        self._mpp.setSpecialValueText("not known")
        self._mpp.setSuffix(" µm")  # no more, or the number is cut off in a narrow dock
        self._mpp.setToolTip(
            f"Microns per pixel, {FINEST_UM:g} to {COARSEST_UM:g}: 0.25 at 40x, 0.5 at 20x"
        )
        self._source = QLabel(wordWrap=True)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Image", self._combo)
        sized = row(self._mpp, self._source)
        form.addRow("Pixel size", sized)
        form.setRowVisible(sized, pixel_size)
        self._combo.activated.connect(self._on_chosen)
        self._mpp.valueChanged.connect(self._on_mpp)
        self._mpp.refused.connect(self._source.setText)
        for signal in (self._slide.changed, dock.viewer.layers.events.inserted):
            dock.link(signal, self._refill)
        dock.link(dock.viewer.layers.events.removed, self._refill)
        dock.link(self._slide.changed, self._show_size)
        dock.link(self._slide.measured, self._show_size)
        self._refill()
        self._show_size()

    @property
    def images(self) -> list[Image]:
        """The images that can be chosen."""
        return self._slide.images

    def _refill(self, _: object = None) -> None:
        """List the image layers anew."""
        chosen = self._slide.image
        with signals_blocked(self._combo):
            self._combo.clear()
            self._combo.addItems([layer.name for layer in self.images])
            index = self.images.index(chosen) if chosen in self.images else -1
            self._combo.setCurrentIndex(index)
        self._combo.setPlaceholderText("open a slide" if not self.images else "choose an image")

    def _show_size(self) -> None:
        """Show the slide's pixel size and who stated it."""
        slide = self._slide.slide
        with signals_blocked(self._mpp):
            self._mpp.setValue((slide and slide.mpp) or 0.0)
        stated = "" if slide is None or slide.mpp_source != "file" else "The file states it."
        allow(self._mpp, "Open a slide first." if slide is None else stated)
        source = slide.mpp_source if slide else None
        self._source.setText(
            {"file": "from the file", "typed": "typed"}.get(source or "", "type it")
        )

    def _on_chosen(self, index: int) -> None:
        self._slide.choose(self.images[index] if 0 <= index < len(self.images) else None)

    def _on_mpp(self, value: float) -> None:
        if value > 0:
            self._slide.set_mpp(value)


class ModelPanel(QWidget):
    """Which model of a role is used, what it takes, and whether its weights are here.

    Parameters
    ----------
    jobs : Jobs
        Look at a file before it is chosen.
    role : Role, or several
    default : str
        Id of the model chosen first.

    Attributes
    ----------
    chosen : Signal
        Another model or weights file was chosen: read `card` and `weights`.
    refused : Signal(str)
        Why a weights file was not chosen; what was chosen before stays.
    """

    chosen = Signal()
    refused = Signal(str)

    def __init__(
        self, jobs: Jobs, role: Role | tuple[Role, ...] = "prompt", default: str = registry.DEFAULT
    ) -> None:
        super().__init__()
        self._jobs = jobs
        roles = (role,) if isinstance(role, str) else role
        self._cards = [card for card in registry.all_cards() if card.role in roles]
        self._files: dict[str, Path] = {}
        self._combo, self._note = narrow_combo(), NoteLabel()
        # What a title says in brackets stands in the note below; here it would be cut off.
        self._combo.addItems([card.short_title for card in self._cards])
        self._combo.setCurrentIndex([card.id for card in self._cards].index(default))
        self._browse = QPushButton("File...", toolTip="Use a weights file of your own")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Model", row(self._combo, self._browse))
        form.addRow(self._note)
        self._combo.activated.connect(self._on_chosen)
        self._browse.clicked.connect(self._on_browse)
        self._describe()

    @property
    def card(self) -> ModelCard:
        """The chosen model."""
        return self._cards[self._combo.currentIndex()]

    @property
    def weights(self) -> Path | None:
        """The user's own file for it, if one was chosen."""
        return self._files.get(self.card.id)

    def choose(self, model_id: str, file: Path | None = None) -> None:
        """Choose a model by its id, with a weights file of the user's own if given."""
        self._combo.setCurrentIndex([card.id for card in self._cards].index(model_id))
        if file is not None:
            self._files[model_id] = file
        self._on_chosen()

    def refresh(self) -> None:
        """Say anew whether the weights are there."""
        self._describe()

    def _on_browse(self) -> None:
        title = f"Weights for {self.card.title}"
        name, _ = QFileDialog.getOpenFileName(
            self, title, "", "Weights (*.pth *.pt *.bin *.safetensors)"
        )
        if name:
            self._note.setText(f"Looking at {Path(name).name} ...")
            self._jobs.submit(
                partial(_examine, self.card, Path(name)),
                lane="files",
                key=f"file for {self.card.role}",
                title=f"Looking at {Path(name).name}",
                on_done=self._on_examined,
                on_error=self._on_refused,
                on_cancel=self._describe,
                aside=True,
            )

    def _on_examined(self, found: tuple[str, Path]) -> None:
        """The file is its model's from now on, which need not be the chosen one any more."""
        model_id, path = found
        self._files[model_id] = path
        if model_id == self.card.id:
            self._on_chosen()

    def _on_refused(self, text: str) -> None:
        self._describe()
        self.refused.emit(text)

    def _on_chosen(self) -> None:
        self._describe()
        self.chosen.emit()

    def _describe(self) -> None:
        text = _takes(self.card)
        if self.weights is not None:
            text += f" Weights: {self.weights.name}."
        elif not weights.locate(self.card).present:
            text += (
                f" <b>Weights missing:</b> see the Models dock, or give the file {self._file()}."
            )
        self._note.setText(text)

    def _file(self) -> str:
        return self.card.weights.filename if self.card.weights else ""


def _examine(card: ModelCard, path: Path, task: Task) -> tuple[str, Path]:
    """The model's id and the file, if the file is one for the model."""
    if weights.verify(card, path, task).state == "unneeded":
        raise WeightsError(f"{card.title} needs no weights: {path.name} is for another model.")
    return card.id, path


def _takes(card: ModelCard) -> str:
    """What a model takes, in a sentence."""
    if card.role == "text":
        return f"Knows {', '.join(card.words)}." if card.words else "Takes any words."
    if card.role != "prompt":
        return " ".join(filter(None, (card.description, card.robustness_text)))
    kinds = [name for kind, name in KIND_WORDS.items() if kind in card.accepts]
    takes = " and ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1])))
    if "point" in card.accepts:
        return f"Takes {takes}."
    return f"Takes {takes}. Clicks and scribbles become a box, shown in orange."


def narrow_combo(letters: int = 14) -> QComboBox:
    """A combo box that does not grow with its longest entry."""
    combo = QComboBox()
    policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    combo.setSizeAdjustPolicy(policy)
    combo.setMinimumContentsLength(letters)
    return combo
