"""Every key and gesture of the table, by real mouse and key events in a real viewer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from five_nuclei import NUCLEI
from pointer import RIGHT, Pointer, show_with_margin
from qtpy.QtTest import QTest

from histoprompt._qt.count import audit_layers
from histoprompt._qt.count import layers as count_layers
from histoprompt._qt.count.audit_layers import AuditLayers
from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.make import HATCHED
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.shell.keys import (
    ANYWHERE,
    AUDIT,
    BOXES,
    CELLS,
    CLICKS,
    COMMITTED,
    DRAWN,
    LAYERS,
    MARKED,
    PROMPTS,
    SCRIBBLES,
    TABLE,
    markdown,
)
from histoprompt._qt.shell.session import session_of
from histoprompt._qt.text import layers as score_layers
from histoprompt._qt.text.dock import TextDock
from histoprompt._qt.widgets.keys_help import KeysDock
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import OUTSIDE, Prompt
from histoprompt.core.results import Mask
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.prompts.segment import ObjectMasks

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]

CASES: dict[tuple[str, str], Callable[[Any], None]] = {}


def case(group: str, given: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """The test of one row of the table."""

    def keep(test: Callable[[Any], None]) -> Callable[[Any], None]:
        assert (group, given) not in CASES
        CASES[group, given] = test
        return test

    return keep


def sweep(stage: Any, *groups: str) -> None:
    """Try every row of these groups."""
    for gesture in TABLE:
        if gesture.group in groups:
            stage.reset()
            CASES[gesture.group, gesture.input](stage)


def test_every_row_has_a_case_and_every_case_a_row():
    assert set(CASES) == {(gesture.group, gesture.input) for gesture in TABLE}
    assert len(CASES) == len(TABLE)


def test_the_layers_of_the_table_are_those_the_plugin_makes():
    assert LAYERS[CLICKS] == (layers.POINTS,)
    assert LAYERS[SCRIBBLES] == (layers.SCRIBBLES,)
    assert LAYERS[BOXES] == (layers.BOXES,)
    assert LAYERS[DRAWN] == (layers.DRAWN,)
    assert LAYERS[COMMITTED] == (layers.COMMITTED,)
    assert LAYERS[MARKED] == (score_layers.MARKS,)
    assert LAYERS[CELLS] == (count_layers.CELLS,)
    assert LAYERS[AUDIT] == (audit_layers.MARKS,)


def test_the_table_is_written_for_people():
    text = markdown()
    assert "| Ctrl+Shift+Z |" in text
    assert "| right-click | `point_prompts` |" in text
    assert len(text.splitlines()) == len(TABLE) + 2


# -- the Prompt dock ---------------------------------------------------------------------------


@dataclass
class Prompting:
    """The Prompt dock on five nuclei in a viewer that is shown."""

    dock: PromptDock
    pointer: Pointer
    until: Callable[[Callable[[], bool]], None]

    def __post_init__(self) -> None:
        self.annotator = self.dock.annotator
        self.points = self.annotator.prompts.points
        self.layer = self.annotator.committed.layer

    def reset(self) -> None:
        """Nothing in hand, nothing committed, the first tool."""
        self.annotator.clear()
        if self.annotator.store.count:
            self.annotator.delete(self.annotator.store.ids().tolist())
        self.layer.mode = "pan_zoom"
        self.dock.choose("click +")

    def put(self, place: tuple[int, int]) -> int:
        """Commit a disc."""
        rr, cc = np.mgrid[:21, :21]
        disc = (rr - 10) ** 2 + (cc - 10) ** 2 <= 100
        mask = Mask(disc, Frame(Box.around(*place, 21), disc.shape))
        (found,), change = self.annotator.committed.commit([mask], "keep", {})
        self.annotator.committed.show_change(change, "Put there")
        assert self.annotator.committed.at(*place) == found
        return found

    def objects(self) -> list[int]:
        return self.annotator.store.ids().tolist()

    def said(self) -> list[bool]:
        """What the clicks say, oldest first."""
        return layers.read_clicks(self.points)[1].tolist()


@pytest.fixture
def prompting(shown_dock, until):
    return Prompting(shown_dock, Pointer(shown_dock.annotator), until)


def test_keys_and_gestures_of_the_prompt_dock(prompting):
    sweep(prompting, PROMPTS, CLICKS, SCRIBBLES, BOXES, DRAWN, COMMITTED, ANYWHERE)


@case(PROMPTS, "C")
def _(stage: Prompting) -> None:
    stage.pointer.click(NUCLEI[0])
    stage.until(lambda: stage.annotator.preview.shown and not stage.annotator.segmenting.active)
    stage.pointer.key("C")
    assert len(stage.objects()) == 1
    assert stage.annotator.committed.at(*NUCLEI[0])
    assert stage.annotator.prompts.empty


@case(PROMPTS, "Shift-C")
def _(stage: Prompting) -> None:
    stage.pointer.click(NUCLEI[0])
    assert not stage.annotator.prompts.empty
    stage.pointer.key("Shift-C")
    assert stage.annotator.prompts.empty
    assert stage.objects() == []


@case(PROMPTS, "N")
def _(stage: Prompting) -> None:
    small, large = (
        Mask(np.ones((side, side), bool), Frame(Box.around(*NUCLEI[0], side), (side, side)))
        for side in (5, 9)
    )
    stage.annotator.preview.show([ObjectMasks(1, (small, large), Prompt.of_box(Box(0, 0, 9, 9)))])
    stage.pointer.key("N")
    assert (stage.annotator.preview.layer.data > 0).sum() == 81
    stage.annotator.clear()
    stage.pointer.key("N")
    assert "no other mask" in stage.dock._status.text()


@case(PROMPTS, "H")
def _(stage: Prompting) -> None:
    for name in LAYERS[PROMPTS]:
        stage.dock.viewer.layers.selection.active = stage.dock.viewer.layers[name]
        stage.pointer.key("H")
        assert not stage.layer.visible, name
        stage.pointer.key("H")
        assert stage.layer.visible, name


@case(PROMPTS, "O")
def _(stage: Prompting) -> None:
    stage.pointer.key("O")
    assert stage.layer.contour > 0
    assert stage.dock._lines.isChecked()
    assert "outlines" in stage.dock._status.text()
    stage.pointer.key("O")
    assert stage.layer.contour == 0


@case(PROMPTS, "Control-Z")
def _(stage: Prompting) -> None:
    stage.put(NUCLEI[0])
    stage.pointer.click(NUCLEI[1])
    stage.pointer.key("Control-Z")
    assert stage.said() == []
    assert "the click" in stage.dock._status.text()
    stage.pointer.key("Control-Z")
    assert stage.objects() == []


@case(PROMPTS, "Control-Shift-Z")
def _(stage: Prompting) -> None:
    stage.pointer.click(NUCLEI[1])
    stage.pointer.key("Control-Z")
    stage.pointer.key("Control-Shift-Z")
    assert stage.said() == [True]


@case(ANYWHERE, "Control-Z")
def _(stage: Prompting) -> None:
    """With the slide selected, and with no layer."""
    selection = stage.dock.viewer.layers.selection
    places = [stage.put(place) for place in NUCLEI[:2]]
    selection.active = stage.annotator.image
    stage.pointer.key("Control-Z")
    assert stage.objects() == places[:1]
    selection.clear()
    assert selection.active is None
    stage.pointer.key("Control-Z")
    assert stage.objects() == []


@case(ANYWHERE, "Control-Shift-Z")
def _(stage: Prompting) -> None:
    selection = stage.dock.viewer.layers.selection
    first = stage.put(NUCLEI[0])
    selection.active = stage.annotator.image
    stage.pointer.key("Control-Z")
    selection.clear()
    stage.pointer.key("Control-Shift-Z")
    assert stage.objects() == [first]


@case(PROMPTS, "K")
def _(stage: Prompting) -> None:
    first = stage.put(NUCLEI[0])
    stage.pointer.key("K")
    assert stage.dock._correct["split"].isChecked()
    stage.pointer.drag(_through(NUCLEI[0]))
    stage.until(lambda: len(stage.objects()) == 2)
    assert first in stage.objects()
    assert "into 2" in stage.dock._status.text()
    stage.annotator.undo()
    assert stage.objects() == [first], "one line is one step"


@case(CLICKS, "T")
def _(stage: Prompting) -> None:
    stage.pointer.key("T")
    assert stage.dock._tools["click -"].isChecked()
    stage.pointer.click(NUCLEI[1])
    assert stage.said() == [False]


@case(CLICKS, "click")
def _(stage: Prompting) -> None:
    stage.pointer.click(NUCLEI[0], shake=2)
    stage.dock.choose("click -")
    stage.pointer.click(NUCLEI[1])
    stage.dock.choose("click +")
    stage.pointer.click(NUCLEI[2])
    assert stage.said() == [True, False, True]
    assert np.allclose(stage.points.data, [NUCLEI[0], NUCLEI[1], NUCLEI[2]], atol=2)
    assert [s.value for s in stage.points.symbol] == ["disc", "x", "disc"]


@case(CLICKS, "Control-click")
def _(stage: Prompting) -> None:
    stage.pointer.click(NUCLEI[0], "Control")
    stage.pointer.click(NUCLEI[1])
    stage.pointer.click_letting_go_first(NUCLEI[2], "Control")
    stage.pointer.click(NUCLEI[3])
    assert stage.said() == [False, True, False, True]
    assert stage.dock._tools["click +"].isChecked()


@case(CLICKS, "right-click")
def _(stage: Prompting) -> None:
    stage.pointer.click(NUCLEI[0], button=RIGHT)
    stage.pointer.click(NUCLEI[1])
    stage.dock.choose("click -")
    stage.pointer.click(NUCLEI[2], button=RIGHT)
    stage.pointer.click(NUCLEI[3])
    assert stage.said() == [False, True, True, False]


def _stroke(place: tuple[int, int]) -> list[tuple[int, int]]:
    return [(place[0], place[1] + step) for step in range(-6, 7, 3)]


def _through(place: tuple[int, int]) -> list[tuple[int, int]]:
    return [(place[0], place[1] + step) for step in range(-18, 19, 6)]


def _around(place: tuple[int, int]) -> list[tuple[float, float]]:
    turn = np.linspace(0, 2 * np.pi, 16)
    return [(place[0] + 12 * np.sin(a), place[1] + 12 * np.cos(a)) for a in turn]


def _retaken(stage: Prompting, tool: str) -> None:
    """Alt+click with a tool of prompts in use takes an object into the hand, and the tool stays."""
    first = stage.put(NUCLEI[0])
    before = stage.annotator.committed.layer.data.copy()
    stage.dock.choose(tool)
    stage.pointer.click(NUCLEI[3], "Alt")
    assert "no committed object" in stage.dock._status.text()
    assert stage.annotator.prompts.empty
    stage.pointer.click(NUCLEI[0], "Alt", shake=2)
    refined = stage.annotator.hand.refined
    assert refined is not None
    assert refined.id == first
    assert stage.annotator.tool == tool
    assert np.array_equal(stage.annotator.preview.layer.data > 0, before == first)
    assert np.array_equal(stage.annotator.committed.layer.data, before)


@case(CLICKS, "Alt-click")
def _(stage: Prompting) -> None:
    _retaken(stage, "click -")
    assert stage.said() == [True], "no click was added"
    stage.pointer.key("Control-Z")
    assert stage.annotator.hand.refined is None


@case(SCRIBBLES, "Alt-click")
def _(stage: Prompting) -> None:
    _retaken(stage, "scribble +")
    assert not stage.annotator.prompts.scribbles.data.any()


@case(BOXES, "Alt-click")
def _(stage: Prompting) -> None:
    _retaken(stage, "box")


@case(DRAWN, "click")
def _(stage: Prompting) -> None:
    mask = Mask(np.ones((20, 50), bool), Frame(Box(100, 40, 120, 90), (20, 50)))
    stage.annotator.committed.commit([mask], "keep", {})
    stage.annotator.choose("split")
    for place, count in (((110, 48), 1), ((110, 82), 2)):
        stage.pointer.click(place)
        stage.until(lambda: not stage.annotator.drawing.layer.data)
        stage.until(lambda n=count: len(stage.objects()) == n)


@case(DRAWN, "Alt-click")
def _(stage: Prompting) -> None:
    _retaken(stage, "lasso +")
    assert len(stage.annotator.drawing.layer.data) == 0


@case(DRAWN, "drag")
def _(stage: Prompting) -> None:
    stage.dock.choose("lasso -")
    stage.pointer.drag(_around(NUCLEI[1]))
    stage.until(lambda: not stage.annotator.prompts.empty)
    painted = stage.annotator.prompts.scribbles.data
    assert set(np.unique(painted)) == {0, 2}
    assert abs(int((painted == 2).sum()) - np.pi * 144) < 80
    assert len(stage.annotator.drawing.layer.data) == 0
    stage.annotator.clear()
    stage.dock.choose("draw")
    stage.pointer.drag(_around(NUCLEI[2]))
    stage.until(lambda: len(stage.objects()) == 1)
    (drawn,) = stage.annotator.store.objects()
    assert abs(drawn.area_px - np.pi * 144) < 80
    assert drawn.info["model"] == "by hand"
    stage.annotator.undo()
    assert stage.objects() == []


@case(SCRIBBLES, "T")
def _(stage: Prompting) -> None:
    stage.dock.choose("scribble +")
    stage.pointer.key("T")
    stage.pointer.drag(_stroke(NUCLEI[0]))
    # drawn in stripes, so that it differs from a scribble inside by more than its colour
    assert set(np.unique(stage.annotator.prompts.scribbles.data)) == {0, OUTSIDE, HATCHED}
    assert set(np.unique(stage.annotator.prompts.prompt.painted.array)) == {0, OUTSIDE}
    assert stage.dock._tools["scribble -"].isChecked()


@case(SCRIBBLES, "drag")
def _(stage: Prompting) -> None:
    stage.dock.choose("scribble +")
    stage.pointer.drag(_stroke(NUCLEI[0]))
    assert stage.annotator.prompts.scribbles.data[NUCLEI[0]] == 1
    assert stage.annotator.steps.titles[-1] == "the scribble"


@case(BOXES, "drag")
def _(stage: Prompting) -> None:
    stage.dock.choose("box")
    row, col = NUCLEI[0]
    stage.pointer.drag([(row - 15 + k, col - 15 + k) for k in range(0, 31, 10)])
    (box,) = stage.annotator.prompts.drawn_boxes
    assert np.allclose(tuple(box), (row - 15, col - 15, row + 15, col + 15), atol=2)


@case(COMMITTED, "Control-click")
def _(stage: Prompting) -> None:
    first, second = stage.put(NUCLEI[0]), stage.put(NUCLEI[1])
    third = stage.put(NUCLEI[2])
    stage.dock.viewer.layers.selection.active = stage.layer
    stage.pointer.click(NUCLEI[0], "Control")
    assert stage.objects() == [second, third]
    stage.dock.choose("paint")
    stage.pointer.click(NUCLEI[1], "Control", shake=2)
    assert stage.objects() == [third], "the brush paints nothing where a gesture is meant"
    assert stage.dock._correct["paint"].isChecked()
    stage.pointer.click(NUCLEI[3], "Control")
    assert "no committed object" in stage.dock._status.text()
    assert stage.objects() == [third]
    assert first not in stage.objects()


@case(COMMITTED, "Alt-click")
def _(stage: Prompting) -> None:
    first, second = stage.put(NUCLEI[0]), stage.put(NUCLEI[1])
    stage.dock.viewer.layers.selection.active = stage.layer
    stage.pointer.click(NUCLEI[0], "Alt")
    stage.pointer.click(NUCLEI[1], "Alt")
    assert stage.objects() == [first]
    assert stage.annotator.committed.at(*NUCLEI[1]) == first
    stage.annotator.undo()
    assert stage.objects() == [first, second], "one gesture is one step"


@case(COMMITTED, "Shift-click")
def _(stage: Prompting) -> None:
    first = stage.put(NUCLEI[0])
    stage.dock.choose("paint")
    stage.layer.brush_size = 5
    stage.pointer.click(NUCLEI[0], "Shift")
    assert f"extends object {first}" in stage.dock._status.text()
    stage.pointer.drag(_stroke((NUCLEI[0][0] + 25, NUCLEI[0][1])))
    stage.pointer.drag(_stroke((NUCLEI[0][0] + 30, NUCLEI[0][1])))
    assert stage.objects() == [first]
    stage.pointer.click(NUCLEI[3], "Shift")
    stage.pointer.drag(_stroke(NUCLEI[3]))
    stage.pointer.drag(_stroke(NUCLEI[4]))
    assert len(stage.objects()) == 3, "each stroke is an object of its own"


@case(COMMITTED, "click")
def _(stage: Prompting) -> None:
    first, second, third = (stage.put(place) for place in NUCLEI[:3])
    stage.dock.choose("merge")
    assert "Click the objects to join" in stage.dock._status.text()
    stage.pointer.click(NUCLEI[0])
    stage.pointer.click(NUCLEI[1])
    assert stage.objects() == [first, third]
    stage.dock.choose("delete")
    stage.pointer.click(NUCLEI[2])
    assert stage.objects() == [first]
    stage.dock.choose("click +")
    stage.dock.viewer.layers.selection.active = stage.layer
    stage.pointer.click(NUCLEI[0])
    assert stage.objects() == [first], "no mode stays on unseen"
    stage.dock.choose("refine")
    stage.pointer.click(NUCLEI[0])
    assert stage.annotator.hand.refined.id == first
    assert stage.annotator.tool == "click +"
    assert second not in stage.objects()


def _chosen(stage: Prompting) -> int:
    """An object that was chosen as a person does it."""
    first = stage.put(NUCLEI[0])
    stage.dock.viewer.layers.selection.active = stage.layer
    stage.pointer.click(NUCLEI[0], "Shift")
    assert stage.annotator.committed.chosen == first
    return first


@case(COMMITTED, "R")
def _(stage: Prompting) -> None:
    first = _chosen(stage)
    stage.pointer.key("R")
    assert stage.annotator.hand.refined.id == first
    assert stage.dock._tools["click +"].isChecked()
    stage.annotator.clear()
    assert stage.objects() == [first]


@case(COMMITTED, "G")
def _(stage: Prompting) -> None:
    first = _chosen(stage)
    stage.pointer.key("G")
    assert stage.annotator.store.box_of(first).width == 25, "half a micron is two pixels"
    assert "by 0.5 µm" in stage.dock._status.text()


@case(COMMITTED, "Shift-G")
def _(stage: Prompting) -> None:
    first = _chosen(stage)
    stage.pointer.key("Shift-G")
    assert stage.annotator.store.box_of(first).width == 17
    stage.annotator.undo()
    assert stage.annotator.store.box_of(first).width == 21


@case(COMMITTED, "S")
def _(stage: Prompting) -> None:
    first = _chosen(stage)
    stage.dock.choose("paint")
    stage.layer.brush_size = 1
    row, col = NUCLEI[0]
    stage.pointer.drag([(row, col + step) for step in range(8, 27, 3)])
    area = stage.annotator.store.area_of(first)
    stage.pointer.key("S")
    assert stage.annotator.store.box_of(first).width < 25
    assert abs(stage.annotator.store.area_of(first) - area) < 10


@case(COMMITTED, "Shift-F")
def _(stage: Prompting) -> None:
    first = _chosen(stage)
    area = stage.annotator.store.area_of(first)
    stage.dock.choose("erase")
    stage.layer.brush_size = 3
    stage.pointer.drag([NUCLEI[0], (NUCLEI[0][0], NUCLEI[0][1] + 2)])
    assert stage.annotator.store.area_of(first) < area
    stage.pointer.key("Shift-F")
    assert stage.annotator.store.area_of(first) == area
    stage.pointer.key("Shift-F")
    assert "nothing to change" in stage.dock._status.text()


# -- the Text dock -----------------------------------------------------------------------------


@dataclass
class Marking:
    """The Text dock with tiles scored for a word, some of them in view."""

    dock: TextDock
    pointer: Pointer

    def __post_init__(self) -> None:
        self.control = self.dock.control
        self.tiles = self.control.work.scores.top("tumour", 3).tolist()

    def reset(self) -> None:
        """No marks; a click says yes."""
        while self.marks():
            self.dock.session.steps.undo()
        self.dock.calibration._yes.click()

    def marks(self) -> dict[int, bool]:
        return self.control.work.marks("tumour")

    def place(self, number: int) -> tuple[float, float]:
        return self.control.work.scores.box(self.tiles[number]).centre


@pytest.fixture
def marking(make_napari_viewer, monkeypatch, tmp_path, until):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1000, 700)
    viewer.open(str(sample_file(SLIDE)), plugin="napari-histoprompt")
    dock = TextDock(viewer)
    viewer.window.add_dock_widget(dock, name="Text")
    dock.area.choose("slide")
    dock.words._line.setText("tumour")
    dock.words._line.returnPressed.emit()
    until(lambda: dock.control.work is not None)
    viewer.window.resize(1500, 950)
    QTest.qWait(100)
    viewer.fit_to_view()
    yield Marking(dock, Pointer(dock.annotator))
    session_of(viewer).close()


def test_keys_and_gestures_of_the_text_dock(marking):
    sweep(marking, MARKED)


@case(MARKED, "click")
def _(stage: Marking) -> None:
    stage.pointer.click(stage.place(0), shake=2)
    assert stage.marks() == {stage.tiles[0]: True}
    stage.dock.calibration._no.click()
    stage.pointer.click(stage.place(1))
    assert stage.marks() == {stage.tiles[0]: True, stage.tiles[1]: False}
    stage.pointer.click(stage.place(1))
    assert stage.marks() == {stage.tiles[0]: True}


@case(MARKED, "Control-click")
def _(stage: Marking) -> None:
    stage.pointer.click(stage.place(0), "Control")
    stage.pointer.click(stage.place(1))
    assert stage.marks() == {stage.tiles[0]: False, stage.tiles[1]: True}
    symbols = {s.value for s in stage.control.layers.marks.symbol}
    assert symbols == {"x", "square"}


@case(MARKED, "right-click")
def _(stage: Marking) -> None:
    stage.pointer.click(stage.place(0), button=RIGHT)
    stage.dock.calibration._no.click()
    stage.pointer.click(stage.place(1), button=RIGHT)
    assert stage.marks() == {stage.tiles[0]: False, stage.tiles[1]: True}


@case(MARKED, "Y")
def _(stage: Marking) -> None:
    stage.pointer.move(stage.place(2))
    stage.pointer.key("Y")
    assert stage.marks() == {stage.tiles[2]: True}


@case(MARKED, "N")
def _(stage: Marking) -> None:
    stage.pointer.move(stage.place(2))
    stage.pointer.key("N")
    assert stage.marks() == {stage.tiles[2]: False}


@case(MARKED, "T")
def _(stage: Marking) -> None:
    stage.pointer.key("T")
    assert stage.dock.calibration._no.isChecked()
    stage.pointer.click(stage.place(0))
    assert stage.marks() == {stage.tiles[0]: False}


@case(MARKED, "Control-Z")
def _(stage: Marking) -> None:
    stage.pointer.click(stage.place(0))
    stage.pointer.key("Control-Z")
    assert stage.marks() == {}
    assert "a tile marked yes for tumour" in stage.dock._status.text()


@case(MARKED, "Control-Shift-Z")
def _(stage: Marking) -> None:
    stage.pointer.click(stage.place(0))
    stage.pointer.key("Control-Z")
    stage.pointer.key("Control-Shift-Z")
    assert stage.marks() == {stage.tiles[0]: True}


# -- the Count dock ----------------------------------------------------------------------------


@dataclass
class Reviewing:
    """The Count dock on five nuclei that were counted, four of them labelled."""

    dock: CountDock
    pointer: Pointer
    until: Callable[[Callable[[], bool]], None]

    def __post_init__(self) -> None:
        self.counting = self.dock.counting
        self.layer = self.dock._shown.cells

    def reset(self) -> None:
        """Two classes are learnt, the fifth cell is offered in sight; clicks choose cells."""
        classes = self.counting.classes
        self.dock._pointer.use("")
        self.until(lambda: not self.counting.correcting.pending)
        while self.counting.steps.titles:
            self.counting.steps.undo()
        assert len(self.counting.cells) == len(NUCLEI)
        for name, members in (("dark", (1, 2)), ("pale", (3, 4))):
            classes.add_class(name)
            classes.label(members, name)
        self.until(lambda: classes.suggestion is not None)
        self.dock.tabs.setCurrentIndex(1)
        self.dock.viewer.layers.selection.active = self.layer
        # An answer flies to the cell that is offered next.
        show_with_margin(self.dock.viewer, self.dock.session.slide.image)

    def labels(self) -> dict[int, str]:
        return dict(self.counting.classes.labelling.review.labels)

    def place(self, cell: int) -> tuple[float, float]:
        return self.counting.place(cell)


@pytest.fixture
def reviewing(make_napari_viewer, picture, monkeypatch, tmp_path, until):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    dock = CountDock(viewer)
    viewer.window.add_dock_widget(dock, name="Count")
    slide = dock.session.slide.slide
    dock.counting.count(slide, CountChoice(segmenter="classical-cells"), slide.box.to_pixels())
    until(lambda: dock.counting.cells is not None and dock._shown is not None)
    assert len(dock.counting.cells) == len(NUCLEI)
    yield Reviewing(dock, Pointer(dock._shown), until)
    session_of(viewer).close()


def test_keys_and_gestures_of_the_count_dock(reviewing):
    sweep(reviewing, CELLS, AUDIT)


@case(CELLS, "click")
def _(stage: Reviewing) -> None:
    before = stage.labels()
    stage.pointer.click(stage.place(2))
    assert stage.counting.cell == 2
    assert stage.labels() == before


@case(CELLS, "drag")
def _(stage: Reviewing) -> None:
    stage.dock._pointer.use("pale")
    row, col = stage.place(5)
    stage.pointer.drag([(row, col - 4), (row, col), (row, col + 4)])
    assert stage.labels()[5] == "pale"


def _without(stage: Reviewing, cell: int) -> None:
    """The cell is gone, and all that followed is done."""
    stage.until(lambda: stage.counting.place(cell) is None)
    stage.until(lambda: not stage.counting.correcting.pending)


@case(CELLS, "Control-click")
def _(stage: Reviewing) -> None:
    stage.pointer.click(stage.place(3), "Control")
    _without(stage, 3)
    assert set(stage.counting.cells.id) == {1, 2, 4, 5}
    assert "deleting cell 3" in stage.counting.steps.titles


@case(CELLS, "Shift-click")
def _(stage: Reviewing) -> None:
    place = stage.place(3)
    stage.counting.correcting.delete([3])
    _without(stage, 3)
    stage.dock.correct.choose("classical")
    stage.pointer.click(place, "Shift")
    stage.until(lambda: len(stage.counting.cells) == 5)
    (made,) = set(stage.counting.cells.id.tolist()) - {1, 2, 4, 5}
    assert np.hypot(*np.subtract(stage.place(made), place)) < 3


@case(CELLS, "Alt-click")
def _(stage: Reviewing) -> None:
    first, second = stage.place(1), stage.place(2)
    stage.pointer.click(first, "Alt")
    assert len(stage.counting.cells) == 5
    stage.pointer.click(second, "Alt")
    _without(stage, 1)
    (made,) = set(stage.counting.cells.id.tolist()) - {3, 4, 5}
    assert [stage.dock._shown.cell_at(p) for p in (first, second)] == [made, made]
    assert stage.labels()[made] == "dark", "what a person said of both is said of the one"


def _number_case(number: int) -> None:
    @case(CELLS, str(number))
    def _(stage: Reviewing) -> None:
        for extra in range(3, 10):
            stage.counting.classes.add_class(f"class {extra}")
        stage.pointer.click(stage.place(4))
        stage.pointer.key(str(number))
        names = ["dark", "pale", *(f"class {i}" for i in range(3, 10))]
        assert stage.labels()[4] == names[number - 1]


for _key in range(1, 10):
    _number_case(_key)


@case(CELLS, "A")
def _(stage: Reviewing) -> None:
    proposed = stage.counting.classes.suggestion.proposed
    stage.dock.tabs.setCurrentIndex(0)
    stage.pointer.key("A")
    assert 5 not in stage.labels(), "nobody answers a question that is out of sight"
    assert "Answer it now" in stage.dock._status.text()
    stage.pointer.key("A")
    assert stage.labels()[5] == proposed


@case(CELLS, "R")
def _(stage: Reviewing) -> None:
    proposed = stage.counting.classes.suggestion.proposed
    stage.pointer.key("R")
    assert stage.labels()[5] == {"dark": "pale", "pale": "dark"}[proposed]


@case(CELLS, "U")
def _(stage: Reviewing) -> None:
    stage.pointer.key("U")
    assert 5 not in stage.labels()
    assert stage.counting.steps.titles[-1] == "the answer to the offered cell"


@case(CELLS, "Control-Z")
def _(stage: Reviewing) -> None:
    before = stage.labels()
    stage.counting.classes.label([5], "pale")
    stage.pointer.key("Control-Z")
    assert stage.labels() == before
    assert "the class pale given to 1 cell" in stage.dock._status.text()


@case(CELLS, "Control-Shift-Z")
def _(stage: Reviewing) -> None:
    stage.counting.classes.label([5], "pale")
    stage.pointer.key("Control-Z")
    stage.pointer.key("Control-Shift-Z")
    assert stage.labels()[5] == "pale"


def _field(stage: Reviewing) -> Any:
    audited = AuditLayers(stage.dock._shown)
    audited.say("dark")
    audited.show(Box(0, 0, 220, 200), (), ("dark", "pale"), None)
    return audited._points()


@case(AUDIT, "click")
def _(stage: Reviewing) -> None:
    points = _field(stage)
    before = len(points.data)
    stage.pointer.click(NUCLEI[2])
    assert len(points.data) == before + 1
    assert np.allclose(points.data[-1], NUCLEI[2], atol=2)


@case(AUDIT, "Control-Z")
def _(stage: Reviewing) -> None:
    points = _field(stage)
    stage.pointer.click(NUCLEI[3])
    assert len(points.data) == 1
    stage.pointer.key("Control-Z")
    assert len(points.data) == 0


def test_the_keys_dock_shows_every_row(qtbot):
    dock = KeysDock()
    qtbot.addWidget(dock)
    shown = [
        (dock._table.item(row, 0).text(), dock._table.item(row, 1))
        for row in range(dock._table.rowCount())
    ]
    assert [(key, does.text()) for key, does in shown if does is not None] == [
        (g.title, g.does) for group in LAYERS for g in TABLE if g.group == group
    ]
