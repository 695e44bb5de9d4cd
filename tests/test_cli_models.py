"""`histoprompt models`: install, import, export, remove, and the terms of a licence."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from histoprompt.cli import main
from histoprompt.core import settings
from histoprompt.models import registry
from histoprompt.models.card import ModelCard, Terms, WeightsSpec
from http_server import File, Server, running

CONTENT = (b"PK\x03\x04" + b"weights" * 1000)[:7000]
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(settings.HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with the weights of two models: ``free``, and ``bound`` by terms."""
    with running() as found:
        cards = (_card(found, "free"), _card(found, "bound", Terms("Research only.", "https://t")))
        monkeypatch.setattr(registry, "all_cards", lambda: cards)
        yield found


def _card(server: Server, name: str, terms: Terms | None = None) -> ModelCard:
    server.files[f"/{name}.pth"] = File(CONTENT)
    spec = WeightsSpec(f"{name}.pth", f"{server.url}/{name}.pth", len(CONTENT), f"sha256:{SHA256}")
    return ModelCard(name, "prompt", name, "m:f", licence="MIT", weights=spec, terms=terms)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Status, output and errors of a command."""

    def _run(*argv: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["models", *map(str, argv)])
        return status, *capsys.readouterr()

    return _run


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def place(name: str) -> Path:
    return settings.weights_folder() / f"{name}.pth"


def test_install_fetches_checks_and_says_so(server, run):
    status, out, _ = run("install", "free")
    assert (status, place("free").read_bytes()) == (0, CONTENT)
    assert out == f"free: {place('free')} is the published file (sha256:{SHA256})\n"
    assert "present" in run("list")[1].splitlines()[1]
    assert run("path", "free")[1].strip() == str(place("free"))
    assert "is the published file" in run("verify", "free")[1]


def test_terms_are_refused_without_a_terminal_and_accepted_by_the_option(server, run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    status, _, err = run("install", "bound")
    assert status == 1
    assert "Terms: Research only." in err
    assert err.splitlines()[-1].startswith("histoprompt: The terms of bound have to be accepted")
    assert server.requests == []
    assert "(!) MIT" in run("list")[1]
    assert "terms to accept" in run("list")[2]
    assert run("install", "bound", "--accept-licence")[0] == 0
    assert place("bound").exists()
    assert "(!)" not in "".join(run("list")[1:])


@pytest.mark.parametrize(("typed", "status"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_a_person_at_a_terminal_is_asked_once(server, run, monkeypatch, typed, status):
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    found, _, err = run("install", "bound")
    assert found == status
    assert place("bound").exists() == (status == 0)
    assert ("not accepted" in err) == (status == 1)
    if status == 0:
        place("bound").unlink()
        monkeypatch.setattr(sys, "stdin", Terminal(""))
        assert run("install", "bound")[0] == 0


@pytest.mark.parametrize("columns", [80, 120, 400])
def test_the_list_fits_the_terminal_with_every_column(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, err = run("list")
    head, *lines = out.splitlines()
    assert head.split() == ["id", "role", "prompts", "size", "weights", "licence", "source"]
    assert [line.split()[0] for line in lines] == [card.id for card in registry.all_cards()]
    assert max(map(len, lines)) <= max(columns, 106)
    at = head.index("size")
    sizes = {line.split()[0]: line[at:].split("  ")[0] for line in lines}
    assert sizes["sam-vit-b"] == "375 MB"
    assert sizes["plip"] == "~605 MB"
    assert ("…" in out, "--long" in err) == ((columns < 400,) * 2)


def test_the_long_list_cuts_nothing_off(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, err = run("list", "--long")
    assert "several training sets are non-commercial" in out
    assert "hf:microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract" in out
    assert "--long" not in err
    assert "…" not in out


def test_all_terms_are_settled_before_the_first_byte(server, run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run("install", "free", "bound")[0] == 1
    assert server.requests == []


def test_a_pack_goes_from_one_machine_to_another(server, run, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    run("install", "free", "bound", "--accept-licence")
    status, out, err = run("export", "free", "bound", "--out", tmp_path / "pack")
    assert status == 0
    assert f"free.pth: 7,000 bytes, sha256:{SHA256}" in out
    assert "own machines only: bound" in err
    monkeypatch.setenv(settings.HOME_VARIABLE, str(tmp_path / "offline"))
    assert run("import", tmp_path / "pack")[0] == 1
    assert run("import", tmp_path / "pack", "--model", "free")[0] == 0
    assert not place("bound").exists()
    assert run("import", tmp_path / "pack", "--accept-licence")[0] == 0
    assert place("bound").read_bytes() == CONTENT
    _, _, err = run("import", tmp_path / "pack", "--model", "other")
    assert "holds no other. It holds: free, bound." in err


def test_a_pack_of_models_nobody_knows_is_refused(server, run, monkeypatch, tmp_path):
    run("install", "free")
    run("export", "free", "--out", tmp_path / "pack")
    renamed = replace(registry.card("free"), id="later")
    monkeypatch.setattr(registry, "all_cards", lambda: (renamed,))
    status, _, err = run("import", tmp_path / "pack")
    assert status == 1
    assert "no model that this version knows: free" in err


def test_a_file_brought_by_hand_needs_its_model(server, run, tmp_path):
    brought = tmp_path / "brought.pth"
    brought.write_bytes(CONTENT)
    status, _, err = run("import", brought)
    assert status == 1
    assert "--model" in err
    assert run("import", brought, "--model", "free")[0] == 0
    assert place("free").read_bytes() == CONTENT
    brought.write_bytes(b"another")
    status, _, err = run("import", brought, "--model", "free")
    assert status == 1
    assert SHA256 in err
    assert err.count("\n") == 1


def test_remove_names_what_it_deleted_and_what_it_left(server, run):
    run("install", "free")
    _, out, err = run("remove", "free")
    assert (out, err) == (f"removed {place('free')}\n", "")
    assert not place("free").exists()
    assert "no weights in the weights folder" in run("remove", "free")[2]


def test_remove_leaves_what_belongs_to_a_package(run):
    status, out, err = run("remove", "litemedsam")
    assert (status, out) == (0, "")
    assert "belongs to another program or package" in err


def test_a_model_without_weights_is_said_so(run):
    assert "needs no weights" in run("install", "classical")[2]
    assert "needs no weights" in run("verify", "classical")[1]


@pytest.mark.parametrize("action", ["install", "remove"])
def test_an_unknown_model_is_named(run, action):
    status, _, err = run(action, "nonsense")
    assert status == 1
    assert "nonsense" in err
