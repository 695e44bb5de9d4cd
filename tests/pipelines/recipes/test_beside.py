"""Each command leaves a recipe beside its results; run again it gives the same files."""

import json

import pytest
import tifffile

from histoprompt.cli import main
from histoprompt.pipelines.recipes.recipe import read_recipe

REGION = "1200,1500,1328,1628"


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture
def counted(tmp_path, sample_slide):
    out = tmp_path / "counted"
    args = ["--segmenter", "classical-cells", "--region", REGION, "--out", str(out)]
    assert main(["count", str(sample_slide), *args]) == 0
    return out / "slide"


def replay(recipe, slide, folder):
    assert main(["run", str(recipe), str(slide), "--into", str(folder)]) == 0
    return folder


def same(made, again):
    """All files of results, apart from recipes, which say where they lie."""
    files = [p.relative_to(made) for p in made.rglob("*") if p.is_file()]
    files = [p for p in files if not p.name.endswith("recipe.toml") and p.name != "fields.csv"]
    assert files
    for name in files:
        if name.name == "export.json":  # it lists what lies beside it, a recipe too, under a seal
            assert listed(again / name) == listed(made / name)
        else:
            assert (again / name).read_bytes() == (made / name).read_bytes(), name


def listed(path):
    """What the list of an export says, of all but the recipe and its seal."""
    said = json.loads(path.read_text())
    assert said.pop("seal")
    said["files"].pop("recipe.toml", None)
    return said


def test_count(counted, tmp_path, sample_slide):
    same(counted, replay(counted / "recipe.toml", sample_slide, tmp_path / "again") / "count")


def test_audit_draw(counted, tmp_path, sample_slide):
    assert main(["audit", "draw", str(counted), "--fields", "2", "--seed", "7"]) == 0
    recipe = counted / "audit.recipe.toml"
    assert [one.name for one in read_recipe(counted / "recipe.toml").steps] == ["count"]
    again = replay(recipe, sample_slide, tmp_path / "again") / "count"
    assert (again / "fields.csv").read_bytes() == (counted / "fields.csv").read_bytes()


def test_export_of_a_count(counted, tmp_path, sample_slide):
    out = tmp_path / "exported"
    args = ["--labels", str(counted), "--format", "geojson", "--out", str(out)]
    assert main(["export", "--image", str(sample_slide), *args]) == 0
    same(out, replay(out / "recipe.toml", sample_slide, tmp_path / "again") / "export")


def test_export_of_a_label_image(counted, tmp_path, sample_slide):
    out = tmp_path / "exported"
    args = ["--labels", str(counted / "labels.tif"), "--format", "coco", "--out", str(out)]
    assert main(["export", "--image", str(sample_slide), *args]) == 0
    assert [one.name for one in read_recipe(out / "recipe.toml").steps] == ["export"]
    same(out, replay(out / "recipe.toml", sample_slide, tmp_path / "again") / "export")


def test_score(tmp_path, sample_slide):
    out = tmp_path / "scored"
    args = ["--text", "nuclei", "--region", "1200,1500,1712,2012", "--out", str(out)]
    assert main(["score", str(sample_slide), *args]) == 0
    same(out, replay(out / "recipe.toml", sample_slide, tmp_path / "again") / "score")


def test_segment_leaves_a_recipe_of_something_else_alone(tmp_path, sample_slide):
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"objects": [{"id": 1, "box": [1210, 1510, 1260, 1560]}]}))
    own = tmp_path / "recipe.toml"
    own.write_text("# mine\n[[steps]]\nstep = 'count'\n")
    args = ["--prompts", str(prompts), "--model", "classical", "--region", REGION]
    status = main(["segment", str(sample_slide), *args, "--out", str(tmp_path / "one.tif")])
    assert status == 0
    assert own.read_text().startswith("# mine")
    again = replay(tmp_path / "one.recipe.toml", sample_slide, tmp_path / "again")
    assert (again / "segment" / "labels.tif").read_bytes() == (tmp_path / "one.tif").read_bytes()
    assert tifffile.imread(tmp_path / "one.tif").any()
