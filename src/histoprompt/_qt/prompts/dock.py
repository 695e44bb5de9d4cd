"""The Prompt dock: point at objects, keep them, correct them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
)
from superqt.utils import signals_blocked

from histoprompt._qt.layers.camera import focus_canvas
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.prompts.annotator import NO_OTHER_MASK, Annotator
from histoprompt._qt.prompts.buttons import ACTIONS, CORRECTIONS, LOOKS, TOOLS
from histoprompt._qt.prompts.class_field import ClassField
from histoprompt._qt.prompts.form_panel import FormPanel
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.shell import messages
from histoprompt._qt.shell.docks import open_dock
from histoprompt._qt.shell.keys import CLICKS, COMMITTED, PROMPTS, SCRIBBLES
from histoprompt._qt.shell.shortcuts import bind_keys
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Dock
from histoprompt._qt.widgets.buttons import box_of, button_of, grid_of, name_of
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.panels import ImagePanel, ModelPanel
from histoprompt._qt.widgets.work_strip import WorkStrip
from histoprompt.core.parameters import field_of
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.objects.reshape import Form
from histoprompt.pipelines.prompts.step import segment_chosen
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.recipe import RecipeStep

FOLLOW_MS = 300
HINT = "Choose a tool and point at an object."
FIRST_TOOL = "click +"
_NO_SLIDE = "Open a slide, or choose an image."
_NOTHING_SHOWN = "Point at an object first: there is nothing to keep."
# Fields with a place of their own: beside the tools, a field that completes, the chosen object.
SHOWN_OTHERWISE = ("each_box", "outline", "class_name", "amount")


class PromptDock(Dock):
    """Choose an image and a model, prompt, preview, commit, correct."""

    def value(self) -> PromptParams:
        """What the rows say."""
        return replace(
            self._form.value(),
            each_box=self._each_box.isChecked(),
            outline=self._outline.isChecked(),
            class_name=self._class.text().strip(),
            amount=self.forms.amount,
        )

    def set_value(self, params: PromptParams) -> None:
        """Show these values in the rows."""
        self._form.set_value(params)
        self._each_box.setChecked(params.each_box)
        self._outline.setChecked(params.outline)
        self._class.setText(params.class_name)
        self.forms.amount = params.amount
        self._on_params()  # the form tells of what a person changes only

    @property
    def annotator(self) -> Annotator | None:
        """What works on the chosen image."""
        return self.annotating.annotator

    def choose(self, tool: str) -> None:
        """Press a tool's button: "click +", "scribble -", "box", "paint" ..."""
        self._modes[tool].click()

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self.annotating = self.session.part(Annotating)
        self._bound: Annotator | None = None
        self._shown_tool, self._asleep = "", ""  # the second: what was said of no tool being active
        self.images, self.models = ImagePanel(self), ModelPanel(self.session.jobs)
        self._follow = QTimer(self, singleShot=True, interval=FOLLOW_MS)
        # napari selects a new image after telling of it, so tools are chosen once that is over.
        self._wake = QTimer(self, singleShot=True, interval=0)
        self._tools = {name: button_of(*words, checkable=True) for name, words in TOOLS.items()}
        self._actions = {name: button_of(*words) for name, words in ACTIONS.items()}
        self._correct = {
            name: button_of(*words, checkable=True) for name, words in CORRECTIONS.items()
        }
        self._modes = {**self._tools, **self._correct}
        # One group: of all the checkable tools at most one is down.
        self._group = QButtonGroup(self)
        for button in self._modes.values():
            self._group.addButton(button)
        self._each_box, self._outline = _box_of("each_box"), _box_of("outline")
        self._lines, self._hidden, self._helpers = (box_of(*words) for words in LOOKS)
        self._keys = button_of("Keys ...", "Every key and mouse gesture")
        self.forms = FormPanel()
        self.forms.amount = PromptParams().amount
        layout = QVBoxLayout(self.content)
        layout.addWidget(self.images)
        layout.addWidget(self.models)
        layout.addWidget(QLabel("<b>Prompt</b>"))
        layout.addLayout(grid_of([*self._tools.values(), self._each_box, self._outline]))
        layout.addWidget(QLabel("<b>Keep</b>"))
        layout.addLayout(self._options())
        layout.addLayout(grid_of(list(self._actions.values())))
        layout.addWidget(QLabel("<b>Correct</b>"))
        looks = self._lines, self._hidden, self._helpers
        layout.addLayout(grid_of([*self._correct.values(), *looks, self._keys]))
        layout.addWidget(QLabel("<b>Chosen object</b>"))
        layout.addWidget(self.forms)
        self.report = WorkStrip(HINT, "Nothing is committed then; prompts stay")
        self._status, self._busy, self._cancel = (
            self.report.status,
            self.report.busy,
            self.report.cancel,
        )
        self.foot.addWidget(self.report)
        self.offer_recipe(self._steps, self._say)
        layout.addStretch(1)

    def _options(self) -> QFormLayout:
        self._class = ClassField(self._leave_field)
        self._form = ParameterForm(PromptParams(), SHOWN_OTHERWISE)
        form = QFormLayout()
        form.addRow("Class", self._class)
        form.addRow(self._form)
        return form

    def _connect(self) -> None:
        self.models.chosen.connect(self._on_model)
        self.models.refused.connect(self._say)
        self._form.changed.connect(self._on_params)
        self._each_box.toggled.connect(self._on_params)
        self._outline.toggled.connect(self._on_params)
        self._class.textChanged.connect(self._on_params)
        self._class.doubted.connect(self._say)
        self._group.buttonClicked.connect(self._on_tool)
        self.forms.changed.connect(self._on_params)
        self.forms.chosen.connect(self._on_form)
        self._lines.clicked.connect(self._on_lines)
        self._hidden.clicked.connect(self._on_hidden)
        self._helpers.toggled.connect(self.session.listed.show_helpers)
        self.link(self.session.listed.switched, self._on_helpers)
        self._keys.clicked.connect(self._on_keys)
        self._wake.timeout.connect(self._on_wake)
        self.report.cancelling.connect(self._on_cancel)
        for button in self._actions.values():
            button.clicked.connect(self._on_action)
        self._follow.timeout.connect(self._on_followed)
        self.link(self.annotating.changed, self._bind)
        self.link(self.session.slide.measured, self._on_measured)
        self.link(self.session.failed, self._say)
        self.link(self.session.noted, self.report.warn)
        self.link(self.session.weights_changed, self.models.refresh)
        self.link(self.viewer.scene.camera.events, self._on_camera)
        self.link(self.viewer.layers.selection.events.active, self._on_active)
        self.link(self.session.steps.told, self._say)
        self.link(self.session.steps.passed, self._on_passed)

    def _start(self) -> None:
        self.annotating.start()
        if self._bound is None:
            self._bind()

    def _steps(self, needs: Needs) -> list[RecipeStep]:
        """Segmenting what is prompted now."""
        objects = [] if self._bound is None else self._bound.hand.objects
        chosen = segment_chosen(objects, self.models.card.id, self.models.weights, needs)
        return [RecipeStep("segment", chosen)]

    # -- what the user does ------------------------------------------------------------------

    def _on_measured(self) -> None:
        slide = self.session.slide.slide
        if slide is not None:
            self.forms.show_unit(slide.mpp)
            self._say(f"The pixel size is {slide.mpp:g} µm per pixel, as typed. {HINT}")

    def _on_model(self) -> None:
        if self._bound is not None:
            self._bound.use(self.models.card, self.models.weights)

    def _on_params(self) -> None:
        if self._bound is not None:
            self._bound.set_params(self.value())

    def _on_tool(self, button: QPushButton) -> None:
        if self._bound is not None:
            self._bound.choose(name_of(button, self._modes))
            self._show_tool()

    def _on_form(self, form: Form) -> None:
        if self._bound is not None:
            self._bound.edits.reshape(form)

    def _on_lines(self, on: bool) -> None:
        if self._bound is not None:
            self._bound.committed.outline(on)

    def _on_hidden(self) -> None:
        if self._bound is not None:
            self._bound.hide()

    def _on_helpers(self, on: bool) -> None:
        self._helpers.setChecked(on)

    def _on_keys(self) -> None:
        open_dock(self.viewer, "Keys")

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
        if self._bound is not None:
            getattr(self._bound, name_of(self.sender(), self._actions))()

    def _on_cancel(self) -> None:
        if self._bound is not None:
            self._bound.cancel()

    def _on_camera(self, _: object) -> None:
        self._follow.start()

    def _on_followed(self) -> None:
        if self._bound is not None:
            self._bound.follow_view()

    # -- what is shown -----------------------------------------------------------------------

    def _bind(self) -> None:
        """Serve the session's annotator, which may be a new one or none."""
        annotator, params = self.annotator, self.value()
        self._bound, self._shown_tool = annotator, ""
        self.forms.show_unit(annotator.slide.mpp if annotator else None)
        for widget in (*self._modes.values(), *self._actions.values(), *self._options_shown):
            allow(widget, "" if annotator is not None else _NO_SLIDE)
        if annotator is None:
            self._show_tool()
            self._say(self.annotating.reason or _NO_SLIDE)
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
        self.link(annotator.progress, self.report.show_share)
        self.link(annotator.changed, self._on_changed)
        own = annotator.drawing.layer, *(plane.layer for plane in annotator.planes)
        for layer in (*annotator.prompts.all, *own):
            self.link(layer.events.mode, self._on_active)
        for layer in annotator.own_layers:
            bind_keys(layer, PROMPTS, partial(getattr, annotator))
        bind_keys(
            annotator.committed.layer,
            COMMITTED,
            lambda act: getattr(annotator if act == "refine_chosen" else annotator.edits, act),
        )
        bind_keys(annotator.prompts.points, CLICKS, lambda _: self._toggle)
        bind_keys(annotator.prompts.scribbles, SCRIBBLES, lambda _: self._toggle)

    def _greet(self, annotator: Annotator) -> None:
        """Say what there is on a slide already."""
        count = annotator.store.count
        restored = f"{many(count, 'object')} restored. " if count else ""
        self._say(f"On {annotator.image.name}: {restored}{HINT}")
        unfinished = self.annotating.take_unfinished()
        if unfinished is not None:
            annotator.take_up(unfinished)

    @property
    def _options_shown(self) -> tuple[Any, ...]:
        looks = self._each_box, self._outline, self._lines, self._hidden
        return (*looks, self._class, self._form, self.forms)

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
        if tool and self._status.text() == self._asleep:
            self._say(HINT)
        elif before and not tool and bound is not None:
            self._asleep = f"No tool is active: the layer {active.name} is selected. Press a tool."
            self._say(self._asleep)

    def _on_passed(self, text: str) -> None:
        self.report.unsay(text, HINT)

    def _say(self, text: str) -> None:
        """Write the status line, here alone, and show whether there is work to wait for."""
        self.report.say(text)
        self.report.set_busy(self._bound is not None and self._bound.busy)

    def _on_failed(self, text: str) -> None:
        self._say(text)
        messages.show_error(text)

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
        ready = bound.preview.shown or bound.segmenting.active
        allow(self._actions["commit"], "" if ready else _NOTHING_SHOWN)
        several = bound.preview.candidates > 1
        allow(self._actions["next_candidate"], "" if several else NO_OTHER_MASK)
        self._class.offer(bound.committed.class_names)
        self._follow.start()  # what was in hand may have held the work area where it was


def _box_of(name: str) -> QCheckBox:
    """The box to tick of a field."""
    about = field_of(PromptParams, name).about
    return QCheckBox(about.label, toolTip=about.help)
