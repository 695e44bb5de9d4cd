"""Jobs with real threads and a real event loop: order, threads, errors, cancel, closing."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from functools import partial
from importlib.resources import files
from itertools import pairwise

import pytest
import yaml
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QThread
from qtpy.QtWidgets import QWidget

from histoprompt._qt.shell.jobs import Jobs
from histoprompt.core.errors import Cancelled, HistopromptError, SlideError
from waiting import until

# Seconds that no job here needs to notice that it shall stop.
LONG = 3600.0


@pytest.fixture
def told():
    return []


@pytest.fixture
def jobs(qapp, told):
    found = Jobs(notify=told.append)
    yield found
    found.shutdown()


@pytest.fixture
def gate():
    """Holds jobs until opened; opened at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


def in_gui_thread():
    return QThread.currentThread() == QCoreApplication.instance().thread()


def settle(qtbot, job):
    until(lambda: not job.active)


def work(value, task):
    return value


def wait_at(gate, task):
    """Run until the gate opens or the task is cancelled."""
    while not gate.wait(0.005):
        task.step(0, 0)
    return "through"


def delete_now(widget):
    widget.deleteLater()
    QCoreApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)


# ---------------------------------------------------------------------- outcomes


def test_work_runs_elsewhere_and_handlers_here(jobs, qtbot):
    seen = {}

    def fn(a, b, task):
        seen["worker"] = in_gui_thread()
        return a + b

    def done(result):
        seen["gui"], seen["result"] = in_gui_thread(), result

    job = jobs.submit(fn, 2, 3, on_done=done)
    settle(qtbot, job)
    assert seen == {"worker": False, "gui": True, "result": 5}
    assert job.state == "done"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SlideError("The file is cut off at 12 MB."), "The file is cut off at 12 MB."),
        (RuntimeError("bad shape"), "Counting stopped on an unexpected RuntimeError: bad shape"),
        (RuntimeError("CUDA out of memory. Tried"), "Counting ran out of memory:"),
        (MemoryError(), "Counting ran out of memory:"),
        (KeyError("x"), "Counting stopped on an unexpected KeyError"),
        (StopIteration(), "Counting stopped on an unexpected StopIteration"),
        (SystemExit(3), "Counting stopped on an unexpected SystemExit"),
    ],
)
def test_any_exception_ends_in_a_message_here(jobs, told, qtbot, error, text):
    threads, texts = [], []

    def fn(task):
        raise error

    def failed(message):
        threads.append(in_gui_thread())
        texts.append(message)

    jobs._notify = lambda message: (threads.append(in_gui_thread()), told.append(message))
    job = jobs.submit(fn, title="Counting", on_error=failed, on_done=lambda _: told.append("no"))
    settle(qtbot, job)
    assert job.state == "failed"
    assert told[0].startswith(text)
    assert texts == told
    assert threads == [True, True]
    after = jobs.submit(work, 1)  # the lane lives on
    settle(qtbot, after)
    assert after.state == "done"


def test_an_unexpected_error_is_logged_with_its_traceback(jobs, qtbot, caplog):
    def guilty_function(task):
        raise ValueError("odd")

    settle(qtbot, jobs.submit(guilty_function))
    assert "guilty_function" in caplog.text


def test_an_error_without_a_handler_is_still_shown(jobs, told, qtbot):
    def fn(task):
        raise SlideError("gone")

    settle(qtbot, jobs.submit(fn))
    assert told == ["gone"]


def test_a_handler_that_fails_is_a_message_too(jobs, told, qtbot):
    def broken(result):
        raise IndexError("layer was deleted")

    settle(qtbot, jobs.submit(work, 1, title="Segmenting", on_done=broken))
    assert "Segmenting stopped on an unexpected IndexError: layer was deleted" in told[0]


def test_a_job_keeps_nothing_alive_once_it_ended(jobs, qtbot):
    class Big:
        pass

    big = Big()
    seen = weakref.ref(big)
    job = jobs.submit(work, big, on_done=lambda r: None)
    settle(qtbot, job)
    del big
    qtbot.wait(20)
    gc.collect()
    assert seen() is None


# ---------------------------------------------------------------------- lanes and keys


def test_a_click_does_not_wait_for_the_batch_lane(jobs, qtbot, gate):
    slow = jobs.submit(wait_at, gate, lane="batch")
    quick = jobs.submit(work, 1, lane="interactive")
    settle(qtbot, quick)
    assert slow.active
    gate.set()
    settle(qtbot, slow)


def test_a_lane_keeps_the_order(jobs, qtbot):
    order = []
    done = [jobs.submit(work, i, on_done=order.append) for i in range(50)]
    settle(qtbot, done[-1])
    assert order == list(range(50))


def test_a_newer_job_drops_the_queued_and_cancels_the_running(jobs, told, qtbot, gate):
    heard = []
    handlers = {
        "on_done": heard.append,
        "on_error": lambda t: heard.append("error"),
        "on_cancel": lambda: heard.append("cancel"),
    }
    ran = []

    def note(name, task):
        ran.append(name)
        return name

    running = jobs.submit(wait_at, gate, key="preview", **handlers)
    until(lambda: running.state == "running")
    queued = jobs.submit(note, "queued", key="preview", **handlers)
    other = jobs.submit(note, "other", key="else")
    newest = jobs.submit(note, "newest", key="preview", **handlers)
    settle(qtbot, newest)
    assert ran == ["other", "newest"]
    assert heard == ["newest"]
    assert [running.state, queued.state, other.state] == ["cancelled", "cancelled", "done"]
    assert told == []


def test_a_result_on_its_way_is_superseded_too(jobs, qtbot):
    heard = []
    first = jobs.submit(work, "old", key="k", on_done=heard.append)
    lane = jobs._threads["interactive"]
    # The result waits in the event queue, as the GUI thread is busy here.
    while first._call is not None or jobs._queues["interactive"]:
        time.sleep(0.001)
    time.sleep(0.05)
    second = jobs.submit(work, "new", key="k", on_done=heard.append)
    settle(qtbot, second)
    assert heard == ["new"]
    assert lane.is_alive()


def test_jobs_without_a_key_do_not_disturb_each_other(jobs, qtbot):
    heard = []
    last = [jobs.submit(work, i, on_done=heard.append) for i in range(3)][-1]
    settle(qtbot, last)
    assert heard == [0, 1, 2]


# ---------------------------------------------------------------------- cancel


def test_cancel_a_running_job(jobs, told, qtbot, gate):
    heard = []
    job = jobs.submit(wait_at, gate, on_cancel=lambda: heard.append("cancel"), on_done=heard.append)
    until(lambda: job.state == "running")
    job.cancel()
    settle(qtbot, job)
    assert heard == ["cancel"]
    assert job.state == "cancelled"
    assert told == []


def test_cancel_a_queued_job_takes_effect_at_once(jobs, qtbot, gate):
    heard = []
    running = jobs.submit(wait_at, gate)
    queued = jobs.submit(work, 1, on_cancel=lambda: heard.append("cancel"))
    queued.cancel()
    settle(qtbot, queued)
    assert heard == ["cancel"]
    assert running.active


def test_the_result_of_a_job_that_did_not_notice_is_dropped(jobs, qtbot, gate):
    heard = []

    def deaf(task):
        gate.wait()
        return "late"

    job = jobs.submit(deaf, on_done=heard.append, on_cancel=lambda: heard.append("cancel"))
    job.cancel()
    gate.set()
    settle(qtbot, job)
    assert heard == ["cancel"]
    job.cancel()  # again, after the end: nothing happens
    assert job.state == "cancelled"


def test_a_cancelled_job_hands_over_what_it_had(jobs, qtbot, gate):
    heard, threads = [], []

    def counting(task):
        got = []
        try:
            while not gate.wait(0.005):
                got.append(len(got))
                task.step(len(got), 0)
        except Cancelled:
            return got
        return "all"

    def partial_result(result):
        threads.append(in_gui_thread())
        heard.append(result)

    handlers = {"on_done": heard.append, "on_cancel": lambda: heard.append("cancel")}
    job = jobs.submit(counting, on_partial=partial_result, **handlers)
    until(lambda: job.state == "running")
    job.cancel()
    settle(qtbot, job)
    assert job.state == "partial"
    assert heard == [list(range(len(heard[0])))]
    assert threads == [True]
    # who returns nothing is cancelled, and so is who was cancelled before it began
    heard.clear()
    stopped = jobs.submit(wait_at, gate, on_partial=partial_result, **handlers)
    queued = jobs.submit(work, 1, on_partial=partial_result, **handlers)
    queued.cancel()
    stopped.cancel()
    settle(qtbot, stopped)
    settle(qtbot, queued)
    assert heard == ["cancel", "cancel"]
    assert stopped.state == queued.state == "cancelled"


def test_a_partial_result_that_was_superseded_or_failed_is_not_heard(jobs, told, qtbot, gate):
    heard = []

    def deaf(task):
        gate.wait()
        return "late"

    def fails(task):
        gate.wait()
        raise SlideError("The disk is full.")

    first = jobs.submit(deaf, key="same", on_partial=heard.append)
    until(lambda: first.state == "running")
    second = jobs.submit(fails, key="same", on_partial=heard.append)
    gate.set()
    until(lambda: second.state == "failed")
    assert first.state == "partial"
    third = jobs.submit(fails, on_partial=heard.append)
    third.cancel()
    settle(qtbot, third)
    assert heard == []
    assert third.state == "cancelled"
    assert told == ["The disk is full."]


def test_cancel_all(jobs, qtbot, gate):
    found = [jobs.submit(wait_at, gate, lane=lane) for lane in ("batch", "batch", "interactive")]
    jobs.cancel_all()
    for job in found:
        settle(qtbot, job)
    assert {job.state for job in found} == {"cancelled"}


# ---------------------------------------------------------------------- progress


def test_progress_is_throttled_and_the_newest_arrives(jobs, qtbot, gate):
    heard = []

    def fn(task):
        for i in range(5000):
            task.step(i, 5000, "counting")
        task.step(5000, 5000, "the long last part")
        gate.wait()

    def progress(report):
        heard.append((time.monotonic(), report, in_gui_thread()))

    job = jobs.submit(fn, on_progress=progress)
    until(lambda: bool(heard) and heard[-1][1].done == 5000)
    gate.set()
    settle(qtbot, job)
    times = [t for t, _, _ in heard]
    # Qt's coarse timers may fire 5 % early.
    assert all(b - a > 0.045 for a, b in pairwise(times))
    assert all(gui for _, _, gui in heard)
    assert heard[-1][1].text == "the long last part"


def test_no_progress_after_the_end(jobs, qtbot):
    heard = []

    def fn(task):
        for i in range(100):
            task.step(i, 100)

    job = jobs.submit(fn, on_progress=heard.append, on_done=lambda _: heard.append("done"))
    settle(qtbot, job)
    qtbot.wait(120)
    assert heard[-1] == "done"


# ---------------------------------------------------------------------- owners that go away


class Dock(QWidget):
    def __init__(self, heard):
        super().__init__()
        self.heard = heard

    def show_result(self, result, *more):
        self.setWindowTitle(str(result))  # crashes if the Qt object is gone
        self.heard.append(result)


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: partial(m, "first")])
def test_the_handler_of_a_deleted_widget_is_skipped(jobs, told, qtbot, gate, wrap):
    heard = []
    dock = Dock(heard)
    job = jobs.submit(wait_at, gate, on_done=wrap(dock.show_result))
    delete_now(dock)
    gate.set()
    settle(qtbot, job)
    assert heard == told == []
    assert job.state == "done"


def test_a_job_does_not_keep_a_closed_dock_alive(jobs, told, qtbot, gate):
    heard = []
    dock = Dock(heard)
    seen = weakref.ref(dock)
    job = jobs.submit(wait_at, gate, on_done=dock.show_result)
    del dock
    gc.collect()
    assert seen() is None
    gate.set()
    settle(qtbot, job)
    assert heard == told == []


def test_a_living_widget_hears(jobs, qtbot):
    heard = []
    dock = Dock(heard)
    qtbot.addWidget(dock)
    settle(qtbot, jobs.submit(work, "result", on_done=dock.show_result))
    assert heard == ["result"]


def test_call_reaches_the_gui_thread_from_any_other(jobs, qtbot):
    heard = []
    thread = threading.Thread(
        target=lambda: jobs.call(lambda x: heard.append((x, in_gui_thread())), 1)
    )
    thread.start()
    thread.join()
    until(lambda: bool(heard))
    assert heard == [(1, True)]


# ---------------------------------------------------------------------- closing


def test_shutdown_mid_job_calls_no_handler(qapp, qtbot, gate):
    told, heard = [], []
    jobs = Jobs(notify=told.append)
    handlers = {
        "on_done": heard.append,
        "on_error": heard.append,
        "on_cancel": lambda: heard.append(0),
    }
    found = [jobs.submit(wait_at, gate, lane=lane, **handlers) for lane in ("batch", "interactive")]
    found.append(jobs.submit(work, 1, lane="batch", **handlers))
    assert jobs.shutdown(timeout=LONG)
    qtbot.wait(50)
    assert heard == told == []
    assert {job.state for job in found} == {"cancelled"}
    with pytest.raises(HistopromptError, match="closing"):
        jobs.submit(work, 1)
    assert jobs.shutdown()  # twice is fine


def test_shutdown_waits_a_bounded_time_for_a_deaf_job(qapp, qtbot, gate):
    heard = []
    jobs = Jobs(notify=heard.append)

    def deaf(task):
        gate.wait()
        return "late"

    job = jobs.submit(deaf, on_done=heard.append)
    until(lambda: job.state == "running")
    assert not jobs.shutdown(timeout=0.05)
    gate.set()
    assert jobs.shutdown(timeout=LONG)
    qtbot.wait(50)
    assert heard == []


def test_a_parent_deleted_mid_job_crashes_nothing(qapp, qtbot, gate):
    parent, heard = QObject(), []
    jobs = Jobs(parent, notify=heard.append)
    job = jobs.submit(wait_at, gate, on_done=heard.append, on_progress=heard.append)
    until(lambda: job.state == "running")
    delete_now(parent)
    gate.set()
    lane = jobs._threads["interactive"]
    lane.join()
    qtbot.wait(80)
    assert "through" not in heard


def test_two_viewers_have_lanes_of_their_own(qapp, qtbot, gate):
    heard = []
    one, two = Jobs(notify=heard.append), Jobs(notify=heard.append)
    slow = one.submit(wait_at, gate, key="k")
    settle(qtbot, two.submit(work, "two", key="k", on_done=heard.append))
    assert heard == ["two"]
    assert slow.active
    assert one.shutdown(LONG)
    assert two.shutdown(LONG)


def test_many_jobs_from_many_threads_all_end(jobs, qtbot):
    """Whatever is superseded or cancelled, no job is forgotten and no lane gets stuck."""
    found = []

    def submit_some(k):
        for i in range(50):
            lane = "batch" if i % 2 else "interactive"
            job = jobs.submit(work, i, lane=lane, key=f"k{i % 3}" if i % 5 else None)
            found.append(job)
            if i % 7 == k:
                job.cancel()

    threads = [threading.Thread(target=submit_some, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(found) == 200 and not any(j.active for j in found))
    assert {job.state for job in found} <= {"done", "cancelled"}
    assert jobs._active == []


def test_the_process_ends_cleanly_though_a_network_is_at_work():
    """A thread inside torch when the interpreter goes away would abort the whole process."""
    code = """
import threading
from qtpy.QtCore import QCoreApplication
app = QCoreApplication([])
import torch
from histoprompt._qt.shell.jobs import Jobs
jobs, begun = Jobs(notify=print), threading.Event()
def multiply(task):
    a = torch.ones(400, 400)
    begun.set()
    for _ in range(300):
        a = a @ a / 400
    print("worked to the end", flush=True)
jobs.submit(multiply, lane="batch")
begun.wait()
print("left in time:", jobs.shutdown(0), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "left in time: False" in done.stdout
    assert "worked to the end" in done.stdout


_WARMING = """
import sys
from histoprompt._qt.shell.warming import warm
warm().join()
missing = {missing}
print([name for name in missing if name not in sys.modules])
"""


def test_warming_imports_every_dock_of_the_manifest_without_a_word(qapp):
    manifest = yaml.safe_load((files("histoprompt") / "napari.yaml").read_text())["contributions"]
    widgets = {widget["command"] for widget in manifest["widgets"]}
    named = {c["id"]: c["python_name"].split(":")[0] for c in manifest["commands"]}
    code = _WARMING.format(missing=sorted({named[command] for command in widgets}))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"
