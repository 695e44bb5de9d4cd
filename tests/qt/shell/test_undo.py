"""One stack of titled steps: the last one goes first, whoever made it."""

from __future__ import annotations

import pytest

from histoprompt._qt.shell.undo import LIMIT, Step, UndoStack
from histoprompt.core.errors import LabelStoreError


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
