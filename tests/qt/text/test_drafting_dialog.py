"""Wordings that a language model drafts, in a dialog: shown, ticked, and nothing else taken."""

from __future__ import annotations

import json

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from histoprompt._qt.shell.jobs import Jobs
from histoprompt._qt.text.drafting import DraftDialog
from language_server import GOOD, language_server, url

pytestmark = pytest.mark.gui


@pytest.fixture
def dialog(qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    jobs = Jobs(notify=lambda _: None)
    found = DraftDialog(jobs, parent)
    yield found
    jobs.shutdown()


def test_wordings_are_shown_and_the_ticked_ones_handed_on(dialog, qtbot):
    heard: list[str] = []
    dialog.ticked.connect(heard.append)
    dialog.start("lymphocyte")
    dialog.ask.click()
    assert "Type the address" in dialog.told.text()
    with language_server() as server:
        server.speak(json.dumps(GOOD))
        dialog.endpoint.setText(url(server))
        dialog.ask.click()
        qtbot.waitUntil(lambda: dialog.list.count() == 3)
        assert dialog.told.text().startswith(f"From {url(server)} llama3; shape: round")
        assert not dialog.use.isEnabled()  # nothing is ticked by itself
        dialog.list.item(1).setCheckState(Qt.CheckState.Checked)
        dialog.use.click()
        assert heard == ["lymphocyte | lymphoid tissue"]

        # nonsense is shown, and what was there is not changed by it
        server.speak("I would rather not.")
        dialog.ask.click()
        qtbot.waitUntil(lambda: "no list of wordings" in dialog.told.text())
        assert "I would rather not" in dialog.told.text()
    dialog.ask.click()
    qtbot.waitUntil(lambda: "Nobody answers" in dialog.told.text())
    assert len(heard) == 1


def test_only_this_machine_is_asked_and_a_file_will_do(dialog, qtbot, tmp_path):
    dialog.start("stroma")
    dialog.endpoint.setText("http://example.org/v1")
    dialog.ask.click()
    qtbot.waitUntil(lambda: "not on this machine" in dialog.told.text())
    path = tmp_path / "w.txt"
    path.write_text("# mine\n- fibrous tissue\ncollagen\n")
    dialog.read(path)
    qtbot.waitUntil(lambda: dialog.list.count() == 2)
    dialog.start("lymphocyte")
    assert dialog.list.count() == 0
