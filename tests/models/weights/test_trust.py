"""Weights that are a program run only once a person trusts the very file."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from histoprompt.cli import main
from histoprompt.core.errors import WeightsError
from histoprompt.models import registry
from histoprompt.models.weights import trust
from histoprompt.models.zoo import instanseg

PROGRAM = """
import torch

class Writes(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.pixel_size = 0.5
        self.cells_and_nuclei = False
        self.made = 1

    def forward(self, x):
        return x

    @torch.jit.export
    def __getstate__(self):
        return (self.pixel_size, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[float, bool]):
        self.pixel_size = state[0]
        self.training = state[1]
        self.cells_and_nuclei = False
        file = torch.from_file("{place}", shared=True, size=8, dtype=torch.uint8)
        file.fill_(65)
        self.made = int(file.sum())
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A TorchScript file that writes a file of its choice while it is loaded, and that file."""
    import torch

    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    written = tmp_path / "written by the program"
    source = tmp_path / "writes_a_file.py"
    source.write_text(PROGRAM.replace("{place}", str(written)))
    monkeypatch.syspath_prepend(str(tmp_path))
    import writes_a_file

    path = tmp_path / "instanseg.pt"
    torch.jit.script(writes_a_file.Writes()).save(str(path))
    sys.modules.pop("writes_a_file")
    written.unlink(missing_ok=True)
    return path, written


def test_a_program_is_told_of_and_not_loaded(program):
    path, written = program
    with pytest.raises(trust.UntrustedProgramError, match="can read, change and delete") as caught:
        instanseg._read(path)
    assert caught.value.path == path
    assert "--" not in str(caught.value)
    assert not written.exists()


def test_a_trusted_program_is_loaded_until_it_changes(program):
    path, written = program
    trust.trust(path)
    instanseg._read(path)
    assert written.exists()  # so it is a program indeed
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(trust.UntrustedProgramError):
        instanseg._read(path)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    made = types.ModuleType("instanseg")
    made.__spec__ = types.SimpleNamespace(name="instanseg")
    monkeypatch.setitem(sys.modules, "instanseg", made)


def test_the_command_asks_for_consent_before_anything_is_read(program, package, tmp_path, capsys):
    path, written = program
    argv = ["count", "slide.svs", "--segmenter", "instanseg", "--weights", str(path)]
    argv += ["--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(argv) == 1
    said = capsys.readouterr().err
    assert "are a program (TorchScript)" in said
    assert "--trust-program" in said
    assert not written.exists()
    assert not trust.is_trusted(path)
    main([*argv, "--trust-program"])
    assert "are a program" not in capsys.readouterr().err
    assert trust.is_trusted(path)


def test_models_of_tensors_alone_ask_for_nothing():
    cards = [card for card in registry.all_cards() if not card.program]
    assert len(cards) > 10
    assert all(trust.program_of(card) is None for card in cards)


def test_a_program_that_is_not_there_is_named(package, tmp_path):
    with pytest.raises(WeightsError, match="is missing"):
        trust.program_of(registry.card("instanseg"), tmp_path / "gone.pt")
