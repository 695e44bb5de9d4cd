"""Parameters as a command: the command reads back the same parameters, whatever is in them."""

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from histoprompt.cli import build_parser
from histoprompt.cli.count import count_params
from histoprompt.cli.export import export_params
from histoprompt.cli.parameters import read_parameters
from histoprompt.cli.score import score_params
from histoprompt.cli.segment import segment_params
from histoprompt.core.errors import ParameterError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.count.step import CountParams
from histoprompt.pipelines.exchange.params import ImportParams, import_words
from histoprompt.pipelines.exchange.step import ExportStepParams
from histoprompt.pipelines.explore.examples import Example
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.like import LikeParams
from histoprompt.pipelines.explore.search import SearchParams, search_chosen
from histoprompt.pipelines.prompts.step import SegmentParams
from histoprompt.pipelines.recipes.command import (
    CommandPlace,
    own_command,
    recipe_command,
    shell_line,
)
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.text.step import ScoreStepParams

NASTY = 'a b\'s "c" $HOME `d` \\e; *'
PLACE = CommandPlace("/slides/it's one.svs", 0.25, True, "out dir")


def parsed(name, params):
    words = own_command([RecipeStep(name, params)], PLACE)
    assert words[0] == "histoprompt"
    return build_parser().parse_args(shlex.split(shell_line(words, windows=False))[1:])


@pytest.mark.parametrize(
    "params",
    [
        CountParams(),
        CountParams(segmenter="classical-cells", dab=True, tile=256, embedding=True, device="cpu"),
        CountParams(regions=Path("/a b/r.geojson"), channel=NASTY),
        CountParams(classifier=Path("/-c.safetensors"), weights=Path("w.pth")),
    ],
)
def test_count(params):
    args = parsed("count", params)
    assert count_params(args) == params
    assert (args.slides, args.out, args.mpp, args.trust_size) == (
        [PLACE.slide], Path("out dir"), 0.25, True,
    )  # fmt: skip


def test_a_region_is_told_as_numbers(sample_slide):
    args = parsed("count", CountParams(region=(0, 16, 32, 48)))
    assert args.region == "0,16,32,48"


@pytest.mark.parametrize(
    "params",
    [
        ScoreStepParams(texts=("tumour|cancer", NASTY, "-minus")),
        ScoreStepParams(
            texts=("a",), contrasts=("b,c", "d"), threshold=0.125, scales=(1.0, 2.0), overlap=2,
            mpp=0.5, least_tiles=3, marks=Path("m.csv"), model="vocabulary",
        ),
    ],
)  # fmt: skip
def test_score(params):
    assert score_params(parsed("score", params)) == params


def test_segment():
    params = SegmentParams(prompts=Path("p q.json"), model="classical")
    args = parsed("segment", params)
    assert segment_params(args) == params
    assert args.out == Path("out dir.tif")


def test_export():
    params = ExportStepParams(labels=Path("store"), format="coco", simplify=0.5)
    slide = Slide.from_arrays("s", [np.zeros((8, 8, 3), "uint8")], mpp=1.0)
    assert export_params(parsed("export", params), slide) == params
    assert own_command([RecipeStep("export", replace(params, labels=None))], PLACE) is None


def test_import():
    params = ImportParams(offset=(), scale=2.0, format="geojson", into="count")
    words = import_words(PLACE, [Path("/x y.geojson")], params, ("classical", None))
    args = build_parser().parse_args(words)
    assert (args.files, args.offset, args.scale) == ([Path("/x y.geojson")], (), 2.0)
    assert (args.format, args.into, args.out) == ("geojson", "count", Path("out dir"))


def test_a_chain_of_steps_is_run_from_a_recipe():
    steps = [RecipeStep("count", CountParams()), RecipeStep("export", ExportStepParams())]
    assert own_command(steps, PLACE) is None
    args = build_parser().parse_args(recipe_command(Path("/r.toml"), PLACE)[1:])
    assert (args.recipe, args.slides) == (Path("/r.toml"), [PLACE.slide])


def test_a_posix_shell_gives_every_word_as_it_was():
    words = ["printf", "%s\\n", NASTY, "", "-x", "ü", "a=b", "&|<>^%PATH%"]
    line = shell_line(words, windows=False)
    told = subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout.decode()
    assert told.split("\n")[:-1] == words[2:]


def windows_words(line):
    """Words as a program of Windows gets them (the rules of its C runtime, by hand)."""
    words, word, quoted, started, i = [], "", False, False, 0
    while i < len(line):
        slashes = re.match(r"\\*", line[i:])[0]
        i += len(slashes)
        if i < len(line) and line[i] == '"':
            word, started = word + "\\" * (len(slashes) // 2), True
            if len(slashes) % 2:
                word += '"'
            else:
                quoted = not quoted
            i += 1
            continue
        word += slashes
        started = started or bool(slashes)
        if i < len(line):
            if line[i] == " " and not quoted:
                words += [word] if started else []
                word, started = "", False
            else:
                word, started = word + line[i], True
            i += 1
    return words + ([word] if started else [])


def test_a_shell_of_windows_gives_every_word_as_it_was():
    words = ["histoprompt", "C:\\my slides\\", NASTY, 'a\\\\"b', "", "x&y|z<>^", "plain.svs"]
    line = shell_line(words, windows=True)
    assert windows_words(line) == words
    outside = re.sub(r'"(?:\\.|[^"\\])*"', "", line)
    assert not re.search(r"[&|<>^]", outside)


def test_a_picture_that_is_no_file_has_no_command():
    slide = Slide.from_arrays("s", [np.zeros((8, 8, 3), "uint8")])
    with pytest.raises(ParameterError, match="no file"):
        CommandPlace.of(slide)


def test_index_and_search():
    index = IndexParams(mpp=1.0)
    args = parsed("index", index)
    assert read_parameters(IndexParams, args) == index
    examples = ([Example("here", Box(0, 1, 2, 3)), Example("other:x", Box(4, 5, 6, 7))], [])
    chosen = search_chosen(index, LikeParams(), examples, ("a,b", "c"), "here")
    assert chosen.like == ("0,1,2,3", "other:x:4,5,6,7")
    args = parsed("search", chosen)
    given = {"like": tuple(args.like), "unlike": tuple(args.unlike), "texts": tuple(args.text)}
    assert read_parameters(SearchParams, args, tuple(given), **given) == chosen
