"""Marked tiles choose among wordings."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from histoprompt.cli import main
from histoprompt.core.errors import PromptError
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.core.task import Task
from histoprompt.pipelines.tags.tag_file import read_tags
from histoprompt.pipelines.text import choosing_wordings as choosing
from histoprompt.pipelines.text.text_embedding import ScoreParams

RNG = np.random.default_rng(2)
YES = np.arange(40) % 2 == 0


def test_wordings_that_add_nothing_are_left_out():
    good = YES + 0.8 * RNG.normal(size=(40, 2)).T
    noise = RNG.normal(size=40)
    against = -good[0]
    found = choosing.judged(
        np.stack([good[0], noise, good[1], against], axis=1), YES, ("a", "b", "c", "d")
    )
    assert [one.text for one in found][:2] == ["a", "c"]
    assert choosing.kept_text(found) == "a | c"
    assert found[-1].text == "d"
    assert found[-1].auroc == pytest.approx(1 - found[0].auroc)
    assert found[-1].told.endswith(", left out")


def test_the_name_of_a_text_stays_however_poor_it_is():
    found = choosing.judged(np.stack([RNG.normal(size=40), 1.0 * YES], axis=1), YES, ("a", "b"))
    assert choosing.kept_text(found) == "a | b"


def test_each_wording_is_asked_of_the_marked_tiles(monkeypatch):
    columns = {"tumour": 1.0 * YES, "stroma": 1.0 * ~YES}

    def ask(_, params, *__):
        return SimpleNamespace(texts=params.texts, column=lambda text: columns[text])

    monkeypatch.setattr(choosing, "ask", ask)
    marks = {tile: bool(YES[tile]) for tile in (0, 1, 2, 3, 4, 5)}
    how = (ScoreParams(), None)
    found = choosing.choose_wordings(None, "tumour | stroma", marks, how, Task())
    assert [(one.text, one.auroc) for one in found] == [("tumour", 1.0), ("stroma", 0.0)]
    assert choosing.kept_text(found) == "tumour"
    with pytest.raises(PromptError, match="one wording"):
        choosing.choose_wordings(None, "tumour", marks, how, Task())
    del marks[1]
    with pytest.raises(PromptError, match="5 tiles marked, 3 of them yes"):
        choosing.choose_wordings(None, "tumour | stroma", marks, how, Task())


def test_from_a_terminal_the_wordings_that_are_left_out_stay_drafted(tmp_path, capsys):
    marks, out = tmp_path / "marks.csv", tmp_path / "tags.toml"
    places = ("1120,224,yes", "1120,672,yes", "672,672,yes", "224,672,no", "224,1120,no",
              "672,1568,no")  # fmt: skip
    marks.write_text("row,col,mark\n" + "\n".join(places) + "\n")
    out.write_text('[[tags]]\nname = "tumour"\nwordings = ["tumour"]\nnot = ["necrosis"]\n')
    line = ["words", "choose", str(sample_file(SLIDE)), "--text", "tumour | stroma"]
    assert main([*line, "--marks", str(marks), "--out", str(out), "--device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert "stroma" in told
    assert "kept: tumour\n" in told
    (tag,) = read_tags(out, least=1)
    assert (tag.wordings, tag.drafted, tag.is_not) == (("tumour",), ("stroma",), ("necrosis",))
