"""The public functions, and the examples that use them."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import histoprompt as hp
from histoprompt.core.errors import LabelError
from histoprompt.core.labels.tiff import read_labels
from histoprompt.core.slides.sample import LABELS, SLIDE, sample_file
from histoprompt.pipelines.exchange.export import ExportParams

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.fixture
def slide():
    with hp.open_slide(sample_file(SLIDE)) as opened:
        yield opened


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_each_example_runs_on_the_sample_slide(example, tmp_path):
    env = {**os.environ, "HISTOPROMPT_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, str(example), str(tmp_path)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_package_offers_its_functions_before_they_are_loaded():
    assert set(hp.__all__) <= set(dir(hp))


def test_every_public_function_says_what_it_takes_and_gives():
    for name in hp.__all__:
        item = getattr(hp, name)
        if not inspect.isfunction(item):
            continue
        for part in ("Parameters\n", "Returns\n", "Raises\n"):
            assert part in item.__doc__, f"{name} lacks {part}"
        for parameter in inspect.signature(item).parameters:
            assert parameter in item.__doc__, f"{name} does not explain {parameter}"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'contu'"):
        hp.contu  # noqa: B018


def test_a_label_image_comes_back_as_it_was_exported(slide, tmp_path):
    labels = read_labels(sample_file(LABELS))
    given = hp.import_annotations(sample_file(LABELS), slide)
    for kind in ("labels", "coco", "geojson", "tiles"):
        params = ExportParams(format=kind, val_share=0, test_share=0)
        hp.export(slide, given.labels, tmp_path / kind, params)
    box = hp.Box(0, 0, *slide.shape)
    truth = labels.read(box)
    for place in ("labels/labels.ome.tif", "coco", "geojson/objects.geojson", "tiles"):
        back = hp.import_annotations(tmp_path / place, slide)
        assert np.array_equal(back.labels.read(box), truth), place


def test_a_file_of_another_slide_is_refused(slide, tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "small.tif", np.ones((8, 8), np.uint16))
    with pytest.raises(LabelError, match="has 8 rows and 8 columns"):
        hp.import_annotations(tmp_path / "small.tif", slide)
    (tmp_path / "words.txt").write_text("no outline")
    with pytest.raises(LabelError, match=r"words\.txt has the columns no outline"):
        hp.import_annotations(tmp_path / "words.txt", slide)
