"""One stack of titled steps: the last one goes first, whoever made it."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest

from histoprompt._qt.shell.jobs import Jobs
from histoprompt._qt.shell.undo import LIMIT, Step, UndoStack
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box


@pytest.fixture
def stack():
    found = UndoStack()
    found.heard = []
    found.told.connect(found.heard.append)
    found.failed.connect(found.heard.append)
    return found


def act(log: list[str], text: str, answer: object = None):
    def done() -> object:
        log.append(text)
        return answer

    return done


def push(stack: UndoStack, log: list[str], name: str, owner: object = None) -> Step:
    return stack.push(f"the {name}", act(log, f"-{name}"), act(log, f"+{name}"), owner)


def test_steps_of_all_docks_go_back_in_the_order_they_were_made(stack):
    log: list[str] = []
    for name in ("click", "mark", "label"):
        push(stack, log, name, owner=name)
    stack.undo()
    stack.undo()
    stack.redo()
    stack.undo()
    assert log == ["-label", "-mark", "+mark", "-mark"]
    assert stack.heard[0] == "Took back: the label."
    assert stack.heard[2] == "Did again: the mark."
    assert stack.titles == ("the click",)


def test_a_new_step_ends_what_could_be_done_again(stack):
    log: list[str] = []
    push(stack, log, "click")
    stack.undo()
    push(stack, log, "box")
    stack.redo()
    assert log == ["-click"]
    assert stack.heard[-1] == "There is nothing to do again."


def test_what_was_told_is_of_the_past_once_something_else_is_done(stack):
    past: list[str] = []
    stack.passed.connect(past.append)
    log: list[str] = []
    owner = object()
    push(stack, log, "click", owner)
    assert past == []
    stack.undo()
    assert past == []
    push(stack, log, "box", owner)
    push(stack, log, "mark", owner)
    assert past == ["Took back: the click."], "once"
    stack.undo()
    stack.forget(owner)
    assert past[-1] == "Took back: the mark."


def test_a_step_that_is_refused_stays_and_one_that_is_lost_goes(stack):
    log: list[str] = []
    push(stack, log, "click")

    def refused() -> None:
        raise LabelStoreError("The disk is full.")

    stack.push("the paint", refused, refused)
    stack.undo()
    assert stack.heard == ["The disk is full."]
    assert stack.titles[-1] == "the paint"
    stack.push("the merge", act(log, "no", answer=False), act(log, "no"))
    stack.undo()
    assert "Not taken back: the merge." in stack.heard[-1]
    assert stack.titles == ("the click", "the paint")


def test_the_steps_of_one_who_goes_are_forgotten(stack):
    log: list[str] = []
    push(stack, log, "click", owner="slide")
    push(stack, log, "label", owner="count")
    dropped = push(stack, log, "wait", owner="count")
    stack.drop(dropped)
    stack.forget("slide")
    stack.undo()
    stack.undo()
    assert log == ["-label"]
    assert stack.heard[-1] == "There is nothing to take back."


def test_it_goes_on_with_steps_of_earlier_sessions(stack):
    log: list[str] = []

    class Disk:
        def undo_earlier(self) -> Step | None:
            if log:
                return None
            log.append("-old")
            return Step("an old edit", act(log, "-old"), act(log, "+old"))

        def redo_earlier(self) -> Step | None:
            return None

    stack.earlier = Disk()
    stack.undo()
    stack.redo()
    stack.undo()
    stack.undo()
    assert log == ["-old", "+old", "-old"]
    assert stack.heard == [
        "Took back: an old edit.",
        "Did again: an old edit.",
        "Took back: an old edit.",
        "There is nothing to take back.",
    ]


def test_only_so_many_steps_are_kept(stack):
    for number in range(LIMIT + 3):
        push(stack, [], str(number))
    assert len(stack.titles) == LIMIT
    assert stack.titles[0] == "the 3"


class Window:
    """A store, edited from the window and by jobs, with the steps of both."""

    def __init__(self, folder):
        self.jobs = Jobs(notify=lambda text: None)
        self.steps = UndoStack(self.jobs)
        self.heard: list[str] = []
        self.steps.told.connect(self.heard.append)
        self.store = LabelStore.open(folder, (64, 64), "slide", chunk=32)
        self.made, self.go_on = threading.Event(), threading.Event()

    def edit(self, label, task=None):
        return self.store.write(Box(0, 8 * label, 8, 8 * label + 8), np.full((8, 8), label))

    def push(self, name, change):
        walks = (partial(way, change.edit) for way in (self.undo, self.redo))
        self.steps.push(f"the {name}", *walks, self, change.edit)

    def undo(self, edit):
        return self.store.undo_if_last(edit) is not None

    def redo(self, edit):
        return self.store.redo_if_next(edit) is not None

    def work(self, label, task):
        """An edit of the background: it is in the store before the window hears of it."""
        found = self.edit(label)
        self.made.set()
        self.go_on.wait()
        task.step(0, 1)
        return found

    def begin(self, label):
        done = partial(self.push, "import")
        job = self.jobs.submit(self.work, label, title="The import", on_done=done, edits=True)
        self.made.wait()
        return job


@pytest.fixture
def window(qtbot, tmp_path):
    found = Window(tmp_path)
    yield found
    found.go_on.set()
    assert found.jobs.shutdown(30)
    found.store.close()


def test_undo_pressed_as_an_edit_of_the_background_ends_waits_and_takes_that_back(window, until):
    window.push("paint", window.edit(1))
    job = window.begin(2)
    window.steps.undo()
    assert "Undo waits for this to end: The import" in window.heard[-1]
    assert window.store.ids().tolist() == [1, 2], "nothing is taken back yet"
    window.go_on.set()
    until(lambda: not job.active)
    assert window.heard[-1] == "Took back: the import."
    assert window.store.ids().tolist() == [1]
    window.steps.undo()
    assert window.heard[-1] == "Took back: the paint."
    window.steps.redo()
    window.steps.redo()
    assert window.store.ids().tolist() == [1, 2], "no step was lost"


def test_undo_that_waited_goes_on_where_the_edit_came_to_nothing(window, until):
    window.push("paint", window.edit(1))

    def refused(task):
        window.made.set()
        window.go_on.wait()
        raise LabelStoreError("No room.")

    job = window.jobs.submit(refused, title="The import", edits=True)
    window.made.wait()
    window.steps.undo()
    window.go_on.set()
    until(lambda: not job.active)
    assert window.heard[-1] == "Took back: the paint."
    assert not window.store.count


def test_an_edit_told_after_a_later_one_is_taken_back_after_it(window, until):
    job = window.begin(1)
    window.push("paint", window.edit(2))
    window.go_on.set()
    until(lambda: not job.active)
    assert window.steps.titles == ("the import", "the paint")
    for left in ([1], []):
        window.steps.undo()
        assert window.store.ids().tolist() == left
