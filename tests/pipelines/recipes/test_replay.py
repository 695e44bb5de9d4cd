"""Every step there is, done twice with nothing kept in between: the files are the same bytes.

What an encoder or a model saw is forgotten before the second time, so that it is computed anew. The
second time each step is cancelled on its way first, and gone on with.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

import killing
from histoprompt.core.errors import Cancelled
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Progress, Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.align.params import AlignParams
from histoprompt.pipelines.classes.classifier_file import write_classifier
from histoprompt.pipelines.classes.train import Trainer, TrainParams
from histoprompt.pipelines.count.step import CountParams
from histoprompt.pipelines.explore.anomaly.run import AnomalyParams
from histoprompt.pipelines.explore.building import build_index
from histoprompt.pipelines.explore.cells import CellIndexParams
from histoprompt.pipelines.explore.concepts.measured import MEASURED
from histoprompt.pipelines.explore.concepts.params import ConceptApplyParams
from histoprompt.pipelines.explore.from_index import tiles_of
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.scenes.find import ClusterParams
from histoprompt.pipelines.explore.search import SearchParams
from histoprompt.pipelines.explore.tile_classes.apply import TilesParams
from histoprompt.pipelines.explore.tile_classes.fit import TileTrainParams, fit_tiles, save_tiles
from histoprompt.pipelines.explore.tile_set import TileSet
from histoprompt.pipelines.formats.cell_files import read_cells
from histoprompt.pipelines.project.project import new_project
from histoprompt.pipelines.project.table import ProjectSlide, SlideTable, write_slides
from histoprompt.pipelines.prompts.step import SegmentParams
from histoprompt.pipelines.recipes.recipe import Recipe, RecipeStep, made_recipe
from histoprompt.pipelines.recipes.run import run_on_project
from histoprompt.pipelines.recipes.step import STEPS, ProjectInput, StepInput, step
from histoprompt.pipelines.recipes.unit import do_step
from histoprompt.pipelines.relate.params import RelateParams
from histoprompt.pipelines.tags.detect import DetectApplyParams, fit
from histoprompt.pipelines.tags.detector import DetectParams
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.text.step import ScoreStepParams
from two_colours import WORDS, Colours

SIDE = 384
pytestmark = pytest.mark.usefixtures("small_windows")

COUNT = RecipeStep("count", CountParams(segmenter="classical-cells", region=(0, 0, 192, 192)))
SEEN = IndexParams(encoder="bands")


@pytest.fixture(autouse=True)
def _small_models(monkeypatch):
    """One moment for all files, and models without torch that look at 144 tiles of the slide."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    more = (("bands", "CARD"), ("two_colours", "CARD"))
    monkeypatch.setattr(registry, "_ZOO", (*registry._ZOO, *more))
    monkeypatch.setattr(Colours, "embed_texts", lambda _, texts: np.stack([*map(_vector, texts)]))
    registry._known_cards.cache_clear()
    yield
    registry._known_cards.cache_clear()


def _vector(text: str) -> np.ndarray:
    """Of a text for the model of colours: words that it does not know are glass to it."""
    rgb = next((rgb for word, rgb in WORDS.items() if word in text), WORDS["glass"])
    centred = np.asarray(rgb, np.float32) - (190, 150, 200)
    return (centred / np.linalg.norm(centred)).astype(np.float32)


@dataclass(frozen=True)
class Place:
    """Where a recipe's own files may lie, and its slide."""

    folder: Path
    slide: Slide

    def given(self, out: Path) -> StepInput:
        return StepInput(self.slide, out, ModelManager(device="cpu"), Task())

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def tiles(self) -> TileSet:
        index = build_index(self.slide, SEEN, ModelManager(device="cpu"), Task())
        return tiles_of([index])


def counted(place: Place) -> list[RecipeStep]:
    """All that follows a count, with classes that were learnt from its small and large cells."""
    do_step(COUNT, place.given(place.folder), Recipe((COUNT,)))
    cells = read_cells(place.folder / "count" / "cells.csv")
    order = np.argsort(cells.area_um2)
    labels = {int(cells.id[i]): "small" for i in order[:6]}
    labels |= {int(cells.id[i]): "large" for i in order[-6:]}
    fit = Trainer(cells, TrainParams()).fit(labels, [])
    write_classifier(place.folder / "c.safetensors", fit.classifier)
    more = {
        "audit": {"fields": 2, "seed": 1},
        "classify": {"classifier": place.folder / "c.safetensors"},
        "report": {},
        "export": {"format": "geojson"},
    }
    return [COUNT, *(RecipeStep(name, step(name).params(**given)) for name, given in more.items())]


def segmented(place: Place) -> list[RecipeStep]:
    text = json.dumps({"objects": [{"id": 1, "box": [40, 40, 90, 90]}]})
    params = SegmentParams(prompts=place.file("prompts.json", text), model="classical")
    return [RecipeStep("segment", replace(params, region=(0, 0, 128, 128)))]


def tiles_classified(place: Place) -> list[RecipeStep]:
    tiles = place.tiles()
    dark = np.argsort(tiles.vectors[:, :3].sum(axis=1))
    labels = {int(row): "dark" for row in dark[:12]} | {int(row): "pale" for row in dark[-12:]}
    path = place.folder / "tiles.safetensors"
    save_tiles(path, fit_tiles(tiles, labels, TileTrainParams(), SEEN))
    return [RecipeStep("tiles", TilesParams(classifier=path))]


def told_by_concepts(place: Place) -> list[RecipeStep]:
    tiles = place.tiles()
    seen = {"encoder": tiles.encoder, "digest": tiles.digest, "mpp": "0", "overlap": "1"}
    name = MEASURED[-1]
    concept = {"name": name, "phrase": "", "middle": 0.1, "spread": 0.05}
    found = {
        "format": "histoprompt concepts 1", "looked_at": seen,
        "classes": {"rough": 3, "smooth": 3}, "intercepts": {"rough": 0.0, "smooth": 0.0},
        "concepts": [{**concept, "coefficients": {"rough": 1.0, "smooth": -1.0}}],
        "left_out": None, "left_out_with_struck": None, "struck": [],
    }  # fmt: skip
    params = ConceptApplyParams(concepts=place.file("concepts.json", json.dumps(found)))
    return [RecipeStep("concepts", params)]


def tagged(place: Place) -> list[RecipeStep]:
    text = "".join(
        f'[[tags]]\nname = "{name}"\nwordings = ["{name}", "{name} tissue"]\n'
        for name in ("pink", "purple")
    )
    params = TagParams(tags=place.file("tags.toml", text), kind="tiles", model="colours")
    return [RecipeStep("tag", replace(params, candidates=40, region=(0, 0, 256, 256)))]


def detected(place: Place) -> list[RecipeStep]:
    """By a detector that was learnt from the tags of the same slide."""
    (tags,) = tagged(place)
    do_step(tags, place.given(place.folder), Recipe((tags,)))
    path = place.folder / "detector.safetensors"
    fit(place.folder / "tag", path, DetectParams())
    return [RecipeStep("detect", DetectApplyParams(file=path))]


def aligned(place: Place) -> list[RecipeStep]:
    """Places of four slides, a patient each, with the colour that they have in words."""
    project, dice = new_project(place.folder / "study").folder, np.random.default_rng(3)
    lines, slides = ["slide,box,patient,site,sentences"], []
    for patient in range(4):
        pixels = np.full((64, 256, 3), 245, np.uint8)
        for n, (word, rgb) in enumerate([*WORDS.items()] * 2):
            shade = np.asarray(rgb) + dice.integers(-9, 10, (64, 32, 3))
            pixels[:, 32 * n : 32 * (n + 1)] = shade.clip(0, 255)
            box = f'"0,{32 * n},64,{32 * (n + 1)}"'
            lines.append(f"s{patient},{box},p{patient},a,tissue that is {word} here")
        path = place.folder / f"s{patient}.tif"
        tifffile.imwrite(
            path, pixels, photometric="rgb", resolution=(2e4, 2e4), resolutionunit="CENTIMETER"
        )
        slides.append(ProjectSlide(f"s{patient}", str(path), patient=f"p{patient}"))
    write_slides(project / "slides.csv", SlideTable().with_slides(slides))
    pairs = place.file("pairs.csv", "\n".join(lines) + "\n")
    params = AlignParams(pairs=pairs, image="colours", text="tfidf", folds=2, shuffles=19)
    return [RecipeStep("align", replace(params, plain="colours"))]


def related(place: Place) -> list[RecipeStep]:
    """To the patients of a project whose slides have no files."""
    dice = np.random.default_rng(3)
    yes = np.arange(24) % 2
    rows = [
        ProjectSlide(f"s{i}", f"{i}.svs", patient=f"p{i}", site="AB"[i % 3 % 2],
                     more={"response": "yes" if yes[i] else "no"})
        for i in range(24)
    ]  # fmt: skip
    project = new_project(place.folder / "study").folder
    write_slides(project / "slides.csv", SlideTable().with_slides(rows))
    values = dice.normal(size=24) + 3 * yes
    lines = "".join(f"s{i},{v:.4f}\n" for i, v in enumerate(values))
    features = place.file("features.csv", f"slide,f0\n{lines}")
    params = RelateParams(
        features=str(features), against=("response",), permutations=200, model=False
    )
    return [RecipeStep("relate", params)]


def one(name: str, params: object) -> Callable[[Place], list[RecipeStep]]:
    return lambda _: [RecipeStep(name, params)]


SCORE = ScoreStepParams(texts=("pink", "purple"), contrasts=("glass",), model="colours")
# By the steps of the recipe that each gives.
CASES: dict[str, Callable[[Place], list[RecipeStep]]] = {
    "count audit classify report export": counted,
    "score": one("score", SCORE),
    "anomaly": one("anomaly", AnomalyParams(encoder="bands", reference=("0,0,384,192",))),
    "cluster": one("cluster", ClusterParams(encoder="bands", scenes=3)),
    "tiles": tiles_classified,
    "concepts": told_by_concepts,
    "segment": segmented,
    "search": one("search", SearchParams(encoder="bands", like=("64,64,128,128",))),
    "relate": related,
    "index": one("index", CellIndexParams(encoder="bands")),
    "tag": tagged,
    "detect": detected,
    "align": aligned,
}


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    return killing.make_slides(tmp_path_factory.mktemp("slide"), 1, (SIDE, SIDE))[0]


def test_every_step_is_replayed():
    assert {name for case in CASES for name in case.split()} == set(STEPS)


def break_off(one: RecipeStep, given: StepInput, recipe: Recipe) -> None:
    """Do a step that is cancelled after its second report, if it makes so many."""
    told = []

    def look(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 2:
            task.cancel()

    task = Task(look)
    with contextlib.suppress(Cancelled):
        do_step(one, replace(given, task=task), recipe)


@pytest.mark.parametrize("case", CASES)
def test_a_replay_gives_the_same_bytes(case, picture, tmp_path, monkeypatch):
    own, made = tmp_path / "own", []
    own.mkdir()
    with open_slide(picture) as slide:
        monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home-0"))
        recipe = made_recipe(tuple(CASES[case](Place(own, slide))))
        assert [one.name for one in recipe.steps] == case.split()
        for time in (1, 2):
            home = tmp_path / f"home-{time}"
            home.mkdir()
            (home / "seal_key").write_bytes(
                bytes(32)
            )  # an account's own, by which it seals exports
            monkeypatch.setenv("HISTOPROMPT_HOME", str(home))
            out = tmp_path / f"out-{time}"
            if not recipe.steps[0].step.slides:
                manager = ModelManager(device="cpu")
                run_on_project(recipe, ProjectInput(own / "study", out, manager, Task()))
            else:
                given = Place(own, slide).given(out)
                for one in recipe.steps:
                    if time > 1:
                        break_off(one, given, recipe)
                    assert do_step(one, given, recipe).complete
            made.append(killing.digests(out))
    assert made[0] == made[1]
    assert {Path(path).name for path in made[0]} - {"recipe.toml", "output.json"}
