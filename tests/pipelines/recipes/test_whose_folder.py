"""A recipe beside results tells whose they are, so that no other slide's take their place."""

from histoprompt.pipelines.count.result_folders import free_folder
from histoprompt.pipelines.recipes.recipe import RecipeStep, made_recipe, slide_told, write_recipe
from histoprompt.pipelines.text.step import ScoreStepParams


def test_results_of_another_slide_of_the_same_name_are_left_alone(tmp_path):
    step = RecipeStep("score", ScoreStepParams(texts=("tumour",)))
    write_recipe(tmp_path / "slide", made_recipe((step,), {"slide": "a" * 32}))
    assert slide_told(tmp_path / "slide" / "recipe.toml") == "a" * 32
    assert free_folder(tmp_path, "slide", "a" * 32) == tmp_path / "slide"
    assert free_folder(tmp_path, "slide", "b" * 32) == tmp_path / "slide-2"


def test_a_damaged_recipe_tells_nothing(tmp_path):
    for text in ("", "from = 3", "[from]\nslide = 3\n", "not toml ["):
        (tmp_path / "recipe.toml").write_text(text)
        assert slide_told(tmp_path / "recipe.toml") is None
