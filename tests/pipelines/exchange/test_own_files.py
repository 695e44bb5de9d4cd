"""An export replaces what an export wrote, and no file of a person's own, whatever a list says."""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np
import pytest

from histoprompt.core.errors import ExportError
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams, export
from histoprompt.pipelines.exchange.own_files import MANIFEST, is_export, list_also, set_aside

PRECIOUS = "years of work"


@pytest.fixture
def out(tmp_path, monkeypatch):
    """An export with a person's own file in it."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    again(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text(PRECIOUS)
    return tmp_path / "out"


def again(out):
    slide = Slide.from_arrays("s", np.zeros((40, 40, 3), np.uint8), mpp=0.5)
    labels = ArrayLabels(
        np.kron(np.arange(4, dtype=np.uint32).reshape(2, 2), np.ones((20, 20), int)).astype(
            np.uint32
        )
    )
    export(slide, labels, out, ExportParams(format="geojson"), Task())


def forged(out, *names, **more):
    """The list of an export with further names, each with the digest of the file that is there."""
    told = json.loads((out / MANIFEST).read_text())
    for name in names:
        told["files"][name] = hashlib.sha256((out / name).read_bytes()).hexdigest()
    (out / MANIFEST).write_text(json.dumps(told | more))
    return told


def everything(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "seal_key"}


def test_an_export_that_was_left_alone_is_replaced(out):
    (out / "notes.txt").unlink()
    (out / "recipe.toml").write_text("ours")
    list_also(out, "recipe.toml")
    assert is_export(out)
    again(out)
    assert sorted(os.listdir(out)) == [MANIFEST, "objects.geojson"]


def other_seal(out):
    """The seal of another list, which this account made."""
    again(out.parent / "other")
    told = json.loads((out.parent / "other" / MANIFEST).read_text())
    return {"seal": told["seal"]}


def linked(out):
    (out / MANIFEST).rename(out.parent / "list")
    (out / MANIFEST).symlink_to(out.parent / "list")


def with_folder(out):
    (out / "notes.txt").unlink()
    (out.parent / "theirs").mkdir()
    (out / "in").symlink_to(out.parent / "theirs")


FORGERIES = {
    "a name and its digest": lambda out: forged(out, "notes.txt"),
    "no seal": lambda out: forged(out, "notes.txt", seal=""),
    "a seal of another list": lambda out: forged(out, "notes.txt", **other_seal(out)),
    "an older kind of list": lambda out: (out / MANIFEST).write_text(
        json.dumps({"schema": "histoprompt-export/1", "files": ["notes.txt", "objects.geojson"]})
    ),
    "a file beside the folder": lambda out: (
        (out.parent / "victim.txt").write_text(PRECIOUS), forged(out, "notes.txt", "../victim.txt")
    ),
    "nothing": lambda out: None,
    "no list": lambda out: (out / MANIFEST).unlink(),
    "a list that is a link": linked,
    "a changed file": lambda out: (
        (out / "notes.txt").unlink(), (out / "objects.geojson").write_text(PRECIOUS)
    ),
    "a recipe of one's own": lambda out: (out / "notes.txt").rename(out / "recipe.toml"),
    "a folder that is linked": with_folder,
    "another account": lambda out: (out.parent / "home" / "seal_key").write_bytes(b"k" * 32),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nothing_is_replaced_that_an_export_did_not_write(out, forgery):
    FORGERIES[forgery](out)
    before = everything(out.parent)
    with pytest.raises(ExportError, match="Choose another folder"):
        again(out)
    assert everything(out.parent) == before


def test_without_a_place_for_the_secret_an_export_is_written_and_not_replaced(
    tmp_path, monkeypatch
):
    (tmp_path / "home").write_text("a file, no folder")
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    again(tmp_path / "out")
    with pytest.raises(ExportError, match="Choose another folder"):
        again(tmp_path / "out")


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_no_export_wrote_is_set_aside_whole(out, forgery, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.chdir("/")
    FORGERIES[forgery](out)
    before = everything(out)
    with set_aside(out) as away:
        again(out)
    assert away == out.with_name(f"{out.name}-before")
    assert {p.relative_to(away): b for p, b in everything(away).items()} == {
        p.relative_to(out): b for p, b in before.items()
    }
    assert sorted(os.listdir(out)) == [MANIFEST, "objects.geojson"]
    (out / "more.txt").write_text(PRECIOUS)
    with set_aside(out) as again_away:
        again(out)
    assert again_away == out.with_name(f"{out.name}-before-2")
    assert (again_away / "more.txt").read_text() == PRECIOUS


def test_an_own_export_is_replaced_and_not_set_aside(out):
    (out / "notes.txt").unlink()
    with set_aside(out) as away:
        again(out)
    assert away is None
    assert not out.with_name(f"{out.name}-before").exists()


def test_a_folder_gets_its_name_back_if_nothing_is_written(out, monkeypatch):
    monkeypatch.chdir("/")
    before = everything(out)

    def nothing_written():
        with set_aside(out):
            assert not out.exists()
            raise ExportError("The disk is full.")

    with pytest.raises(ExportError, match="full"):
        nothing_written()
    assert everything(out) == before
    assert not out.with_name(f"{out.name}-before").exists()


@pytest.mark.parametrize("held", ["a slide", "the home", "the working folder", "the program's"])
def test_a_folder_with_something_in_use_is_not_set_aside(out, monkeypatch, held):
    monkeypatch.chdir("/")
    (out / "deep").mkdir()
    used = []
    if held == "a slide":
        used = [out / "notes.txt"]
    elif held == "the working folder":
        monkeypatch.chdir(out / "deep")
    else:
        monkeypatch.setenv("HOME" if held == "the home" else "HISTOPROMPT_HOME", str(out / "deep"))
    before = everything(out)
    with pytest.raises(ExportError, match="in use"), set_aside(out, used):
        again(out)
    assert everything(out) == before
