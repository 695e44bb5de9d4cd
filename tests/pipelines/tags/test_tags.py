"""Words propose, filters drop, a person reviews: one study through all of it."""

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from histoprompt.cli import main
from histoprompt.core.errors import ParameterError, PromptError, RecordError
from histoprompt.pipelines.formats.coco import read_coco
from histoprompt.pipelines.formats.tiles import read_tiles
from histoprompt.pipelines.recipes.beside import Needs, save_recipe
from histoprompt.pipelines.recipes.recipe import (
    RecipeStep,
    made_recipe,
    read_recipe,
    write_recipe,
)
from histoprompt.pipelines.tags.choosing import DUPLICATE, REASONS, SPLIT
from histoprompt.pipelines.tags.compare import FILTERED, stage_codes
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.proposals import tag_chosen
from histoprompt.pipelines.tags.records import COLUMNS, TAGS_CSV, read_rows
from histoprompt.pipelines.tags.run import read_tagged
from histoprompt.pipelines.tags.tag_file import read_tags
from histoprompt.pipelines.tags.work import read_work
from tagged_study import make_study

HEAD = (
    "id,slide,row,col,tag,wording,votes,entropy,cluster_agrees,score,kept,reason,header,reviewed,"
    "reviewer"
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tags")
    project = make_study(folder)
    tagged = ["--tags", str(folder / "tags.toml"), "--out", str(folder / "out"), "--device", "cpu"]
    assert main(["tag", str(project), *tagged]) == 0
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_line_per_candidate_and_every_drop_a_reason(study):
    out = study / "out"
    assert (out / TAGS_CSV).read_text().splitlines()[0] == HEAD == ",".join(COLUMNS)
    rows = table(out / TAGS_CSV)
    assert [int(row["id"]) for row in rows] == list(range(1, len(rows) + 1))
    assert {row["slide"] for row in rows} == {"part0", "part1", "part2"}
    for row in rows:
        assert (row["reason"] == "") == (row["kept"] == "true")
        assert row["reason"] in ("", *REASONS)
        assert 0 <= float(row["entropy"]) <= 1
        assert "µm²" in row["header"]
        assert "nucleus" in row["header"]
    told = read_tagged(out)
    assert told.dropped == {k: v for k, v in Counter(r["reason"] for r in rows).items() if k}
    assert (out / "recipe.toml").is_file()


def test_words_are_right_more_often_where_they_are_kept(study):
    work, rows = read_work(study / "out"), read_rows(study / "out" / TAGS_CSV)
    real = truth_codes(study, work)
    kept = np.array([row.kept for row in rows])
    tagged = work.code < len(work.names)
    right = work.code == real
    assert right[kept].mean() > right[tagged].mean()
    assert right[kept].mean() > 0.5


def truth_codes(study, work):
    from histoprompt.pipelines.tags.truth import truth_of_points

    own = [
        {**row, "tag": "stroma" if row["tag"] == "fibroblast" else row["tag"]}
        for row in table(study / "truth.csv")
    ]
    path = study / "own_truth.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ("slide", "row", "col", "tag"))
        writer.writeheader()
        writer.writerows(own)
    return truth_of_points(work, path).code


def test_the_training_set_says_of_each_label_who_says_so(study):
    out = study / "out"
    kept = [row for row in table(out / TAGS_CSV) if row["kept"] == "true"]
    labels = table(out / "training_set" / "labels.csv")
    assert {(row["id"], row["tag"]) for row in labels} == {(r["id"], r["tag"]) for r in kept}
    assert {row["source"] for row in labels} == {"machine"}
    ids = set()
    for path in (out / "training_set" / "coco").glob("*/annotations/instances_*.json"):
        for one in json.loads(path.read_text())["annotations"]:
            ids.add(str(one["label"]))
            told = one["attributes"]
            assert {"source", "wording", "votes", "reviewer", "headers"} <= set(told)
            assert len(told["headers"]) > 1
    assert ids == {row["id"] for row in labels}
    for slide in ("part0", "part1", "part2"):
        names = read_coco(out / "training_set" / "coco" / slide).classes.names
        assert names == read_tiles(out / "training_set" / "tiles" / slide).classes.names
        assert (out / "training_set" / "yolo" / slide / "data.yaml").is_file()


def test_the_frozen_patient_is_the_test_set(study):
    out = study / "out"
    (frozen,) = read_work(out).frozen
    sets = {(row["patient"], row["set"]) for row in table(out / "training_set" / "labels.csv")}
    assert sets == {(f"p{n}", "test" if f"p{n}" == frozen else "train") for n in range(3)}


def test_the_gallery_shows_what_is_kept_disagreements_first(study):
    text = (study / "out" / "gallery.html").read_text()
    work, rows = read_work(study / "out"), read_rows(study / "out" / TAGS_CSV)
    assert text.count('<figure class="card') == len(work.shown)
    kept = [i for i in work.shown.tolist() if rows[i].kept]
    assert len(kept) == sum(row.kept for row in rows)
    doubt = [work.votes_against(i) for i in kept[:5]], [work.votes_against(i) for i in kept[-5:]]
    assert sum(doubt[0]) >= sum(doubt[1])
    assert "Save review" in text
    assert "https://" not in text


def test_the_same_input_is_the_same_table(study, tmp_path):
    again = ["--tags", str(study / "tags.toml"), "--out", str(tmp_path), "--device", "cpu"]
    assert main(["tag", str(study / "part0.tif"), *again]) == 0
    first = (tmp_path / TAGS_CSV).read_bytes()
    assert main(["tag", str(study / "part0.tif"), *again]) == 0
    assert (tmp_path / TAGS_CSV).read_bytes() == first


def test_a_review_is_taken_in_and_compared_with_what_is_really_there(study, capsys):
    out = study / "out"
    work, rows = read_work(out), read_rows(out / TAGS_CSV)
    real = truth_codes(study, work)
    lines = ["id,answer,tag"]
    for i in work.shown.tolist():
        if real[i] == len(work.names):
            lines.append(f"{i + 1},r,")
        elif real[i] == work.code[i]:
            lines.append(f"{i + 1},accept,")
        else:
            lines.append(f"{i + 1},fix,{work.names[real[i]]}")
    (study / "review.csv").write_text("\n".join(lines))
    capsys.readouterr()
    argv = ["tag", "--review", str(study / "review.csv"), "--out", str(out), "--reviewer", "anna"]
    assert main(argv) == 0
    assert "precision" in capsys.readouterr().out
    after = {row.id: row for row in read_rows(out / TAGS_CSV)}
    for i in work.shown.tolist():
        row = after[i + 1]
        assert row.reviewer == "anna"
        assert row.label == ("" if real[i] == len(work.names) else work.names[real[i]])
    sources = {row["source"] for row in table(out / "training_set" / "labels.csv")}
    assert "human" in sources
    assert len(table(out / "reviews.csv")) == len(lines) - 1
    assert all(row.tag == old.tag for row, old in zip(after.values(), rows, strict=True)
               if not row.reviewed)  # fmt: skip

    file = out / "detector.safetensors"
    assert main(["detect", "fit", "--tags", str(out), "--out", str(file), "--compare"]) == 0
    told = table(out / "compare.csv")
    assert list(told[0]) == ["stage", "tag", "precision", "recall", "f1", "n"]
    assert [row["stage"] for row in told if row["tag"] == "all"] == [
        "raw", "filtered", "reviewed", "trained",
    ]  # fmt: skip
    mean = {row["stage"]: float(row["f1"]) for row in told if row["tag"] == "all"}
    assert mean["reviewed"] >= mean["filtered"]
    assert mean["trained"] > 0.4
    found = study / "found"
    slide = str(study / "part0.tif")
    argv = ["detect", "apply", slide, "--file", str(file), "--out", str(found), "--device", "cpu"]
    assert main(argv) == 0
    detections = table(found / "detections.csv")
    assert {row["tag"] for row in detections} <= set(work.names)
    assert len(detections) > 10
    (step,) = read_recipe(found / "recipe.toml").steps
    assert (step.name, step.params.file) == ("detect", file)


def test_a_recipe_tags_all_slides_of_a_project_together(study, tmp_path, capsys):
    (step,) = read_recipe(study / "out" / "recipe.toml").steps
    assert step.params.tags == study / "out" / "tags_used.toml"  # with what was only drafted
    assert read_tags(step.params.tags)[0].drafted == ("neoplasm",)
    few = replace(step.params, kind="tiles", candidates=3)
    write_recipe(tmp_path, made_recipe((RecipeStep("tag", few),)))
    recipe = str(tmp_path / "recipe.toml")
    assert main(["run", recipe, str(study / "study"), "--out", str(tmp_path / "all")]) == 0
    work = read_work(tmp_path / "all")
    assert [slide.patient for slide in work.slides] == ["p0", "p1", "p2"]
    assert len(work.frozen) == 1
    assert main(["run", recipe, str(study / "part0.tif"), "--out", str(tmp_path / "one")]) == 0
    assert len(read_work(tmp_path / "one" / "part0" / "tag").slides) == 1


def test_compared_is_what_the_filter_doubts_not_what_it_has_enough_of(study):
    work, rows = read_work(study / "out"), read_rows(study / "out" / TAGS_CSV)
    kept = next(i for i, row in enumerate(rows) if row.kept)
    for reason, tag in ((SPLIT, len(work.names)), (DUPLICATE, work.code[kept])):
        dropped = [replace(r, kept=False, reason=reason) if i == kept else r
                   for i, r in enumerate(rows)]  # fmt: skip
        assert stage_codes(work, dropped)[FILTERED][kept] == tag


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no tags"),
        ('[[tags]]\nname = "a"\nwordings = ["tumour"]', "has 1 wording"),
        ('[[tags]]\nname = "a"\nwordings = ["tumour", "zebra"]', "'zebra' of a"),
        ('[[tags]]\nname = "a"\nwordings = ["tumour", ""]', "empty text"),
        ('[[tags]]\nname = "a"\nwords = ["tumour", "cancer"]\ncolors = "red"', "colors is unknown"),
        ('[[tags]]\nname = "a"\nwordings = ["x", "y"]\nattributes = 3', "must be a table"),
        ('[tags.a]\nwordings = ["fat", "bone"]\n[tags.b]\nwordings = ["fat", "pen"]', "can vote"),
        ("tags = 3", "list of tables"),
        ("[[tags]\nname", "no TOML"),
        ('[[tags]]\nwordings = ["fat", "adipose"]', "the name is None"),
    ],
)
def test_bad_tags_end_in_one_line(study, tmp_path, capsys, text, said):
    (tmp_path / "tags.toml").write_text(text)
    out = tmp_path / "out"
    argv = ["tag", str(study / "part0.tif"), "--tags", str(tmp_path / "tags.toml")]
    assert main([*argv, "--out", str(out)]) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert said in told[0]
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,answer\n1,maybe\n", "line 2: the answer is 'maybe'"),
        ("id,answer\n99999,accept\n", "not there, such as 99999"),
        ("id,answer,tag\n1,fix,zebra\n", "There are tumour, lymphocyte, stroma"),
        ("id,tag\n1,tumour\n", "no column answer"),
        ("id,answer\n1,\n", "holds no answers"),
        ("id,answer\nx,accept\n", "the id is 'x'"),
    ],
)
def test_bad_reviews_change_nothing(study, tmp_path, capsys, text, said):
    before = (study / "out" / TAGS_CSV).read_bytes()
    (tmp_path / "review.csv").write_text(text)
    argv = ["tag", "--review", str(tmp_path / "review.csv"), "--out", str(study / "out")]
    assert main(argv) == 1
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert said in told
    assert (study / "out" / TAGS_CSV).read_bytes() == before


def test_one_patient_cannot_be_compared(study, tmp_path, capsys):
    argv = ["tag", str(study / "part1.tif"), "--tags", str(study / "tags.toml")]
    assert main([*argv, "--out", str(tmp_path / "one"), "--device", "cpu"]) == 0
    fit = ["detect", "fit", "--tags", str(tmp_path / "one"), "--out", str(tmp_path / "d")]
    assert main([*fit, "--compare"]) == 1
    assert "one patient, part1" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
    assert main(fit) == 0  # without a comparison it may be fitted


def test_a_folder_without_tags_is_told(tmp_path, capsys):
    argv = ["detect", "fit", "--tags", str(tmp_path), "--out", str(tmp_path / "d"), "--compare"]
    assert main(argv) == 1
    assert "Tag slides into it first" in capsys.readouterr().err
    with pytest.raises(RecordError):
        read_work(tmp_path)


def test_tags_lie_beside_a_recipe_of_the_window(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('[[tags]]\nname = "a"\nwordings = ["tumour", "cancer"]\ndrafted = ["mass"]\n')
    path = tmp_path / "there" / "many.toml"
    path.parent.mkdir()
    chosen = tag_chosen(TagParams(tags=mine), Needs.of(path))
    save_recipe(path, (RecipeStep("tag", chosen),), None)
    mine.unlink()
    (step,) = read_recipe(path).steps
    assert step.params.tags == path.parent / "many.tags.toml"
    assert read_tags(step.params.tags)[0].drafted == ("mass",)
    with pytest.raises(ParameterError, match="not given"):
        tag_chosen(TagParams(), Needs.of(path))


def test_an_error_of_words_is_a_prompt_error(tmp_path):
    from histoprompt.pipelines.tags.tag_file import read_tags

    with pytest.raises(PromptError):
        read_tags(tmp_path / "none.toml")


def test_a_folder_of_somebody_else_where_the_training_set_goes(study, tmp_path, capsys):
    """`export --out training_set` is in the tutorial: tagging beside it must not replace it."""
    mine = tmp_path / "out" / "training_set"
    mine.mkdir(parents=True)
    (mine / "precious.txt").write_text("mine")
    given = ["--tags", str(study / "tags.toml"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(["tag", str(study / "study"), *given]) == 1
    assert "holds 1 file of no earlier export, such as precious.txt" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").rglob("*")] == ["training_set", "precious.txt"]
