"""Sentences about places bring images and texts together, or are refused."""

import csv
import math

import numpy as np
import pytest
import tifffile

from histoprompt.cli import main
from histoprompt.core.errors import PromptError, WeightsError
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.zoo.aligned_file import TfIdf, read_aligned
from histoprompt.pipelines.align.figures import Data, judged
from histoprompt.pipelines.align.judge import MATCH, recalls
from histoprompt.pipelines.align.maps import ImageFeatures, cca, ridge, scores
from histoprompt.pipelines.align.params import AlignParams
from histoprompt.pipelines.align.shuffling import folds_of, shuffled
from histoprompt.pipelines.align.texts import SentenceVectors
from histoprompt.pipelines.project.project import add_slides, new_project
from histoprompt.pipelines.project.table import ProjectSlide
from histoprompt.pipelines.recipes.recipe import (
    RecipeStep,
    made_recipe,
    read_recipe,
    write_recipe,
)

KINDS = {
    "pink fibrous tissue with collagen": (235, 150, 190),
    "dark purple nuclei in sheets": (95, 60, 150),
    "white empty background": (245, 243, 245),
    "red blood with erythrocytes": (190, 40, 50),
}
PATIENTS, PLACES, SIDE = 6, 8, 64


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A slide per patient: eight places of four colours, dyed a little otherwise each time."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(3)
    rows = []
    for patient in range(PATIENTS):
        tint = rng.integers(-12, 13, 3)
        pixels = np.full((SIDE, SIDE * PLACES, 3), 245, np.uint8)
        for place in range(PLACES):
            words = list(KINDS)[place % len(KINDS)]
            part = KINDS[words] + tint + rng.integers(-15, 16, (SIDE, SIDE, 3))
            pixels[:, place * SIDE : (place + 1) * SIDE] = part.clip(0, 255)
            box = f"0,{place * SIDE},{SIDE},{(place + 1) * SIDE}"
            rows.append((f"s{patient}.tif", box, f"p{patient}", "ab"[patient % 2], words))
        tifffile.imwrite(
            folder / f"s{patient}.tif", pixels, photometric="rgb", resolution=(1e4, 1e4),
            resolutionunit="CENTIMETER",
        )  # fmt: skip
    write(folder / "pairs.csv", rows)
    mixed = [row[4] for row in rows]
    np.random.default_rng(1).shuffle(mixed)
    write(folder / "mixed.csv", [(*row[:4], text) for row, text in zip(rows, mixed, strict=True)])
    return folder


def write(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("slide", "box", "patient", "site", "sentences"), *rows])


def align(study, name, *more, pairs="pairs.csv"):
    argv = [
        "align",
        "--pairs",
        str(study / pairs),
        "--image",
        "vocabulary",
        "--patient-folds",
        "3",
        "--device",
        "cpu",
    ]
    return main([*argv, "--device", "cpu", "--out", str(study / name), *more])


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_vocabulary_is_made_and_takes_new_words(study, capsys):
    assert align(study, "own.safetensors", "--text", "tfidf", "--name", "colours") == 0
    assert "against shuffled pairs" in capsys.readouterr().out
    (step,) = read_recipe(study / "recipe.toml").steps
    assert (step.name, step.params.pairs) == ("align", study / "pairs.csv")
    rows = table(study / "align.csv")
    assert list(rows[0]) == ["split", "measure", "value", "plain", "shuffled"]
    assert {"patients", "fold 1", "site a", "site b"} <= {row["split"] for row in rows}
    (match,) = [r for r in rows if (r["split"], r["measure"]) == ("patients", MATCH)]
    assert float(match["value"]) > 0.9
    assert float(match["shuffled"]) < 0.65
    (held,) = [r for r in rows if r["measure"] == "auroc held-out words"]
    assert held["value"] == ""  # words are all it knows

    for name in ("aligned-colours", str(study / "own.safetensors")):
        card = registry.card(name)
        assert card.role == "text"
        with ModelManager(device="cpu").lease(card, Task()) as model:
            tiles = np.stack([np.full((64, 64, 3), c, np.uint8) for c in KINDS.values()])
            cosines = model.embed_images(tiles) @ model.embed_texts(["collagen", "blood"]).T
            assert cosines.argmax(axis=0).tolist() == [0, 3]
            with pytest.raises(PromptError, match="no word of the sentences"):
                model.embed_texts(["zebra"])
    argv = ["score", str(study / "s0.tif"), "--model", str(study / "own.safetensors"), "--text"]
    assert main([*argv, "erythrocytes", "--contrast", "collagen", "--out", str(study / "sc")]) == 0


def test_a_recipe_makes_it_of_a_project(study, tmp_path, capsys):
    few = AlignParams(study / "pairs.csv", "vocabulary", "tfidf", folds=3, shuffles=19)
    write_recipe(tmp_path, made_recipe((RecipeStep("align", few),)))
    slides = [ProjectSlide(f"s{n}", str(study / f"s{n}.tif"), patient=f"p{n}") for n in (0, 1)]
    project, _ = add_slides(new_project(tmp_path / "study"), slides)
    recipe = str(tmp_path / "recipe.toml")
    assert main(["run", recipe, str(study / "s0.tif"), "--out", str(tmp_path / "x")]) == 1
    assert "works on a project" in capsys.readouterr().err
    assert main(["run", recipe, str(project.folder)]) == 0
    assert "48 pairs of 6 patients" in capsys.readouterr().out
    assert (project.folder / "align" / "vocabulary.safetensors").is_file()


def test_with_a_sentence_encoder_words_it_never_saw_are_found(study):
    if registry.card("minilm").missing:
        pytest.skip("the sentence encoder is not installed")
    assert (
        align(study, "sentences.safetensors", "--text", "minilm", "--no-keep", "--shuffles", "19")
        == 0
    )
    head, _, words = read_aligned(study / "sentences.safetensors")
    assert words is None
    assert head["image"] == "vocabulary"
    with ModelManager(device="cpu").lease(
        registry.card(str(study / "sentences.safetensors")), Task()
    ) as model:
        tiles = np.stack([np.full((64, 64, 3), c, np.uint8) for c in KINDS.values()])
        cosines = model.embed_images(tiles) @ model.embed_texts(["haemorrhage"]).T
        assert cosines.argmax() == 3


def test_mixed_pairs_are_refused_and_nothing_but_the_figures_is_kept(study, capsys):
    assert align(study, "mixed.safetensors", "--text", "tfidf", pairs="mixed.csv") == 1
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert "no more than shuffled pairs" in told
    assert not (study / "mixed.safetensors").exists()
    assert table(study / "align.csv")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [("gone.tif", *row[1:]) for row in rows], "slide that is not there"),
        (lambda rows: [(*row[:2], "p", *row[3:]) for row in rows], "one patient, p"),
        (lambda rows: rows[:4], "has 4 pairs"),
        (lambda rows: [(*row[:4], "") for row in rows], "line 2 has no sentence"),
        (lambda rows: [(*row[:4], "same") for row in rows], "say the same"),
        (lambda rows: [(row[0], "1,2,3", *row[2:]) for row in rows], "the box is '1,2,3'"),
        (lambda rows: [(row[0], "0,0,900,900", *row[2:]) for row in rows], "reaches outside"),
    ],
)
def test_bad_pairs_end_in_one_line(study, tmp_path, capsys, change, said):
    rows = [tuple(row.values()) for row in table(study / "pairs.csv")]
    for name in [f"s{n}.tif" for n in range(PATIENTS)]:
        (tmp_path / name).symlink_to(study / name)
    write(tmp_path / "pairs.csv", change(rows))
    assert align(tmp_path, "own.safetensors", "--text", "tfidf") == 1
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert said in told
    assert not (tmp_path / "own.safetensors").exists()


def made(rng, signal, patients=8, places=5, wide=12):
    """Images and sentences that share `signal` of what they are, and patients that differ."""
    n = patients * places
    patient = np.repeat(np.arange(patients), places)
    own_image, own_text = rng.normal(size=(patients, wide)), rng.normal(size=(patients, 6))
    shared = rng.normal(size=(n, 6))
    images = rng.normal(size=(n, wide)) + own_image[patient]
    images[:, :6] += signal * shared
    texts = rng.normal(size=(n, 6)) * 0.3 + own_text[patient] + shared
    nothing = np.zeros((n, 0), bool)
    words = SentenceVectors(texts, np.arange(n), (), np.zeros((0, 6)), nothing)
    flat = np.zeros(n, np.int64)
    return Data(images, words, patient, flat, np.zeros((n, n)), np.zeros((n, 0)))


def test_chance_is_kept_no_more_often_than_it_may_be():
    params = AlignParams(shuffles=19)
    kept = [judged(made(np.random.default_rng(n), 0), None, params, Task())[1] <= 0.05
            for n in range(24)]  # fmt: skip
    assert sum(kept) <= 4  # 1.2 are expected; more than 4 of 24 come once in 150
    found = [judged(made(np.random.default_rng(n), 2), None, params, Task())[1] <= 0.05
             for n in range(4)]  # fmt: skip
    assert sum(found) >= 3


def test_recall_counts_the_same_sentence_as_one():
    cosines = np.array([[0.9, 0.1, 0.9], [0.2, 0.8, 0.2], [0.7, 0.1, 0.7]])
    found = recalls(cosines, np.array([0, 1, 0]))
    assert found["recall@1 image to text"] == 1
    assert found[MATCH] == 1
    assert math.isnan(found["recall@5 image to text"])
    worst = recalls(-cosines, np.array([0, 1, 0]))
    assert worst[MATCH] == 0


@pytest.mark.parametrize(
    "fit", [lambda x, y: ridge(ImageFeatures(x, np.arange(len(x)) % 5), y), cca]
)
def test_a_linear_tie_is_found(fit):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(200, 10))
    texts = images[:, :4] @ rng.normal(size=(4, 4)) + 0.1 * rng.normal(size=(200, 4))
    cosines = scores(fit(images[:150], texts[:150]), images[150:], texts[150:])
    assert recalls(cosines, np.arange(50))["recall@1 image to text"] > 0.8


def test_folds_and_shuffles_keep_patients_whole():
    patients = np.repeat(np.arange(7), [3, 5, 2, 9, 4, 4, 6])
    folds = folds_of(patients, 3)
    assert np.array_equal(np.sort(np.concatenate(folds)), np.arange(len(patients)))
    for a in range(3):
        for b in range(a):
            assert not set(patients[folds[a]]) & set(patients[folds[b]])
    for order in shuffled(patients, 20):
        for patient in range(7):
            assert len(set(patients[order[patients == patient]])) == 1


def test_tf_idf_is_that_of_scikit_learn():
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["red blood cells", "pink collagen, red", "blood and more blood"]
    ours = TfIdf.of(texts)
    theirs = TfidfVectorizer()
    wanted = theirs.fit_transform(texts).toarray()
    assert ours.words == tuple(theirs.get_feature_names_out())
    assert ours.embed(texts) == pytest.approx(wanted, abs=1e-6)


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "own.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read"):
        registry.card(str(path))
    with pytest.raises(WeightsError, match="not there"):
        registry.card(str(tmp_path / "none.safetensors"))
