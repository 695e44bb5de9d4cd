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
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)
from superqt.utils import signals_blocked

from histoprompt._qt.layers.camera import focus_canvas
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.prompts.class_field import ClassField
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.shell import messages
from histoprompt._qt.shell.docks import open_dock
from histoprompt._qt.shell.keys import bind_keys
from histoprompt._qt.widgets.base import Dock, row
from histoprompt._qt.widgets.keys_help import KeysDock
from histoprompt._qt.widgets.panels import ImagePanel, ModelPanel
from histoprompt.core.task import Progress

FOLLOW_MS = 300
HINT = "Choose a tool and point at an object."
FIRST_TOOL = "click +"
_NO_SLIDE = "Open a slide, or choose an image."
_TOOLS = {
    "click +": ("Click +", "Click inside the object (right-click: outside, T switches)"),
    "click -": ("Click −", "Click what is not part of it (T switches; Ctrl+click does it once)"),
    "scribble +": ("Scribble +", "Paint inside the object"),
    "scribble -": ("Scribble −", "Paint what is not part of it (T switches)"),
    "box": ("Box", "Drag a box around the object"),
}
_ACTIONS = {
    "commit": ("Commit (C)", "Keep the object and go on to the next"),
    "clear": ("Clear (Shift+C)", "Forget the prompts and the preview"),
    "undo": ("Undo", "Ctrl+Z: take back what was done last, in any dock"),
    "redo": ("Redo", "Ctrl+Shift+Z: do again what was taken back"),
    "next_candidate": ("Other mask (N)", "The model's next best answer"),
    "find_all": (
        "All nuclei here",
        "Find and commit every nucleus in the drawn box, or else in view, not committed yet",
    ),
}
_CORRECTIONS = {
    "paint": (
        "Paint",
        "Each stroke makes an object; Shift+click an object to extend it; [ and ] size the brush",
    ),
    "erase": ("Erase", "Erase from committed objects"),
    "merge": ("Merge", "Click objects one after another to join them (or Alt+click)"),
    "delete": ("Delete", "Click objects to remove them (or Ctrl+click)"),
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
        """Press a tool's button: "click +", "scribble -", "box", "paint" ..."""
        self._modes[tool].click()

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self._bound: Annotator | None = None
        self._shown_tool = ""
        self.images, self.models = ImagePanel(self.viewer), ModelPanel(self.session.jobs)
        self._follow = QTimer(self, singleShot=True, interval=FOLLOW_MS)
        # napari selects a new image after telling of it, so tools are chosen once that is over.
        self._wake = QTimer(self, singleShot=True, interval=0)
        self._tools = {name: _button(*words, checkable=True) for name, words in _TOOLS.items()}
        self._actions = {name: _button(*words) for name, words in _ACTIONS.items()}
        self._correct = {
            name: _button(*words, checkable=True) for name, words in _CORRECTIONS.items()
        }
        self._modes = {**self._tools, **self._correct}
        # One group: of all the checkable tools at most one is down.
        self._group = QButtonGroup(self)
        for button in self._modes.values():
            self._group.addButton(button)
        self._each_box = QCheckBox("Each box is an object")
        self._outline = QCheckBox(
            "Outline nuclei", toolTip="Find the nuclei in view ahead; a click on one takes it"
        )
        self._lines = QCheckBox("Outlines only (O)", toolTip="Show committed objects as outlines")
        self._hidden = QCheckBox("Hide (H)", toolTip="Hide the committed objects")
        self._keys = _button("Keys ...", "Every key and mouse gesture")
        layout = QVBoxLayout(self.content)
        layout.addWidget(self.images)
        layout.addWidget(self.models)
        layout.addWidget(QLabel("<b>Prompt</b>"))
        layout.addLayout(_grid([*self._tools.values(), self._each_box, self._outline]))
        layout.addWidget(QLabel("<b>Keep</b>"))
        layout.addLayout(self._options())
        layout.addLayout(_grid(list(self._actions.values())))
        layout.addWidget(QLabel("<b>Correct</b>"))
        layout.addLayout(_grid([*self._correct.values(), self._lines, self._hidden, self._keys]))
        self.foot.addLayout(self._report())
        layout.addStretch(1)

    def _options(self) -> QFormLayout:
        self._class = ClassField(self._leave_field)
        self._rule = QComboBox()
        self._rule.setAccessibleName("Overlap")
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
        self._class.doubted.connect(self._say)
        self._group.buttonClicked.connect(self._on_tool)
        self._lines.clicked.connect(self._on_lines)
        self._hidden.clicked.connect(self._on_hidden)
        self._keys.clicked.connect(self._on_keys)
        self._wake.timeout.connect(self._on_wake)
        for button in (*self._actions.values(), self._cancel):
            button.clicked.connect(self._on_action)
        self._follow.timeout.connect(self._on_followed)
        self.link(self.session.annotating, self._bind)
        self.link(self.session.failed, self._say)
        self.link(self.session.weights_changed, self.models.refresh)
        self.link(self.viewer.layers.events.inserted, self._on_layers)
        self.link(self.viewer.layers.events.removed, self._on_layer_gone)
        self.link(self.viewer.scene.camera.events, self._on_camera)
        self.link(self.viewer.layers.selection.events.active, self._on_active)
        self.link(self.session.steps.told, self._say)

    def _start(self) -> None:
        self._on_layers()
        if self._bound is None:
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
            self._say(f"The pixel size is {mpp:g} µm per pixel, as typed. {HINT}")

    def _on_model(self) -> None:
        if self._bound is not None:
            self._bound.use(self.models.card, self.models.weights)

    def _on_params(self) -> None:
        if self._bound is not None:
            self._bound.set_params(self.value())

    def _on_tool(self, button: QPushButton) -> None:
        if self._bound is not None:
            self._bound.choose(_name_of(button, self._modes))
            self._show_tool()

    def _on_lines(self, on: bool) -> None:
        if self._bound is not None:
            self._bound.committed.outline(on)

    def _on_hidden(self) -> None:
        if self._bound is not None:
            self._bound.hide()

    def _on_keys(self) -> None:
        open_dock(self.viewer, "Keys", KeysDock)

    def _leave_field(self) -> None:
        focus_canvas(self.viewer)

    def _on_wake(self) -> None:
        """After a slide was opened or chosen: the first click is a prompt."""
        if self._bound is not None and not self._bound.tool:
            self._bound.prompts.choose(FIRST_TOOL)
        self._show_tool()

    def _on_active(self, _: object = None) -> None:
        self._show_tool()

    def _on_action(self) -> None:
        if self._bound is None:
            return
        button = self.sender()
        if button is self._cancel:
            self._cancel.setEnabled(False)
            self._bound.cancel()
        else:
            getattr(self._bound, _name_of(button, self._actions))()

    def _on_camera(self, _: object) -> None:
        self._follow.start()

    def _on_followed(self) -> None:
        if self._bound is not None:
            self._bound.follow_view()

    # -- what is shown -----------------------------------------------------------------------

    def _bind(self) -> None:
        """Serve the session's annotator, which may be a new one or none."""
        annotator, params = self.session.annotator, self.value()
        self._bound, self._shown_tool = annotator, ""
        self.images.refill(annotator.image if annotator else None)
        self.images.show_slide(annotator.slide if annotator else None)
        for widget in (*self._modes.values(), *self._actions.values(), *self._options_shown):
            widget.setEnabled(annotator is not None)
        if annotator is None:
            self._show_tool()
            self._say(self.session.reason or _NO_SLIDE)
            return
        self._link_to(annotator)
        annotator.use(self.models.card, self.models.weights)
        annotator.set_params(params)
        annotator.committed.outline(self._lines.isChecked())
        annotator.prompts.choose(FIRST_TOOL)
        self._wake.start()
        self._greet(annotator)
        self._on_changed()

    def _link_to(self, annotator: Annotator) -> None:
        self.link(annotator.status, self._say)
        self.link(annotator.failed, self._on_failed)
        self.link(annotator.progress, self._on_progress)
        self.link(annotator.changed, self._on_changed)
        for layer in (*annotator.prompts.all, annotator.committed.layer):
            self.link(layer.events.mode, self._on_active)
        bind_keys(annotator, self._toggle)

    def _greet(self, annotator: Annotator) -> None:
        """Say what there is on a slide already."""
        count = annotator.store.count
        restored = f"{messages.many(count, 'object')} restored. " if count else ""
        self._say(f"On {annotator.image.name}: {restored}{HINT}")
        unfinished = self.session.take_unfinished()
        if unfinished is not None:
            annotator.take_up(unfinished)

    @property
    def _options_shown(self) -> tuple[Any, ...]:
        return self._each_box, self._outline, self._lines, self._hidden, self._class, self._rule

    def _toggle(self) -> None:
        if self._bound is not None:
            self._bound.choose(self._bound.prompts.toggle())
            self._show_tool()

    def _show_tool(self) -> None:
        """Press the button of the tool that clicks go to, and no other."""
        bound = self._bound
        if bound is not None and bound.corrections.pressing:
            return
        if bound is not None:
            bound.leave_mode()
        tool = bound.tool if bound is not None else ""
        self._group.setExclusive(False)
        for name, button in self._modes.items():
            button.setChecked(name == tool)
        self._group.setExclusive(True)
        active = self.viewer.layers.selection.active
        if active is None:  # so it is for a moment whenever another layer is selected
            return
        before, self._shown_tool = self._shown_tool, tool
        if before and not tool and bound is not None:
            self._say(f"No tool is active: the layer {active.name} is selected. Press a tool.")

    def _say(self, text: str) -> None:
        """Write the status line, here alone, and show whether there is work to wait for."""
        self._status.setText(text)
        busy = self._bound is not None and self._bound.busy
        if busy and not self._busy.isVisibleTo(self):
            self._bar.setRange(0, 1)
            self._bar.setValue(0)
            self._cancel.setEnabled(True)
        self._busy.setVisible(busy)

    def _on_failed(self, text: str) -> None:
        self._say(text)
        messages.show_error(text)

    def _on_progress(self, progress: Progress) -> None:
        self._bar.setRange(0, max(1, progress.total))
        self._bar.setValue(progress.done)

    def _on_changed(self) -> None:
        bound = self._bound
        if bound is None:
            return
        layer = bound.committed.layer
        shown = {
            self._outline: bound.nuclei.layer.visible,
            self._lines: bound.committed.outlined,
            self._hidden: not layer.visible,
        }
        for box, checked in shown.items():
            with signals_blocked(box):
                box.setChecked(checked)
        self._actions["commit"].setEnabled(bound.preview.shown or bound.segmenting.active)
        self._actions["next_candidate"].setEnabled(bound.preview.candidates > 1)
        self._class.offer(bound.committed.class_names)
        self._follow.start()  # what was in hand may have held the work area where it was


def _button(text: str, tip: str, checkable: bool = False) -> QPushButton:
    button = QPushButton(text, toolTip=tip, checkable=checkable)
    button.setAccessibleName(text)
    button.setAccessibleDescription(tip)
    return button


def _grid(widgets: list[Any]) -> QGridLayout:
    grid = QGridLayout()
    for i, widget in enumerate(widgets):
        grid.addWidget(widget, i // 2, i % 2)
    return grid


def _name_of(button: object, buttons: dict[str, QPushButton]) -> str:
    return next(name for name, known in buttons.items() if known is button)
