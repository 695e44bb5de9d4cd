"""The prompts file: read, written, and refused with the key that is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.file import ObjectPrompt, parse_prompts, read_prompts, write_prompts
from histoprompt.core.prompts.prompt import Prompt, ScribbleMap

GOOD = {
    "id": 3,
    "box": [1, 2, 30, 40],
    "points": [[10, 20], [11, 21]],
    "labels": [1, 0],
    "scribbles": {"positive": [[[3, 4], [5, 6]]], "negative": []},
}


def test_every_part_is_read():
    (item,) = parse_prompts({"objects": [GOOD]})
    assert item.id == 3
    assert item.prompt.box == Box(1, 2, 30, 40)
    assert item.prompt.labels.tolist() == [True, False]
    assert item.prompt.strokes.positive[0].tolist() == [[3, 4], [5, 6]]


def test_labels_default_to_inside():
    (item,) = parse_prompts({"objects": [{"id": 1, "points": [[1, 2], [3, 4]]}]})
    assert item.prompt.labels.all()


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], '"objects" is missing'),
        ({"things": []}, '"objects" is missing'),
        ({"objects": [], "more": 1}, '"more"'),
        ({"objects": []}, '"objects"'),
        ({"objects": [7]}, r"objects\[0\]"),
        ({"objects": [{**GOOD, "id": 0}]}, r"objects\[0\].id"),
        ({"objects": [{**GOOD, "id": True}]}, r"objects\[0\].id"),
        ({"objects": [{**GOOD, "bbox": [1, 2, 3, 4]}]}, '"bbox"'),
        ({"objects": [{**GOOD, "box": [1, 2, 3]}]}, r"objects\[0\].box"),
        ({"objects": [{**GOOD, "box": [5, 2, 3, 9]}]}, r"objects\[0\].box"),
        ({"objects": [{**GOOD, "box": ["a", 2, 3, 4]}]}, r"objects\[0\].box"),
        ({"objects": [{**GOOD, "points": [[1]], "labels": [1]}]}, r"objects\[0\].points\[0\]"),
        ({"objects": [{**GOOD, "labels": [1]}]}, r"objects\[0\].labels"),
        ({"objects": [{**GOOD, "labels": [1, 2]}]}, r"objects\[0\].labels"),
        ({"objects": [{**GOOD, "scribbles": []}]}, r"objects\[0\].scribbles"),
        ({"objects": [{**GOOD, "scribbles": {"plus": []}}]}, '"plus"'),
        ({"objects": [{**GOOD, "scribbles": {"positive": [[]]}}]}, "without points"),
        ({"objects": [{"id": 1, "points": [[1, 2]], "labels": [0]}]}, "nowhere"),
        ({"objects": [GOOD, GOOD]}, '"id" 3'),
    ],
)
def test_what_is_wrong_is_named(document, named):
    with pytest.raises(PromptError, match=named):
        parse_prompts(document)


def test_a_missing_file_and_no_json_are_one_line(tmp_path):
    with pytest.raises(PromptError, match="cannot be read"):
        read_prompts(tmp_path / "none.json")
    bad = tmp_path / "bad.json"
    bad.write_text("{objects: 1")
    with pytest.raises(PromptError, match="is not JSON") as caught:
        read_prompts(bad)
    assert "\n" not in str(caught.value)


def test_written_prompts_read_back(tmp_path):
    objects = parse_prompts({"objects": [GOOD, {"id": 4, "box": [0, 0, 5, 5]}]})
    path = tmp_path / "prompts.json"
    write_prompts(path, objects)
    again = read_prompts(path)
    assert [o.id for o in again] == [3, 4]
    assert np.array_equal(again[0].prompt.points, objects[0].prompt.points)
    assert again[1].prompt.box == Box(0, 0, 5, 5)
    assert json.loads(path.read_text())["objects"][1].keys() == {"id", "box"}


def test_painted_scribbles_are_written_as_points(tmp_path):
    painted = np.zeros((4, 4), np.uint8)
    painted[1, 2] = 1
    painted[3, 3] = 2
    prompt = Prompt(painted=ScribbleMap(painted, Frame.of_array(painted, (10, 20))))
    write_prompts(tmp_path / "p.json", [ObjectPrompt(1, prompt)])
    (item,) = read_prompts(tmp_path / "p.json")
    assert item.prompt.strokes.positive[0].tolist() == [[11, 22]]
    assert item.prompt.strokes.negative[0].tolist() == [[13, 23]]
