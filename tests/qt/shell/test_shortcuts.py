"""Our keys in napari's page of shortcuts and in its command palette."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files

import pytest
from five_nuclei import NUCLEI
from napari._app_model import get_app_model
from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor
from napari.settings import get_settings
from napari.utils.interactions import Shortcut
from npe2 import PluginManifest
from pointer import Pointer
from qtpy.QtCore import Qt

from histoprompt._qt.shell import palette
from histoprompt._qt.shell.keys import TABLE
from histoprompt._qt.shell.shortcuts import actions, keys_of, restore, spelled
from histoprompt._qt.widgets.keys_help import KeysDock
from histoprompt.core import settings
from histoprompt.core.strings.wording import capital

pytestmark = pytest.mark.gui


@pytest.fixture
def editor(qtbot, shown_dock) -> Iterator[ShortcutEditor]:
    """napari's page of shortcuts, as Preferences show it; all keys are as they were afterwards."""
    page = ShortcutEditor(value={})
    qtbot.addWidget(page)
    yield page
    restore()


def row_of(page: ShortcutEditor, name: str) -> int:
    """The row of an action, in the group that is shown first."""
    rows = range(page._table.rowCount())
    return next(r for r in rows if page._table.item(r, page._action_col).text() == name)


def type_key(page: ShortcutEditor, name: str, key: str) -> None:
    """Double-click a row of the page, and type."""
    page._table.item(row_of(page, name), page._shortcut_col).setText(key)


def test_all_our_keys_are_found_in_the_page_and_changed_there(editor, shown_dock, until):
    shown = {
        editor._table.item(row, editor._action_col).text(): (
            editor._table.item(row, editor._action_name_col).text(),
            editor._table.item(row, editor._shortcut_col).text(),
        )
        for row in range(editor._table.rowCount())
    }
    for name, (gesture, *_) in actions().items():
        assert shown[name] == (f"histoprompt: {gesture.does}", Shortcut(gesture.input).platform)

    help_ = KeysDock()
    type_key(editor, "histoprompt:commit", "J")
    assert shown_dock._actions["commit"].text() == "Commit (J)"
    assert spelled("{commit}") == "J"
    assert help_._table.findItems("J", Qt.MatchFlag.MatchExactly)
    assert json.loads((settings.home() / "keys.json").read_text()) == {"histoprompt:commit": ["J"]}
    assert "histoprompt:commit" not in get_settings().shortcuts.shortcuts

    pointer, annotator = Pointer(shown_dock.annotator), shown_dock.annotator
    pointer.click(NUCLEI[0])
    until(lambda: annotator.preview.shown and not annotator.segmenting.active)
    assert "Press J to commit" in shown_dock._status.text()
    pointer.key("C")
    assert annotator.store.count == 0
    pointer.key("J")
    assert annotator.store.count == 1

    help_._default.click()
    assert keys_of(actions()["histoprompt:commit"][0]) == "C"
    assert shown_dock._actions["commit"].text() == "Commit (C)"
    pointer.click(NUCLEI[1])
    until(lambda: annotator.preview.shown and not annotator.segmenting.active)
    # the command palette does what the key does, whichever layer is active
    shown_dock.viewer.layers.selection.active = annotator.image
    get_app_model().commands.execute_command("napari-histoprompt.commit").result()
    assert annotator.store.count == 2
    get_app_model().commands.execute_command("napari-histoprompt.helper_layers").result()
    assert shown_dock.session.listed.shows_helpers


def test_the_manifest_offers_each_act_to_the_command_palette():
    manifest = PluginManifest.from_file(str(files("histoprompt") / "napari.yaml"))
    commands = {command.id: command for command in manifest.contributions.commands}
    does = {gesture.act: capital(gesture.does) for gesture in reversed(TABLE)}
    for act in palette.ACTS:
        slug = act.replace(" ", "_")
        command = commands[f"napari-histoprompt.{slug}"]
        assert command.title == does[act]
        assert command.python_name == f"{palette.__name__}:{slug}"
        assert callable(getattr(palette, slug))
    named = [c for c in commands.values() if str(c.python_name).startswith(palette.__name__)]
    assert len(named) == len(palette.ACTS) + 1
    with pytest.raises(AttributeError):
        palette.nothing_of_the_kind  # noqa: B018


def test_gestures_of_one_action_have_one_key():
    for name, gestures in actions().items():
        assert len({gesture.input for gesture in gestures}) == 1, name
        assert name.replace("histoprompt:", "").isidentifier()
