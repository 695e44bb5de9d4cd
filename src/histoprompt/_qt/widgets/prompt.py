"""The Prompt dock: point at objects, keep them, correct them."""

from __future__ import annotations

from typing import Any, Literal

from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)
from superqt.utils import signals_blocked

from histoprompt._qt import messages
from histoprompt._qt.annotator import Annotator
from histoprompt._qt.corrections import Corrections
from histoprompt._qt.keys import bind_keys
from histoprompt._qt.prompt_params import PromptParams
from histoprompt._qt.widgets.base import Dock, row
from histoprompt._qt.widgets.panels import ImagePanel, ModelPanel
from histoprompt.core.task import Progress

FOLLOW_MS = 300
HINT = "Choose a tool and point at an object."
_TOOLS = {
    "click +": ("Click +", "Click inside the object"),
    "click -": ("Click −", "Click what is not part of it (T switches; Control-click does it once)"),
    "scribble +": ("Scribble +", "Paint inside the object"),
    "scribble -": ("Scribble −", "Paint what is not part of it (T switches)"),
    "box": ("Box", "Drag a box around the object"),
}
_ACTIONS = {
    "commit": ("Commit (C)", "Keep the object and go on to the next"),
    "clear": ("Clear (Shift+C)", "Forget the prompts and the preview"),
    "undo": ("Undo", "Ctrl+Z: the last prompt, then the last edit of labels"),
    "redo": ("Redo", "Ctrl+Shift+Z"),
    "next_candidate": ("Other mask (N)", "The model's next best answer"),
    "find_all": (
        "All nuclei here",
        "Find and commit every nucleus in the drawn box, or else in view, not committed yet",
    ),
}
_CORRECTIONS = {
    "paint": ("Paint", "Paint committed objects with napari's brush"),
    "erase": ("Erase", "Erase from committed objects"),
    "merge": ("Merge", "Click objects one after another to join them (or Alt-click)"),
    "delete": ("Delete", "Click objects to remove them (or Control-click)"),
}


class PromptDock(Dock):
    """Choose an image and a model, prompt, preview, commit, correct."""

    def value(self) -> PromptParams:
        """What the rows say."""
        rule: Literal["keep", "overwrite"] = "overwrite" if self._rule.currentIndex() else "keep"
        return PromptParams(
            rule=rule,
            each_box=self._each_box.isChecked(),
            outline=self._outline.isChecked(),
            class_name=self._class.text().strip(),
        )

    def set_value(self, params: PromptParams) -> None:
        """Show these values in the rows."""
        self._rule.setCurrentIndex(int(params.rule == "overwrite"))
        self._each_box.setChecked(params.each_box)
        self._outline.setChecked(params.outline)
        self._class.setText(params.class_name)

    def choose(self, tool: str) -> None:
        """Press a tool's button: "click +", "scribble -", "box" ..."""
        self._tools[tool].click()

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self._bound: Annotator | None = None
        self._corrections: Corrections | None = None
        self.images, self.models = ImagePanel(self.viewer), ModelPanel(self.session.jobs)
        self._follow = QTimer(self, singleShot=True, interval=FOLLOW_MS)
        self._tools = {name: _button(*words, checkable=True) for name, words in _TOOLS.items()}
        self._actions = {name: _button(*words) for name, words in _ACTIONS.items()}
        self._correct = {
            name: _button(*words, checkable=name in ("merge", "delete"))
            for name, words in _CORRECTIONS.items()
        }
        # One group: of all the checkable tools at most one is down.
        self._group = QButtonGroup(self)
        for button in (*self._tools.values(), self._correct["merge"], self._correct["delete"]):
            self._group.addButton(button)
        self._each_box = QCheckBox("Each box is an object")
        self._outline = QCheckBox(
            "Outline nuclei", toolTip="Find the nuclei in view ahead; a click on one takes it"
        )
        layout = QVBoxLayout(self.content)
        layout.addWidget(self.images)
        layout.addWidget(self.models)
        layout.addWidget(QLabel("<b>Prompt</b>"))
        layout.addLayout(_grid([*self._tools.values(), self._each_box, self._outline]))
        layout.addWidget(QLabel("<b>Keep</b>"))
        layout.addLayout(self._options())
        layout.addLayout(_grid(list(self._actions.values())))
        layout.addWidget(QLabel("<b>Correct</b>"))
        layout.addLayout(_grid(list(self._correct.values())))
        self.foot.addLayout(self._report())
        layout.addStretch(1)

    def _options(self) -> QFormLayout:
        self._class = QLineEdit(placeholderText="none")
        self._rule = QComboBox()
        self._rule.addItems(["keep what is there", "overwrite what is there"])
        form = QFormLayout()
        form.addRow("Class", self._class)
        form.addRow("Overlap", self._rule)
        return form

    def _report(self) -> QVBoxLayout:
        self._status = QLabel(HINT, wordWrap=True)
        self._bar, self._cancel = QProgressBar(), QPushButton("Cancel")
        self._busy = row(self._bar, self._cancel)
        self._busy.setVisible(False)
        box = QVBoxLayout()
        box.addWidget(self._status)
        box.addWidget(self._busy)
        return box

    def _connect(self) -> None:
        self.images.chosen.connect(self._on_image)
        self.images.mpp_typed.connect(self._on_mpp)
        self.models.chosen.connect(self._on_model)
        self.models.refused.connect(self._say)
        self._rule.currentIndexChanged.connect(self._on_params)
        self._each_box.toggled.connect(self._on_params)
        self._outline.toggled.connect(self._on_params)
        self._class.textChanged.connect(self._on_params)
        self._group.buttonClicked.connect(self._on_tool)
        for name in ("paint", "erase"):
            self._correct[name].clicked.connect(self._on_brush)
        for button in (*self._actions.values(), self._cancel):
            button.clicked.connect(self._on_action)
        self._follow.timeout.connect(self._on_followed)
        self.link(self.session.annotating, self._bind)
        self.link(self.session.failed, self._on_failed)
        self.link(self.session.weights_changed, self.models.refresh)
        self.link(self.viewer.layers.events.inserted, self._on_layers)
        self.link(self.viewer.layers.events.removed, self._on_layer_gone)
        self.link(self.viewer.scene.camera.events, self._on_camera)

    def _start(self) -> None:
        self._on_layers()
        self._bind()

    # -- what the user does ------------------------------------------------------------------

    def _on_layers(self, event: object = None) -> None:
        """Offer the images there are; the first one is taken at once."""
        inserted = getattr(event, "value", None)
        images = self.images.images
        if self.session.annotator is None and len(images) == 1 and inserted in (None, images[0]):
            self.session.annotate(images[0])
        chosen = self.session.annotator
        self.images.refill(chosen.image if chosen else None)

    def _on_layer_gone(self, _: object = None) -> None:
        chosen = self.session.annotator
        self.images.refill(chosen.image if chosen else None)

    def _on_image(self, image: Image | None) -> None:
        self.session.annotate(image)

    def _on_mpp(self, mpp: float) -> None:
        if self._bound is not None:
            self._bound.set_mpp(mpp)
            self.images.show_slide(self._bound.slide)

    def _on_model(self) -> None:
        if self._bound is not None:
            self._bound.use(self.models.card, self.models.weights)

    def _on_params(self) -> None:
        if self._bound is not None:
            self._bound.set_params(self.value())

    def _on_tool(self, button: QPushButton) -> None:
        if self._bound is None or self._corrections is None:
            self._say("Open a slide first: File > Open Sample > histoprompt has one.")
            return
        name = _name_of(button, {**self._tools, **self._correct})
        self._corrections.choose(name if name in ("merge", "delete") else "off")  # type: ignore[arg-type]
        if name in self._tools:
            self._bound.prompts.choose(name)

    def _on_brush(self) -> None:
        if self._bound is None or self._corrections is None:
            return
        self._corrections.choose("off")
        self._release_tools()
        layer = self._bound.committed.layer
        self.viewer.layers.selection.active = layer
        layer.mode = "erase" if self.sender() is self._correct["erase"] else "paint"

    def _on_action(self) -> None:
        if self._bound is None:
            return
        button = self.sender()
        name = "cancel" if button is self._cancel else _name_of(button, self._actions)
        getattr(self._bound, name)()

    def _on_camera(self, _: object) -> None:
        self._follow.start()

    def _on_followed(self) -> None:
        if self._bound is not None:
            self._bound.follow_view()

    # -- what is shown -----------------------------------------------------------------------

    def _bind(self) -> None:
        """Serve the session's annotator, which may be a new one or none."""
        annotator, params = self.session.annotator, self.value()
        self._bound = annotator
        self.images.refill(annotator.image if annotator else None)
        self.images.show_slide(annotator.slide if annotator else None)
        self._busy.setVisible(False)
        if annotator is None:
            self._corrections = None
            self._say(self.session.reason or "Open a slide, or choose an image.")
            return
        self._corrections = Corrections(annotator)
        self.link(annotator.status, self._say)
        self.link(annotator.failed, self._on_failed)
        self.link(annotator.progress, self._on_progress)
        self.link(annotator.changed, self._on_changed)
        bind_keys(annotator, self._toggle)
        annotator.use(self.models.card, self.models.weights)
        annotator.set_params(params)
        self._tools["click +"].setChecked(True)
        annotator.prompts.choose("click +")
        count = annotator.store.count
        self._say(f"{count} objects restored. {HINT}" if count else HINT)
        self._on_changed()

    def _toggle(self) -> None:
        if self._bound is not None:
            self._tools[self._bound.prompts.toggle()].setChecked(True)

    def _release_tools(self) -> None:
        self._group.setExclusive(False)
        for button in self._group.buttons():
            button.setChecked(False)
        self._group.setExclusive(True)

    def _say(self, text: str) -> None:
        self._status.setText(text)
        self._busy.setVisible(False)

    def _on_failed(self, text: str) -> None:
        self._say(text)
        messages.show_error(text)

    def _on_progress(self, progress: Progress) -> None:
        self._busy.setVisible(progress.done < progress.total)
        self._bar.setMaximum(progress.total)
        self._bar.setValue(progress.done)

    def _on_changed(self) -> None:
        ready = self._bound is not None
        with signals_blocked(self._outline):
            self._outline.setChecked(ready and self._bound.nuclei.layer.visible)
        self._actions["commit"].setEnabled(ready and self._bound.preview.shown)
        self._actions["next_candidate"].setEnabled(ready and self._bound.preview.candidates > 1)


def _button(text: str, tip: str, checkable: bool = False) -> QPushButton:
    return QPushButton(text, toolTip=tip, checkable=checkable)


def _grid(widgets: list[Any]) -> QGridLayout:
    grid = QGridLayout()
    for i, widget in enumerate(widgets):
        grid.addWidget(widget, i // 2, i % 2)
    return grid


def _name_of(button: object, buttons: dict[str, QPushButton]) -> str:
    return next(name for name, known in buttons.items() if known is button)
