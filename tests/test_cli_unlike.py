"""Faults of `histoprompt anomaly`, `cluster` and `tiles`: a line each, before anything is done."""

from __future__ import annotations

import pytest

from histoprompt.cli import main

BOX = "0,0,1024,512"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["anomaly", "s.svs", "--reference", " "], "reference is empty"),
        (["anomaly", "s.svs", "--reference", BOX, "--rate", "2"], "below 1"),
        (["cluster", "s.svs", "--scenes", "1"], "at least 2"),
        (["tiles", "apply", "s.svs"], "Classifier: no file is given"),
    ],
    ids=["empty reference", "rate", "one scene", "no classifier"],
)
def test_faults_are_one_line(words, told, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.strip()
    assert told in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()
