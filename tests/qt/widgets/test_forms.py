"""Forms made from parameters."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QLabel
from superqt import QCollapsible

from histoprompt._qt.count.cells_dock import CellsDock
from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.exchange.dock import ExportDock
from histoprompt._qt.exchange.import_dock import ImportDock
from histoprompt._qt.explore.concepts_page import OTHERWISE
from histoprompt._qt.explore.dock import ExploreDock
from histoprompt._qt.explore.scenes_page import ABOVE
from histoprompt._qt.project.dock import ProjectDock
from histoprompt._qt.prompts.dock import SHOWN_OTHERWISE as PLACED
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.relate.dock import RelateDock
from histoprompt._qt.tags.dock import TagsDock
from histoprompt._qt.text.dock import TextDock
from histoprompt._qt.training.dock import TrainDock
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt.core.errors import ParameterError
from histoprompt.core.parameters import fields_of
from histoprompt.core.stain.ihc import DabThresholds
from histoprompt.pipelines.text.text_embedding import ScoreParams
from histoprompt.training.label_params import LabelTrainingParams
from kinds_of_parameters import Params
from test_parameters_sweep import FIELDS


@pytest.fixture
def form(qtbot):
    widget = ParameterForm(Params())
    qtbot.addWidget(widget)
    return widget


def test_rows_show_defaults_and_give_them_back(form):
    assert form.value() == Params()


def test_rows_give_back_what_they_are_set_to(form, tmp_path):
    params = Params(64, 0.25, "tokens", ("a", "b"), (1.0, 2.0), True, tmp_path / "x")
    form.set_value(params)
    assert form.value() == params


def test_rows_have_the_limits_units_and_names_of_the_fields(form):
    side, mpp = form.row("side"), form.row("mpp")
    assert isinstance(side, QAbstractSpinBox)
    assert (side.minimum(), side.maximum()) == (32, 8192)
    assert mpp.specialValueText() == "as the slide"
    assert "Tile side (px)" in [label.text() for label in form.findChildren(QLabel)]
    assert mpp.accessibleName() == "Pixel size"


def test_a_box_to_tick_is_named_once(form):
    (box,) = form.findChildren(QCheckBox)
    names = [label.text() for label in form.findChildren(QLabel)]
    assert box.text()
    assert box.text() not in names


def test_a_long_text_shows_its_beginning(form):
    form.set_value(Params(words=("stroma", "muscle", "lymphocyte", "necrosis", "fat", "gland")))
    assert form.row("words").cursorPosition() == 0


def test_a_change_by_hand_is_told_and_one_by_code_is_not(form, qtbot):
    heard = []
    form.changed.connect(lambda: heard.append(form.value().side))
    form.set_value(Params(side=128))
    assert heard == []
    form.row("side").setValue(256)
    assert heard == [256]


def test_advanced_rows_are_folded(form):
    (folded,) = form.findChildren(QCollapsible)
    assert not folded.isExpanded()
    assert folded.isAncestorOf(form.row("file"))
    assert not folded.isAncestorOf(form.row("side"))


def test_what_is_offered_is_shown_in_words_and_other_values_are_kept(qtbot):
    form = ParameterForm(ScoreParams())
    qtbot.addWidget(form)
    scales = form.row("scales")
    assert scales.currentText() == "by itself"
    heard = []
    form.changed.connect(lambda: heard.append(form.value().scales))
    scales.setCurrentText("with its surroundings")
    assert heard == [(1.0, 2.0)]
    form.set_value(ScoreParams(scales=(1.0, 4.0)))
    assert form.value().scales == (1.0, 4.0)
    assert scales.currentText() == "1, 4"


def test_a_list_that_is_no_list_of_numbers_is_refused_in_words(form):
    form.row("scales").setText("1, two")
    with pytest.raises(ParameterError, match="'two'"):
        form.value()


# -- every field of every parameters has its row in a dock ---------------------------------------

# Parameters without rows of their own, and why.
_STEP = "a step of a recipe, which is written in a file; docks show the use case itself"
_COMMAND = "a command; the window takes what it makes"
WITHOUT_ROWS: dict[str, str] = {
    "AuditParams": _STEP,
    "ClassifyParams": _STEP,
    "CountParams": _STEP,
    "ScoreStepParams": _STEP,
    "SegmentParams": _STEP,
    "ExportStepParams": _STEP,
    "CellIndexParams": _STEP,
    "AlignParams": _COMMAND,
    "DetectParams": _COMMAND,
    "DetectApplyParams": _COMMAND,
    "AnomalyParams": "its parts have rows: IndexParams, UnlikeParams and the list of references",
    "SearchParams": "its parts have rows: IndexParams, LikeParams and the list of examples",
    "WandParams": "a box for how far, in the Prompt dock",
    "ReshapeParams": "a button for each form and a box for how far, in the Prompt dock",
}
OF_DOCKS = (LabelTrainingParams, DabThresholds, PromptParams)
_DOCKS = (
    PromptDock,
    CountDock,
    CellsDock,
    TextDock,
    ExploreDock,
    ExportDock,
    ImportDock,
    TrainDock,
    ProjectDock,
    TagsDock,
    RelateDock,
)
# Fields that a dock shows in another way.
SHOWN_OTHERWISE = {
    **{("PromptParams", name): "a place of its own" for name in PLACED},
    ("ExportParams", "format"): "a row of the Export dock with the formats' titles",
    ("ScoreParams", "texts"): "the list of words of the Text dock",
    ("ScoreParams", "contrasts"): "the list of words of the Text dock",
    ("TagParams", "tags"): "a button that opens a file",
    ("TagParams", "region"): "what is in view, or the whole slide",
    ("RelateParams", "against"): "a table of the columns",
    ("RelateParams", "types"): "a table of the columns",
    **{("ClusterParams", name): "rows above the pages of the Explore dock" for name in ABOVE},
    **{("ConceptParams", name): "rows above the pages, and the table" for name in OTHERWISE},
    ("IndexParams", "encoder"): "a list of the models there are",
    ("IndexParams", "weights"): "a button beside the list of models",
    ("CountChoice", "segmenter"): "a list of the models there are",
    ("CountChoice", "weights"): "installed by the Models dock",
    ("CountChoice", "proposer"): "the project's own; another one by command",
    ("CountChoice", "classifier"): "loaded on the page of classes",
    ("CountChoice", "dab"): "a page of its own, with the thresholds",
    ("CountChoice", "device"): "of the whole window",
}


@pytest.fixture
def forms(make_napari_viewer, monkeypatch, tmp_path):
    """The forms of all docks, by the name of their parameters."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer()
    docks = [kind(viewer) for kind in _DOCKS]
    found = [form for dock in docks for form in dock.findChildren(ParameterForm)]
    yield {type(form.value()).__name__: form for form in found}
    docks[0].session.close()


def test_every_field_has_a_row_with_its_limits(forms):
    more = [
        (p, f) for p in (LabelTrainingParams, DabThresholds, PromptParams) for f in fields_of(p)
    ]
    for params, field in [*FIELDS, *more]:
        name = params.__name__
        if name in WITHOUT_ROWS or (name, field.name) in SHOWN_OTHERWISE:
            continue
        assert field in forms[name].fields
        row = forms[name].row(field.name)
        assert row.accessibleName() == field.title
        if isinstance(row, QAbstractSpinBox):
            shown = max(field.about.low, -1e9), min(field.about.high, 1e9)
            assert (row.minimum(), row.maximum()) == pytest.approx(shown, rel=1e-9, abs=0)
        if isinstance(row, QComboBox) and field.about.offers:
            offered = [row.itemText(i) for i in range(row.count())]
            assert offered == [title for title, _ in field.about.offers]
        elif isinstance(row, QComboBox):
            assert tuple(row.itemText(i) for i in range(row.count())) == field.choices


def test_what_a_form_offers_may_be():
    for _, field in FIELDS:
        assert [field.fault(value) for _, value in field.about.offers if field.fault(value)] == []
        assert not field.choices or not field.about.offers or (
            {value for _, value in field.about.offers} == set(field.choices)
        )  # fmt: skip
