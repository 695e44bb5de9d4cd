"""A link where a command makes a folder of its own is never written through."""

import os
import shutil
from types import SimpleNamespace

import pytest

from histoprompt.cli import main
from histoprompt.cli.indexed import in_project
from histoprompt.cli.slides import NamedSlide
from histoprompt.core.errors import ExportError
from histoprompt.core.files.own_folder import own_folder
from histoprompt.pipelines.count.looked_tile import TilesAhead
from histoprompt.pipelines.count.result_folders import claimed_folder
from histoprompt.pipelines.embedding.ahead import VectorsAhead
from histoprompt.pipelines.explore.per_slide import folders_of

REGION = ["--region", "1200,1500,1328,1628"]
COUNT = ["--segmenter", "classical-cells", *REGION]


def tree(folder):
    """All names under a folder, with the bytes of files."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


def folders_in(out):
    """Folders below the one that was named, without those of a zarr group."""
    found = [p.relative_to(out) for p in out.rglob("*") if p.is_dir()]
    return sorted(p for p in found if not any(name.endswith(".zarr") for name in p.parts[:-1]))


@pytest.fixture
def twice(tmp_path, sample_slide):
    """Two slides of one name."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    shutil.copy(sample_slide, tmp_path / "a" / "slide.ome.tif")
    shutil.copy(sample_slide, tmp_path / "b" / "other.ome.tif")
    return [str(tmp_path / "a" / "slide.ome.tif"), str(tmp_path / "b" / "other.ome.tif")]


def recipe_of_a_count(tmp_path, slide):
    assert main(["count", slide, *COUNT, "--out", str(tmp_path / "for_recipe")]) == 0
    return str(tmp_path / "for_recipe" / "slide" / "recipe.toml")


def commands(tmp_path, slides):
    """What is run, by name; ``--out`` comes last."""
    return {
        "count": lambda: ["count", slides[0], *COUNT],
        "score": lambda: ["score", *slides, "--text", "nuclei", *REGION],
        "run": lambda: ["run", recipe_of_a_count(tmp_path, slides[0]), slides[0]],
    }


@pytest.mark.parametrize("name", ["count", "score", "run"])
def test_every_folder_that_a_command_makes(tmp_path, twice, name, capsys):
    command = commands(tmp_path, twice)[name]()
    whole = tmp_path / "whole"
    assert main([*command, "--out", str(whole)]) == 0
    made = folders_in(whole)
    assert made
    for number, folder in enumerate(made):
        out, victim = tmp_path / f"out{number}", tmp_path / f"victim{number}"
        shutil.copytree(whole, out)
        shutil.move(out / folder, victim)
        (victim / "precious.txt").write_text("mine")
        (out / folder).symlink_to(victim, target_is_directory=True)
        before = tree(victim)
        capsys.readouterr()
        status = main([*command, "--out", str(out)])
        assert tree(victim) == before, folder
        if folder.suffix == ".zarr":  # a single result: the link makes way, as it does for a file
            assert status == 0
            assert not (out / folder).is_symlink()
        else:
            assert status == 1, folder
            assert "is a link to" in capsys.readouterr().err
            assert (out / folder).is_symlink()


def test_a_folder_that_a_person_names_may_be_a_link(tmp_path, sample_slide):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert main(["count", str(sample_slide), *COUNT, "--out", str(tmp_path / "link")]) == 0
    recipe = tmp_path / "disk" / "slide" / "recipe.toml"
    assert (tmp_path / "disk" / "slide" / "count.json").is_file()
    (tmp_path / "disk2").mkdir()
    (tmp_path / "link2").symlink_to(tmp_path / "disk2", target_is_directory=True)
    assert main(["run", str(recipe), str(sample_slide), "--into", str(tmp_path / "link2")]) == 0
    assert (tmp_path / "disk2" / "count" / "count.json").is_file()


def test_the_work_of_an_unfinished_count(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / "out" / "slide").mkdir(parents=True)
    (tmp_path / "out" / "slide" / ".unfinished").symlink_to(victim, target_is_directory=True)
    with pytest.raises(ExportError, match="is a link to"):
        claimed_folder(tmp_path / "out", "slide", "a" * 32)
    assert os.listdir(victim) == []


@pytest.mark.parametrize("make", [lambda f: TilesAhead(f, {}), VectorsAhead])
def test_what_was_looked_at_ahead(tmp_path, make):
    (tmp_path / ".ahead").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ExportError, match="is a link to"):
        make(tmp_path)


def test_where_nothing_or_a_folder_lies(tmp_path):
    assert own_folder(tmp_path / "new") == tmp_path / "new"
    assert own_folder(tmp_path) == tmp_path


def test_folders_of_a_project_and_of_several_slides(tmp_path):
    """Of slide "b" one may be a link, of "a" none is; results of all lie beside those of each."""
    (tmp_path / "results").mkdir()
    for name in ("b", "cluster"):
        (tmp_path / "results" / name).symlink_to(tmp_path / "nowhere")
    a, b = (NamedSlide(n, n, folder=tmp_path / "results" / n) for n in ("a", "b"))
    assert a.place(None, "count") == (tmp_path / "results" / "a", "count")
    assert b.place(tmp_path / "named", "count") == (tmp_path / "named", "b")
    assert in_project([a, b], "anomaly") == tmp_path / "results" / "anomaly"
    slides = [SimpleNamespace(name=n) for n in ("a", "b")]
    assert folders_of(tmp_path / "results", slides[:1]) == [(0, tmp_path / "results")]
    for asked in (
        lambda: b.place(None, "count"),
        lambda: in_project([a, b], "cluster"),
        lambda: folders_of(tmp_path / "results", slides),
    ):
        with pytest.raises(ExportError, match="is a link to"):
            asked()
    assert not (tmp_path / "nowhere").exists()
