"""Wordings drafted by a language model on loopback, or from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from histoprompt.cli import main
from histoprompt.core.errors import PromptError
from histoprompt.pipelines.tags.tag_file import read_tags
from histoprompt.pipelines.text.drafting import draft, draft_from_file
from language_server import GOOD, Server, language_server, url


@pytest.fixture
def server() -> Iterator[Server]:
    with language_server() as found:
        yield found


def test_a_draft_is_shown_and_only_what_is_ticked_is_used(server, tmp_path, capsys):
    server.speak(f"Sure!\n```json\n{json.dumps(GOOD)}\n```")
    argv = ["words", "draft", "lymphocyte", "--endpoint", url(server), "--llm", "tiny"]
    assert main([*argv, "--out", str(tmp_path / "tags.toml"), "--tick", "1,3"]) == 0
    shown = capsys.readouterr().out
    assert "2. lymphoid tissue" in shown
    assert "danger" not in shown
    (tag,) = read_tags(tmp_path / "tags.toml")
    assert tag.wordings == ("lymphocyte", "inflammation")
    assert tag.drafted == ("lymphoid tissue",)
    assert tag.attributes["shape"] == ("round",)
    assert tag.is_not == ("plasma cell",)
    (asked,) = server.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["model"] == "tiny"
    assert asked["messages"][0]["content"].endswith("lymphocyte")


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        ((200, b"<html>hello</html>"), "does not answer as a language model"),
        ((200, b'{"choices": []}'), "does not answer as a language model"),
        ((200, b""), "nothing"),
        ((404, b"no such model"), "status 404"),
        ((302, b""), "status 302"),
    ],
)
def test_nonsense_is_shown_and_nothing_is_taken_over(server, tmp_path, capsys, answered, said):
    server.status, server.answer = answered
    argv = ["words", "draft", "a", "--endpoint", url(server), "--out", str(tmp_path / "t.toml")]
    assert main([*argv, "--tick", "all"]) == 1
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert said in told
    assert "Nothing was taken over" in told
    assert not (tmp_path / "t.toml").exists()


@pytest.mark.parametrize("text", ["I cannot help with that.", '{"wordings": "x"}', "{not json}"])
def test_an_answer_without_wordings_is_none(server, text):
    server.speak(text)
    with pytest.raises(PromptError, match="no list of wordings"):
        draft("a", url(server), "tiny")


def test_nobody_there_is_told(server, capsys):
    place = url(server)
    server.server_close()
    with pytest.raises(PromptError, match="Nobody answers"):
        draft("a", place, "tiny", seconds=2)


@pytest.mark.parametrize(
    "place", ["http://example.org/v1", "http://10.0.0.5:11434", "ftp://127.0.0.1", "http://127.0.0.1.evil.org"]
)  # fmt: skip
def test_no_other_machine_is_asked(place):
    with pytest.raises(PromptError, match="not on this machine"):
        draft("a", place, "tiny")


def test_wordings_come_from_a_file_too(tmp_path):
    (tmp_path / "w.txt").write_text("# names\n- lymphocyte\n* small round cell\n\n")
    found = draft_from_file("l", tmp_path / "w.txt")
    assert found.wordings == ("lymphocyte", "small round cell")
    with pytest.raises(PromptError, match="3 is none"):
        found.ticked([3])
    (tmp_path / "e.txt").write_text("\n")
    with pytest.raises(PromptError, match="holds no wordings"):
        draft_from_file("l", tmp_path / "e.txt")


def test_classes_come_together_in_one_file(tmp_path):
    (tmp_path / "w.txt").write_text("stroma\nfibrous tissue\n")
    argv = ["words", "draft", "--file", str(tmp_path / "w.txt"), "--out", str(tmp_path / "t.toml")]
    assert main([*argv, "stroma"]) == 0  # nothing ticked: kept, not used
    assert main([*argv, "a", "--tick", "all"]) == 0
    with pytest.raises(PromptError, match="2 drafted ones are not ticked"):
        read_tags(tmp_path / "t.toml")
    names = {tag.name: len(tag.wordings) for tag in read_tags(tmp_path / "t.toml", least=0)}
    assert names == {"stroma": 0, "a": 2}


def test_phrases_are_understood_at_the_terminal(capsys):
    assert main(["words", "understand", "TILs", "tumour"]) == 0
    assert "'TILs' is a name of lymphocyte" in capsys.readouterr().out
    assert main(["words", "understand", "no tumour"]) == 1
    assert "is refused" in capsys.readouterr().err
