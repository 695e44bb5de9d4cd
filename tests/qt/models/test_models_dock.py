"""The Models dock in a real viewer: device, budget, load and unload, weights, check-up."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from qtpy.QtWidgets import QFileDialog, QMessageBox

from histoprompt._qt.models.dock import ModelsDock
from histoprompt._qt.shell.session import session_of
from histoprompt.models import registry
from histoprompt.models.card import ModelCard, Terms, WeightsSpec
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.weights import licence, trust
from histoprompt.models.weights.find import partial_bytes
from histoprompt.models.weights.install import remove
from histoprompt.models.weights.pack import export_pack, import_file
from histoprompt.models.zoo import instanseg
from http_server import File, running

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
    until(models._check.isEnabled)
    report = models._report.toPlainText()
    for text in ("python:", "torch:", "device: cpu", "weights: ", "one embedding"):
        assert text in report
    # a model that nobody asked for is no warning
    assert "weights of medsam" not in report
    assert report.index("one embedding") < report.index("python:")
    assert registry.DEFAULT in [m.card_id for m in models.manager.loaded()]


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


# ---------------------------------------------------------------------- weights

CONTENT = b"PK\x03\x04" + b"weights" * 100_000
TERMS = Terms("Research use only.", "https://example.org/terms")


@pytest.fixture
def served(monkeypatch, tmp_path) -> Iterator[tuple[Any, ModelCard]]:
    """SAM ViT-B with weights that a server on this machine has, and terms to accept."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    with running() as server:
        server.files["/sam.pth"] = File(CONTENT)
        digest = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
        spec = WeightsSpec("sam.pth", f"{server.url}/sam.pth", len(CONTENT), digest)
        card = replace(registry.card("sam-vit-b"), weights=spec, terms=TERMS)
        cards = tuple(card if c.id == card.id else c for c in registry.all_cards())
        monkeypatch.setattr(registry, "all_cards", lambda: cards)
        yield server, card


@pytest.fixture
def installer(served, make_napari_viewer) -> Iterator[ModelsDock]:
    """The Models dock with SAM ViT-B selected."""
    viewer = make_napari_viewer()
    session_of(viewer).manager = ModelManager("cpu")
    widget = ModelsDock(viewer)
    viewer.window.add_dock_widget(widget, name="Models")
    select(widget, "sam-vit-b")
    yield widget
    session_of(viewer).close()


def answer(dock: ModelsDock, accept: bool) -> None:
    dialog = dock._weights._dialog
    if accept:
        dialog.accept()
    else:
        dialog.reject()


def note(dock: ModelsDock) -> str:
    return dock._weights._note.text()


def idle(dock: ModelsDock) -> bool:
    return dock._weights._job is None


def test_install_shows_the_terms_first_and_once(installer, served, until):
    server, card = served
    installer._weights._install.click()
    shown = installer._weights._dialog.text
    for text in ("SAM ViT-B", TERMS.text, TERMS.url, card.licence):
        assert text in shown
    answer(installer, accept=False)
    assert note(installer) == "Nothing was changed."
    assert server.requests == []
    installer._weights._install.click()
    answer(installer, accept=True)
    until(lambda: idle(installer) and cell(installer, "sam-vit-b", 1) == "present")
    assert "is the published file" in note(installer)
    assert not installer._weights._install.isEnabled()
    assert licence.is_accepted(card)


def test_a_running_download_shows_progress_and_is_cancelled_and_taken_up(
    installer, served, until, monkeypatch
):
    server, card = served
    licence.accept(card)
    gate = server.files["/sam.pth"].gate = threading.Event()
    installer._weights._install.click()
    assert not installer._weights._busy.isHidden()
    until(lambda: "Fetching sam.pth" in note(installer))
    until(lambda: partial_bytes(card) > 0)
    installer._weights._cancel.click()
    gate.set()
    until(lambda: idle(installer))
    assert "kept" in note(installer)
    assert "fetched" in cell(installer, "sam-vit-b", 1)
    assert installer._weights._install.text() == "Go on"
    server.files["/sam.pth"].gate = None
    installer._weights._install.click()
    until(lambda: idle(installer))
    assert cell(installer, "sam-vit-b", 1) == "present"
    assert server.ranges()[-1] is not None


def test_a_failed_download_is_explained_in_the_dock(installer, served, until, monkeypatch):
    monkeypatch.setattr(installer.session.jobs, "_notify", lambda _: None)
    server, card = served
    licence.accept(card)
    server.files["/sam.pth"].status = 403
    installer._weights._install.click()
    until(lambda: idle(installer))
    assert "HTTP 403" in note(installer)
    assert installer._weights._install.isEnabled()


def test_a_file_brought_by_hand_is_imported_and_removed_again(
    installer, served, until, monkeypatch, tmp_path
):
    _, card = served
    licence.accept(card)
    brought = tmp_path / "from a stick"
    brought.write_bytes(CONTENT)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(brought), ""))
    heard: list[bool] = []
    installer.session.weights_changed.connect(lambda: heard.append(True))
    installer._weights._import.click()
    until(lambda: cell(installer, "sam-vit-b", 1) == "present")
    assert heard == [True]
    installer._weights._verify.click()
    until(lambda: idle(installer))
    assert "is the published file" in note(installer)
    installer._weights._remove.click()
    installer._weights._dialog.button(QMessageBox.StandardButton.Yes).click()
    until(lambda: cell(installer, "sam-vit-b", 1) == "missing")
    assert "Removed" in note(installer)
    assert brought.exists()


def test_a_pack_asks_for_the_terms_of_the_models_in_it(
    installer, served, until, monkeypatch, tmp_path
):
    _, card = served
    licence.accept(card)
    brought = tmp_path / "sam.pth"
    brought.write_bytes(CONTENT)
    import_file(brought, card)
    export_pack([card], tmp_path / "pack")
    (tmp_path / "licences.json").unlink()
    remove(card)
    select(installer, "litemedsam")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "pack"), ""))
    installer._weights._import.click()
    assert TERMS.text in installer._weights._dialog.text
    answer(installer, accept=True)
    until(lambda: cell(installer, "sam-vit-b", 1) == "present")


def test_weights_that_are_a_program_are_trusted_after_a_question(
    models, until, monkeypatch, tmp_path
):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    file = tmp_path / "instanseg.pt"
    file.write_bytes(b"a program")
    card = replace(registry.card("instanseg"), needs=None)
    monkeypatch.setattr(instanseg, "_newest", lambda: file)
    select(models, "classical")
    panel = models._weights
    assert panel._trust.isHidden()
    panel.show_card(card)
    assert not panel._trust.isHidden()
    for button, trusted in (("Cancel", False), ("Yes", True)):
        panel._trust.click()
        until(lambda: panel._dialog is not None)
        assert "are a program (TorchScript)" in panel._dialog.text()
        assert str(file) in panel._dialog.text()
        panel._dialog.button(getattr(QMessageBox.StandardButton, button)).click()
        until(lambda: panel._dialog is None and panel._job is None)
        assert trust.is_trusted(file) is trusted


def test_only_what_can_be_done_is_offered(installer):
    panel = installer._weights
    offered = {}
    for name in ("sam-vit-b", "litemedsam", "classical"):
        select(installer, name)
        buttons = (panel._install, panel._verify, panel._remove)
        offered[name] = tuple(b.isEnabled() for b in buttons)
    assert offered == {
        "sam-vit-b": (True, False, False),
        "litemedsam": (False, True, False),
        "classical": (False, False, False),
    }


def test_the_list_is_narrowed_by_use_and_by_words(models):
    panel = models._models
    panel._words.setText("sam vit-h")
    assert shown_models(models) == {c.id for c in registry.all_cards() if "sam-vit-h" in c.id}
    panel._words.clear()
    panel._role.setCurrentIndex(panel._role.findData("cells"))
    assert shown_models(models) == {c.id for c in registry.all_cards() if c.role == "cells"}
    panel._role.setCurrentIndex(0)
    for words, kind in (("clicks", "point"), ("boxes", "box"), ("scribbles", "scribble")):
        panel._words.setText(words)
        assert {c.id for c in registry.all_cards() if kind in c.accepts} <= shown_models(models)
        assert "plip" not in shown_models(models)
    panel._words.clear()
    panel._role.setCurrentIndex(panel._role.findData("ready"))
    assert "litemedsam" in shown_models(models)
    assert "medsam" not in shown_models(models)


def shown_models(dock: ModelsDock) -> set[str]:
    return {name for i, name in enumerate(IDS) if not dock._table.isRowHidden(i)}
