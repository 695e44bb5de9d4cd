"""One description of a parameter: checks, tables, arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.core.errors import ParameterError
from histoprompt.core.parameters import fields_of, from_table, to_table
from kinds_of_parameters import Params


def _parsed(*words: str) -> Params:
    parser = argparse.ArgumentParser()
    add_parameters(parser, Params, skip={"words"})
    return read_parameters(Params, parser.parse_args(words), skip={"words"}, words=("a",))


def test_fields_are_those_with_a_description():
    found = {f.name: f for f in fields_of(Params)}
    assert "inner" not in found
    assert found["way"].choices == ("crop", "tokens")
    assert found["way"].option == "--cells-as"
    assert found["scales"].many
    assert found["file"].optional
    assert found["file"].kind is Path
    assert found["side"].title == "Tile side (px)"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"side": 16}, "Tile side is 16; it must lie between 32 and 8192."),
        ({"side": 40.5}, "Tile side is 40.5; it must be a whole number."),
        ({"side": True}, "Tile side is True; it must be a whole number."),
        ({"mpp": float("nan")}, "Pixel size is nan; it must lie between 0 and 100."),
        ({"way": "box"}, "Seen as is 'box'; it must be one of crop, tokens."),
        ({"scales": (1.0, 99.0)}, "Scales is 99; it must lie between 0.25 and 16."),
        ({"scales": 1.0}, "Scales is 1.0; it must be a list."),
        ({"side": None}, "Tile side is None; it must be a whole number."),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_limits(given, told):
    with pytest.raises(ParameterError) as caught:
        Params(**given)
    assert str(caught.value) == told


def test_limits_themselves_are_allowed():
    assert Params(side=32).side == 32
    assert Params(side=8192, mpp=100.0).mpp == 100


def test_a_table_gives_the_same_parameters_back():
    params = Params(64, 0.25, "tokens", ("a", "b"), (1.0, 2.0), True, Path("x") / "y")
    assert from_table(Params, to_table(params)) == params
    assert "file" not in to_table(Params())


def test_a_table_with_unknown_names_is_refused():
    with pytest.raises(ParameterError, match="sied is unknown here; there are each, file"):
        from_table(Params, {"sied": 3})


def test_whole_numbers_of_a_table_do_for_numbers():
    assert from_table(Params, {"mpp": 1, "scales": [1, 2]}).scales == (1.0, 2.0)


def test_arguments_give_the_same_parameters():
    found = _parsed("--side", "64", "--cells-as", "tokens", "--scales", "1,2", "--each")
    assert found == Params(64, 0.0, "tokens", ("a",), (1.0, 2.0), each=True)
    assert _parsed() == Params(words=("a",))


@pytest.mark.parametrize(
    "words", [("--side", "16"), ("--side", "x"), ("--scales", "1,99"), ("--cells-as", "box")]
)
def test_arguments_that_cannot_be_end_with_two(words, capsys):
    with pytest.raises(SystemExit) as caught:
        _parsed(*words)
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_help_can_be_printed_with_a_per_cent_sign(capsys):
    parser = argparse.ArgumentParser()
    add_parameters(parser, Params)
    text = parser.format_help()
    assert "100 % of boxes" in " ".join(text.split())
    assert "default: 0.0, as the slide" in " ".join(text.split())
