"""Which edits are in force: as walked, and as replayed from the journal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.annotations.history import History, HistoryEntry, Origin
from histoprompt.annotations.journal import Journal, Record


def edit(op):
    return Record({"kind": "edit", "op": op, "time": "now", "steps": [[op, {"by": "me"}]]})


def replayed(path):
    """The stacks a new process makes of the journal, and what it was told to do for them."""
    journal = Journal(path, read_only=True)
    history = History(journal)
    told = []
    for offset, record in journal.records(0):
        target, in_force = history.replay(offset, record)
        told.append((target.header["op"], in_force))
    journal.close()
    return history, told


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.bin")
    yield journal
    journal.close()


def ops(history):
    return [entry.op for entry in history.entries()]


def test_a_walk_moves_the_last_edit_and_a_new_edit_ends_the_redo_branch(journal):
    history = History(journal)
    assert history.target("undo") is None
    for op in ("a", "b"):
        history.add_edit(edit(op))
    last = history.target("undo")
    history.add_walk("undo", [])
    assert (ops(history), history.target("redo")) == (["a"], last)
    history.add_walk("redo", [])
    assert (ops(history), history.target("redo")) == (["a", "b"], None)
    history.add_walk("undo", [])
    history.add_edit(edit("c"))
    assert (ops(history), history.redo) == (["a", "c"], [])


def test_an_entry_and_a_step_tell_the_provenance(journal):
    history = History(journal)
    history.add_edit(edit("a"))
    assert history.entries() == [HistoryEntry("a", "now", (("a", {"by": "me"}),))]
    assert history.origin(history.undo[0], 0) == Origin("a", {"by": "me"}, "now")


def test_a_replay_says_which_edits_to_make_and_which_to_take_back(journal, tmp_path):
    history = History(journal)
    history.add_edit(edit("a"))
    history.add_edit(edit("b"))
    history.add_walk("undo", [])
    history.add_walk("undo", [])
    history.add_walk("redo", [])
    again, told = replayed(tmp_path / "journal.bin")
    assert told == [("a", True), ("b", True), ("b", False), ("a", False), ("a", True)]
    assert (again.undo, again.redo) == (history.undo, history.redo)


@given(st.lists(st.sampled_from(["edit", "undo", "redo"]), max_size=20))
def test_any_line_of_edits_is_replayed_to_the_same_stacks(tmp_path_factory, kinds):
    path = tmp_path_factory.mktemp("history") / "journal.bin"
    journal = Journal(path)
    history = History(journal)
    for number, kind in enumerate(kinds):
        if kind == "edit":
            history.add_edit(edit(str(number)))
        elif history.target(kind) is not None:
            history.add_walk(kind, [])
    journal.close()
    again, _ = replayed(path)
    assert (again.undo, again.redo) == (history.undo, history.redo)
