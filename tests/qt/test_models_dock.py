"""The Models dock in a real viewer: device, budget, load and unload, weights, check-up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from histoprompt._qt.session import session_of
from histoprompt._qt.widgets.models import ModelsDock
from histoprompt.models import registry
from histoprompt.models.manager import ModelManager

pytestmark = pytest.mark.gui

IDS = [card.id for card in registry.all_cards()]


@pytest.fixture
def models(make_napari_viewer: Any) -> Iterator[ModelsDock]:
    """The Models dock, with a manager of its own on the processor."""
    viewer = make_napari_viewer()
    session = session_of(viewer)
    session.manager = ModelManager("cpu")
    widget = ModelsDock(viewer)
    viewer.window.add_dock_widget(widget, name="Models")
    yield widget
    session.close()


def select(dock: ModelsDock, model_id: str) -> None:
    dock._table.setCurrentCell(IDS.index(model_id), 0)


def cell(dock: ModelsDock, model_id: str, column: int) -> str:
    return dock._table.item(IDS.index(model_id), column).text()


def ready(dock: ModelsDock) -> bool:
    return dock._budget.isEnabled()


def test_the_device_and_its_budget_appear(models, until):
    until(lambda: ready(models))
    assert models._device.text() == "Device: <b>cpu</b>"
    assert models._budget.value() == int(models.manager.budget_mib)
    assert models._bar.maximum() == models._budget.value()


def test_a_budget_typed_is_the_managers_and_the_bars(models, until):
    until(lambda: ready(models))
    models._budget.setValue(512)
    assert models.manager.budget_mib == 512
    until(lambda: models._bar.maximum() == 512)


def test_all_models_are_listed_with_their_weights(models):
    titles = [models._table.item(i, 0).text() for i in range(models._table.rowCount())]
    assert titles == [card.title for card in registry.all_cards()]
    assert cell(models, "classical", 1) == "none needed"
    assert cell(models, "litemedsam", 1) == "present"
    assert cell(models, "medsam", 1) == "missing"


def test_load_and_unload(models, until):
    until(lambda: ready(models))
    select(models, "classical")
    models._load.click()
    until(lambda: "MiB" in cell(models, "classical", 2))
    assert [m.card_id for m in models.manager.loaded()] == ["classical"]
    assert cell(models, "litemedsam", 2) == ""
    models._unload.click()
    until(lambda: cell(models, "classical", 2) == "")
    assert models.manager.loaded() == []


def test_a_budget_too_small_for_what_is_loaded_unloads_it(models, until):
    until(lambda: ready(models))
    select(models, "classical")
    models._load.click()
    until(lambda: models.manager.loaded() != [])
    resident = models.manager.loaded()[0]
    models._budget.setValue(64)
    assert models.manager.budget_mib == 64
    assert models.manager.used_mib <= 64
    until(lambda: (cell(models, "classical", 2) != "") == (resident.mib <= 64))


def test_missing_weights_are_explained(models):
    select(models, "medsam")
    facts = models._facts.text()
    card = registry.card("medsam")
    for text in ("Missing", "medsam_vit_b.pth", card.weights.source, "models", card.licence):
        assert text in facts
    select(models, "litemedsam")
    assert "Missing" not in models._facts.text()


def test_loading_without_weights_is_shown_and_leaves_nothing(models, until, monkeypatch):
    shown: list[str] = []
    monkeypatch.setattr(models.session.jobs, "_notify", shown.append)
    until(lambda: ready(models))
    select(models, "medsam")
    models._load.click()
    until(lambda: bool(shown))
    assert "medsam_vit_b.pth" in shown[0]
    assert models.manager.loaded() == []
    assert "medsam_vit_b.pth" in models._facts.text()


def test_the_selected_row_stays_when_models_come_and_go(models, until):
    until(lambda: ready(models))
    select(models, "classical")
    models._load.click()
    until(lambda: "MiB" in cell(models, "classical", 2))
    assert models.card.id == "classical"
    assert "(classical)" in models._facts.text()


def test_the_check_up_runs_and_reports(models, until):
    models._check.click()
    assert not models._check.isEnabled()
    until(models._check.isEnabled, seconds=200)
    report = models._report.toPlainText()
    for text in ("python:", "torch:", "device: cpu", "weights of medsam: missing", "one embedding"):
        assert text in report
    assert "litemedsam" in [m.card_id for m in models.manager.loaded()]


def test_closing_the_dock_mid_check_up_is_quiet(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    session = session_of(viewer)
    widget = ModelsDock(viewer)
    holder = viewer.window.add_dock_widget(widget, name="Models")
    widget._check.click()
    viewer.window.remove_dock_widget(holder)
    widget.deleteLater()
    qtbot.wait(200)
    session.close()
    session.manager.changed.emit()
