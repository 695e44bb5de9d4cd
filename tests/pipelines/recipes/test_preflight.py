"""Before a run on several slides: what cannot be used, how long, how much room; or a refusal."""

from __future__ import annotations

import pytest

import killing
from histoprompt.cli import main
from histoprompt.pipelines.recipes import preflight as looking

RECIPE = f"""format = 1

[[steps]]
step = "count"
[steps.params]
segmenter = "classical-cells"
tile = {killing.TILE}
region = {list(killing.REGION)}
"""


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    return killing.make_slides(tmp_path_factory.mktemp("slides"), 2)


@pytest.fixture
def ask(tmp_path, slides, capsys, monkeypatch):
    """Runs the recipe on both slides and more words; the status, and what was said."""
    monkeypatch.setattr(looking, "_TIMED_PX", 64)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)

    def run(*more: str, text: str = RECIPE, beside: str = "") -> tuple[int, str]:
        recipe.write_text(text)
        named = [*map(str, slides), *filter(None, [beside])]
        words = ["run", str(recipe), *named, "--out", str(tmp_path / "out"), *more]
        status = main(words)
        told = capsys.readouterr()
        return status, told.out + told.err

    return run


def results(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_dry_run_tells_time_room_and_faults_and_does_nothing(ask, tmp_path):
    status, told = ask("--dry-run", beside=str(tmp_path / "missing.svs"))
    assert status == 1
    assert "missing.svs" in told
    assert "2 of 3 slides can be worked on: 0.0 mm2; at most " in told
    assert "; at most 1 minute; at most 10 MB, " in told
    assert not results(tmp_path / "out")


def test_too_little_room_is_refused_before_anything_is_done(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(looking, "free_bytes", lambda _: 3_000_000)
    status, told = ask()
    assert status == 1
    assert "The results take 10 MB at most, and 3 MB are free." in told
    assert not results(tmp_path / "out")


def test_where_no_slide_can_be_used_nothing_is_begun(ask, tmp_path):
    far = RECIPE.replace(str(list(killing.REGION)), "[0, 0, 9000, 9000]")
    status, told = ask(text=far)
    assert status == 1
    assert "None of 2 slides can be worked on." in told
    assert "reaches outside" in told
    assert not results(tmp_path / "out")


def test_a_model_that_is_not_here_is_refused(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    status, told = ask(text=RECIPE.replace("classical-cells", "cellpose"))
    assert status == 1
    assert len(told.strip().splitlines()) == 1
    assert not results(tmp_path / "out")


def test_a_run_tells_it_first_and_what_is_finished_is_not_asked_again(ask, tmp_path, monkeypatch):
    status, told = ask()
    assert status == 0
    assert "2 of 2 slides can be worked on" in told
    monkeypatch.setattr(looking, "free_bytes", lambda _: 0)
    status, told = ask()
    assert (status, "0 of 0 slides" in told) == (0, True), "both are finished: nothing is needed"
    monkeypatch.setattr(looking, "preflight", None)
    status, told = ask("--unchecked")
    assert (status, "can be worked on" in told) == (0, False)


def test_tiles_of_an_encoder_are_timed_too(ask, tmp_path):
    text = """[[steps]]
step = "score"
[steps.params]
texts = ["nuclei"]
scales = [1.0, 2.0]
"""
    status, told = ask("--dry-run", text=text)
    assert status == 0
    assert "; at most 1 minute; at most 10 MB" in told
