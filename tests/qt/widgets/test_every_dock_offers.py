"""Every dock offers what it would do: the recipe reads back, and the command parses to the same."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QTabBar,
    QTableView,
    QWidget,
)

import histoprompt._qt
from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.exchange.dock import ExportDock
from histoprompt._qt.exchange.import_dock import ImportDock
from histoprompt._qt.explore.dock import ExploreDock
from histoprompt._qt.layers.make import box_vertices
from histoprompt._qt.models.dock import ModelsDock
from histoprompt._qt.objects.dock import ObjectsDock
from histoprompt._qt.project.dock import ProjectDock
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.reader import read
from histoprompt._qt.relate.dock import RelateDock
from histoprompt._qt.shell.session import session_of
from histoprompt._qt.tags.dock import TagsDock
from histoprompt._qt.text.dock import TextDock
from histoprompt._qt.training.dock import TrainDock
from histoprompt._qt.widgets.allowing import MISSING
from histoprompt._qt.widgets.base import Dock, Page
from histoprompt.cli import build_parser
from histoprompt.cli.parameters import read_parameters
from histoprompt.core.geometry import Box
from histoprompt.core.parameters import fields_of
from histoprompt.pipelines.exchange.export import ExportParams
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams
from histoprompt.pipelines.explore.concepts.params import ConceptApplyParams
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.tile_classes.apply import TilesParams
from histoprompt.pipelines.project.project import new_project
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.recipe import made_recipe, read_recipe, write_recipe
from histoprompt.pipelines.relate.params import RelateParams
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.text.text_embedding import ScoreParams
from histoprompt.training.label_params import LabelTrainingParams

pytestmark = pytest.mark.gui

# Docks without a recipe or a command of their own, and why.
WITHOUT = {
    "ObjectsDock": "lists what was committed; the Export dock writes it",
    "CellsDock": "shows the count of the Count dock",
    "ModelsDock": "keeps the weights of this machine",
}


def all_docks() -> set[str]:
    """The names of all docks in the sources, whether this test knows them or not."""
    files = Path(histoprompt._qt.__file__).parent.rglob("*dock.py")
    heads = (line for file in files for line in file.read_text("utf-8").splitlines())
    return {h.split()[1].split("(")[0] for h in heads if h.startswith("class ") and "(Dock)" in h}


def count(dock: CountDock, _: Path) -> None:
    dock.session.slide.take_lone()
    dock.region.set_value(replace(dock.region.value(), segmenter="classical-cells", tile=256))


def prompt(dock: PromptDock, _: Path) -> None:
    dock.models.choose("classical")
    dock.annotator.prompts.boxes.add_rectangles(box_vertices(Box(1210, 1510, 1260, 1560)))


def text(dock: TextDock, _: Path) -> None:
    dock.models.choose("vocabulary")
    dock.set_value(ScoreParams(texts=("nuclei",), overlap=2))


def export(dock: ExportDock, _: Path) -> None:
    dock.set_value(ExportParams(format="coco", simplify=0.5))


def tags(dock: TagsDock, folder: Path) -> None:
    text = (f'[[tags]]\nname = "{n}"\nwordings = ["{n}", "{n} tissue"]\n' for n in ("a", "b"))
    (folder / "tags.toml").write_text("".join(text))
    dock.set_value(TagParams(tags=folder / "tags.toml", candidates=12))


def relate(dock: RelateDock, folder: Path) -> None:
    study = new_project(folder / "study").folder
    rows = (f"s{i},p{i},{i % 2}\n" for i in range(4))
    (study / "slides.csv").write_text("id,patient,grade\n" + "".join(rows))
    dock.open(study)
    against = RelateParams(features=str(folder / "f.csv"), against=("grade",), permutations=300)
    dock.set_value(against)


def like(dock: ExploreDock, _: Path) -> None:
    dock.set_value(IndexParams(mpp=1.0))
    dock.pages.setCurrentWidget(dock.like)
    dock.control.add_box(Box(1200, 1500, 1328, 1628), True)


def nothing_alike(dock: ExploreDock, _: Path) -> None:
    dock.set_value(IndexParams(mpp=2.0))
    dock.pages.setCurrentWidget(dock.like)


def unlike(dock: ExploreDock, _: Path) -> None:
    dock.pages.setCurrentWidget(dock.unlike)
    dock.unlike.options.set_value(UnlikeParams(rate=0.125))
    dock.normal.add(Box(1200, 1500, 1328, 1628))


def scenes(dock: ExploreDock, _: Path) -> None:
    dock.pages.setCurrentWidget(dock.scenes)
    dock.scenes.options.set_value(replace(dock.scenes.options.value(), scenes=5))


def tile_classes(dock: ExploreDock, folder: Path) -> None:
    dock.pages.setCurrentWidget(dock.classes)
    dock.classes.file.set_value(TilesParams(classifier=folder / "t.safetensors"))


def concepts(dock: ExploreDock, folder: Path) -> None:
    dock.pages.setCurrentWidget(dock.concepts)
    dock.concepts.file.set_value(ConceptApplyParams(concepts=folder / "c.json"))


RECIPES = (
    (CountDock, count, "count"),
    (PromptDock, prompt, "segment"),
    (TextDock, text, "score"),
    (ExportDock, export, "export"),
    (ExploreDock, nothing_alike, "index"),
    (ExploreDock, like, "search"),
    (ExploreDock, unlike, "anomaly"),
    (ExploreDock, scenes, "cluster"),
    (ExploreDock, tile_classes, "tiles"),
    (ExploreDock, concepts, "concepts"),
    (TagsDock, tags, "tag"),
    (RelateDock, relate, "relate"),
)
COMMANDS = (ImportDock, ProjectDock, TrainDock)


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch, tmp_path, sample_slide):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    viewer = make_napari_viewer()
    for data, arguments, _ in read(sample_slide):
        viewer.add_image(data, **arguments)
    yield viewer
    session_of(viewer).close()


def test_every_dock_is_asked():
    assert {kind.__name__ for kind, *_ in RECIPES} | {k.__name__ for k in COMMANDS} == (
        all_docks() - set(WITHOUT)
    )
    assert set(WITHOUT) <= all_docks()


def test_the_recipe_of_every_dock_reads_back_and_so_does_its_command(viewer, tmp_path, until):
    docks: dict[type[Dock], Dock] = {}
    for kind, fill, name in RECIPES:
        if kind not in docks:
            docks[kind] = kind(viewer)
        dock = docks[kind]
        fill(dock, tmp_path)
        assert grey_and_silent(dock) == []
        steps = tuple(dock.recipe._made(Needs(tmp_path, name)))
        assert [one.name for one in steps] == [name]
        assert type(steps[0].params) is steps[0].step.params
        assert steps[0].params != steps[0].step.params()
        folder = tmp_path / f"recipe-{name}"
        recipe = made_recipe(steps)
        read = read_recipe(write_recipe(folder, recipe))
        assert read.models == recipe.models
        assert read.steps == (replace(steps[0], params=beside(steps[0].params, folder)),)
        parse_copied(dock, steps[0])


def beside(params, folder):
    """The same parameters, with relative paths as those of a recipe in a folder."""
    paths = {
        one.name: folder / value
        for one in fields_of(type(params))
        if isinstance(value := getattr(params, one.name), Path)
    }
    return replace(params, **paths)


def grey_and_silent(dock: Dock) -> list[str]:
    """The buttons and rows of a dock that are grey and do not say why, nor does their page."""
    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QTableView)
    found = []
    for widget in dock.findChildren(QWidget):
        inner = isinstance(widget.parentWidget(), QTabBar) or not isinstance(widget, kinds)
        if inner or widget.isEnabled():
            continue
        if not (says_why(widget, dock) or getattr(widget, "text", str)() == "Cancel"):
            found.append(f"{type(widget).__name__} {widget.toolTip()}")
    return found


def says_why(widget: QWidget, dock: Dock) -> bool:
    """Whether a grey widget, or what it stands on, says what is missing."""
    at: QWidget | None = widget
    while at is not None and at is not dock:
        if at.property(MISSING) or (isinstance(at, Page) and at.missing):
            return True
        at = at.parentWidget()
    return False


def parse_copied(dock: Dock, step) -> None:
    """What is copied is a command of the step, and its arguments give the step's parameters."""
    QApplication.clipboard().clear()
    dock.recipe.copying.trigger()
    words = shlex.split(QApplication.clipboard().text())
    assert words[1] == step.name, (words, step.name)
    args = build_parser().parse_args(words[1:])
    told = {name: getattr(step.params, name) for name in _TOLD_OTHERWISE.get(step.name, ())}
    assert read_parameters(type(step.params), args, tuple(told), **told) == step.params


# Fields whose arguments are read with the slide or by hand; the commands' own tests read them.
_TOLD_OTHERWISE = {
    "count": ("region",),
    "score": ("region", "texts", "contrasts"),
    "search": ("like", "unlike", "texts"),
    "anomaly": ("reference",),
    "tag": ("region", "tags"),
    "export": ("region",),
    "segment": ("region", "prompts"),
}


def test_the_commands_of_the_other_docks(viewer, tmp_path):
    def copied(dock):
        QApplication.clipboard().clear()
        dock.recipe.copying.trigger()
        return shlex.split(QApplication.clipboard().text())

    train = TrainDock(viewer)
    params = LabelTrainingParams(name="mine", steps=12, batch=2, tile=128, variants=3, rate=0.01)
    for kind in (ObjectsDock, ModelsDock):
        assert grey_and_silent(kind(viewer)) == []
    train.session.slide.take_lone()
    train.set_value(replace(params, keep=0.5, seed=3))
    args = build_parser().parse_args(copied(train)[1:])
    assert read_parameters(LabelTrainingParams, args) == replace(params, keep=0.5, seed=3)
    assert (args.labels, Path(args.image).name) == ("store", "slide.ome.tif")
    train._source.setCurrentIndex(1)
    assert copied(train) == []
    assert "Commit them" in train.report.status.text()

    project = ProjectDock(viewer)
    assert not project._check.isEnabled()
    assert grey_and_silent(project) == []
    assert copied(project) == []
    project.open(new_project(tmp_path / "study").folder)
    project.controller.recipe = tmp_path / "r.toml"
    assert copied(project)[1:] == ["run", str(tmp_path / "r.toml"), str(tmp_path / "study")]

    bring = ImportDock(viewer)
    assert grey_and_silent(bring) == []
    bring._go.setProperty(MISSING, "")
    assert len(grey_and_silent(bring)) == 1, "the sweep sees what it is for"
    bring._files.setText(str(tmp_path / "x.geojson"))
    args = build_parser().parse_args(copied(bring)[1:])
    assert args.files == [tmp_path / "x.geojson"]
