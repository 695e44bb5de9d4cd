"""An index holds what an encoder saw of each tile of tissue, once, and is opened without it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bands import CARD, COLOURS, SIDE, Bands, manager_of, slide_of
from histoprompt.core.errors import MissingMppError, ModelError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Cancelled, Task
from histoprompt.pipelines.embedding import kept
from histoprompt.pipelines.explore.building import build_index, open_index
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.space import Space

PARAMS = IndexParams(encoder=CARD.id)


@pytest.fixture
def slide() -> Slide:
    return slide_of((0, 0, 1, 0, 2, 0, 0, 1), "one")


def test_tissue_alone_is_looked_at_and_each_tile_once(slide, tmp_path):
    model = Bands()
    manager = manager_of(model)
    index = build_index(slide, PARAMS, manager, Task(), stores=tmp_path)
    assert len(index) == 8 * 9 == model.seen
    assert index.boxes.dtype == np.int64
    assert index.boxes[0].tolist() == [0, 0, SIDE, SIDE]
    assert (index.boxes[:, 3] <= slide.shape[1] * 3 // 4).all()
    assert index.grid == (8, 12)
    assert index.vectors.take(np.arange(8 * 9)).shape == (72, 6)
    assert (index.flags["tissue"] > 0.5).all()
    assert set(index.flags) == {"tissue", "glass", "pen", "blur"}
    again = build_index(slide, PARAMS, manager, Task(), stores=tmp_path)
    assert model.seen == 72
    assert np.array_equal(again.vectors.take(np.arange(72)), index.vectors.take(np.arange(72)))


def test_vectors_are_those_of_a_plain_loop(slide, tmp_path):
    index = build_index(slide, PARAMS, manager_of(Bands()), Task(), stores=tmp_path)
    shown = [slide.read(Box(*map(int, box)), (16, 16))[0] for box in index.boxes]
    plain = Bands().encode(np.stack(shown))
    assert np.allclose(index.vectors.take(np.arange(len(index))), plain, rtol=1e-3, atol=0.01)


def test_a_whole_index_is_opened_without_reading_the_slide(slide, tmp_path, monkeypatch):
    manager = manager_of(Bands())
    assert open_index(slide, PARAMS, manager, tmp_path) is None
    built = build_index(slide, PARAMS, manager, Task(), name="S1", stores=tmp_path)
    monkeypatch.setattr(Slide, "read", None)
    opened = open_index(slide, PARAMS, manager, tmp_path)
    assert opened is not None
    assert opened.name == "S1"
    assert np.array_equal(opened.boxes, built.boxes)
    assert np.array_equal(opened.flags["glass"], built.flags["glass"])
    assert np.array_equal(opened.vectors.take(np.arange(72)), built.vectors.take(np.arange(72)))


def test_a_cancelled_index_goes_on_where_it_was(slide, tmp_path):
    model = Bands()
    task = Task()
    model_encode = model.encode

    def encode(tiles):
        if model.seen >= 32:
            task.cancel()
        return model_encode(tiles)

    model.encode = encode
    with pytest.raises(Cancelled):
        build_index(slide, PARAMS, manager_of(model), task, stores=tmp_path)
    assert open_index(slide, PARAMS, manager_of(model), tmp_path) is None
    seen, fresh = model.seen, Bands()
    index = build_index(slide, PARAMS, manager_of(fresh), Task(), stores=tmp_path)
    assert 0 < fresh.seen <= 72 - seen + 32  # of the last batch nothing may have been kept
    assert len(index) == 72


def test_a_killed_process_loses_at_most_what_was_in_hand(tmp_path):
    script = f"""
        import os, sys
        sys.path[:0] = [{str(Path(__file__).parents[2])!r}]
        from pathlib import Path
        import bands
        from histoprompt.core.task import Task
        from histoprompt.models import registry
        from histoprompt.pipelines.explore.building import build_index
        from histoprompt.pipelines.explore.index import IndexParams
        registry._ZOO = (("bands", "CARD"),)
        model = bands.Bands()
        plain = model.encode
        def encode(tiles):
            if model.seen >= 300:
                os._exit(9)
            return plain(tiles)
        model.encode = encode
        slide = bands.slide_of((0, 1, 2, 0) * 12, "killed")
        build_index(slide, IndexParams(encoder="bands"), bands.manager_of(model), Task(),
                    stores=Path({str(tmp_path)!r}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == 9
    slide, fresh = slide_of((0, 1, 2, 0) * 12, "killed"), Bands()
    index = build_index(slide, PARAMS, manager_of(fresh), Task(), stores=tmp_path)
    assert len(index) == 48 * 9
    assert fresh.seen == len(index) - 256
    whole = build_index(slide, PARAMS, manager_of(Bands()), Task(), stores=tmp_path / "other")
    every = np.arange(len(index))
    assert np.array_equal(index.vectors.take(every), whole.vectors.take(every))


def test_steps_per_tile_make_the_grid_finer(slide, tmp_path):
    fine = replace(PARAMS, overlap=2)
    index = build_index(slide, fine, manager_of(Bands()), Task(), stores=tmp_path)
    assert index.step == SIDE // 2
    assert (index.boxes[:, 2] - index.boxes[:, 0] == SIDE).all()
    squares = index.squares
    assert (squares[:, 2] - squares[:, 0] == SIDE // 2).all()
    tissue_mm2 = 8 * 9 * (SIDE * 0.5) ** 2 / 1e6
    assert index.mm2().sum() == pytest.approx(tissue_mm2, rel=0.1)


def test_glass_and_unknown_pixel_size_are_refused_with_a_reason(tmp_path):
    glass = Slide.from_arrays("glass", [np.full((200, 200, 3), 243, np.uint8)], mpp=0.5)
    with pytest.raises(RegionError, match=r"glass cannot be indexed: no tissue was found.*glass"):
        build_index(glass, PARAMS, manager_of(Bands()), Task(), stores=tmp_path)
    unknown = Slide.from_arrays("unknown", [np.full((200, 200, 3), 100, np.uint8)])
    with pytest.raises(MissingMppError):
        build_index(unknown, PARAMS, manager_of(Bands()), Task(), stores=tmp_path)
    segmenter = IndexParams(encoder="classical")
    with pytest.raises(ModelError, match="makes no vectors of tiles"):
        build_index(glass, segmenter, manager_of(Bands()), Task(), stores=tmp_path)


def test_a_damaged_list_of_tiles_is_made_again(slide, tmp_path):
    manager = manager_of(Bands())
    build_index(slide, PARAMS, manager, Task(), stores=tmp_path)
    (path,) = tmp_path.rglob(kept.FILE)
    path.write_bytes(path.read_bytes()[:200])
    assert open_index(slide, PARAMS, manager, tmp_path) is None
    assert len(build_index(slide, PARAMS, manager, Task(), stores=tmp_path)) == 72
    assert open_index(slide, PARAMS, manager, tmp_path) is not None


# -- several slides ------------------------------------------------------------------------------


def test_several_slides_are_one_index(slide, tmp_path):
    manager = manager_of(Bands())
    other = slide_of((1, 1, 2), "two", seed=1)
    parts = tuple(build_index(s, PARAMS, manager, Task(), stores=tmp_path) for s in (slide, other))
    index = ProjectIndex(parts)
    assert len(index) == 72 + 27
    assert index.starts.tolist() == [0, 72, 99]
    assert np.bincount(index.slide_of).tolist() == [72, 27]
    rows = np.array([98, 0, 72, 5])
    assert np.array_equal(index.take(rows)[2], parts[1].vectors.take(np.array([0]))[0])
    assert np.array_equal(index.take(rows), index.all_vectors()[rows])


def test_indexes_of_other_encoders_weights_or_scales_are_not_mixed(slide, tmp_path):
    one = build_index(slide, PARAMS, manager_of(Bands()), Task(), stores=tmp_path)
    for change, said in (
        ({"encoder": "virchow2"}, "different encoders"),
        ({"digest": "sha256:1"}, "different weights"),
        ({"side": 64}, "different magnifications"),
        ({"step": 0}, "different kinds"),
    ):
        with pytest.raises(ModelError, match=said):
            ProjectIndex((one, replace(one, name="two", **change)))
    with pytest.raises(RegionError, match="No slide is indexed"):
        ProjectIndex(())


def test_in_their_space_tiles_of_one_colour_are_alike(slide, tmp_path):
    index = ProjectIndex(
        (build_index(slide, PARAMS, manager_of(Bands()), Task(), stores=tmp_path),)
    )
    unit = Space.of(index).unit(index.all_vectors())
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    rows = index.boxes[:, 0] // SIDE
    colour = np.array([0, 0, 1, 0, 2, 0, 0, 1])[rows]
    assert len(COLOURS) == len(set(colour))
    alike = unit @ unit.T
    np.fill_diagonal(alike, -2)
    assert (colour[alike.argmax(axis=1)] == colour).mean() > 0.95


def test_a_space_of_one_tile_leaves_it_as_it_is():
    one = np.array([[3.0, 4.0]], np.float32)
    assert np.allclose(Space.fitted(one).unit(one), [[0.6, 0.8]])
