"""The project's own models, with heads as they are before training."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from histoprompt.core.cell_table import PROBABILITY  # noqa: E402
from histoprompt.core.errors import ModelError, PromptError, WeightsError  # noqa: E402
from histoprompt.core.geometry import Box, Frame  # noqa: E402
from histoprompt.core.prompts.prompt import Prompt, Strokes  # noqa: E402
from histoprompt.core.results import Mask  # noqa: E402
from histoprompt.models.cells.familiar import Familiar  # noqa: E402
from histoprompt.models.cells.instances import DecodeParams  # noqa: E402
from histoprompt.models.cells.joining import Joining  # noqa: E402
from histoprompt.models.cells.probability import ProbabilityCalibration  # noqa: E402
from histoprompt.models.networks import lite_cells, lite_networks  # noqa: E402
from histoprompt.models.networks.head_files import Heads, read_heads, save_heads  # noqa: E402
from histoprompt.models.networks.unet import NucleiNet, PromptNet  # noqa: E402
from histoprompt.models.roles import (  # noqa: E402
    CellEmbedder,
    CellScorer,
    Embedding,
    PromptSegmenter,
)
from histoprompt.models.zoo import histoprompt_lite as lite  # noqa: E402


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "heads.safetensors"
    heads = Heads(NucleiNet().state_dict(), PromptNet().state_dict(), DecodeParams(seed=0.35))
    save_heads(heads, path)
    return path


@pytest.fixture(scope="module")
def model(weights):
    torch.set_num_threads(1)
    return lite.load_prompts(lite.CARD, weights, "cpu")


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (100, 140, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def embedding(model, image):
    return model.embed(image)


def test_weights_read_back_equal_and_small(weights):
    heads = read_heads(weights)
    assert heads.params == DecodeParams(seed=0.35)
    torch.manual_seed(0)
    before = NucleiNet().state_dict()
    assert all(v.allclose(before[k], atol=1e-3) for k, v in heads.cells.items())
    assert weights.stat().st_size < 8_000_000


def test_the_rule_that_joins_pieces_stands_in_the_file(tmp_path):
    path = tmp_path / "ruled.safetensors"
    rule = Joining(0.25, (1.5, -2.0, 0.0, 3.0, 4.0, 5.0, -6.0))
    params = DecodeParams(seed=0.35, joining=rule)
    save_heads(Heads(NucleiNet().state_dict(), PromptNet().state_dict(), params), path)
    assert read_heads(path).params == params
    short = DecodeParams(joining=Joining(0.25, (1.5, -2.0)))
    save_heads(Heads(NucleiNet().state_dict(), PromptNet().state_dict(), short), path)
    with pytest.raises(WeightsError, match="joining: 2 weights are stated, and 7 are needed"):
        read_heads(path)


def test_other_files_are_refused(tmp_path, weights):
    from safetensors.torch import save_file

    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other)
    with pytest.raises(WeightsError, match="does not hold"):
        read_heads(other)
    wrong = tmp_path / "wrong.safetensors"
    save_heads(Heads({"x": torch.zeros(1)}, {}, DecodeParams()), wrong)
    with pytest.raises(WeightsError, match="another architecture"):
        lite.load_cells(lite.CELLS, wrong, "cpu")
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be read"):
        read_heads(torn)


def test_it_is_a_prompt_segmenter(model, embedding):
    assert isinstance(model, PromptSegmenter)
    assert model.accepts == {"point", "box", "scribble"}
    assert embedding.shape == (100, 140)
    assert embedding.n_bytes < 8 * 2**20


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        (Prompt.of_points([(50, 60)]), 3),
        (Prompt.of_points([(50, 60), (10, 10)], [True, False]), 1),
        (Prompt.of_box(Box(20, 30, 60, 80)), 1),
        (Prompt(strokes=Strokes((np.array([[10.0, 10.0], [40.0, 50.0]]),))), 1),
        (Prompt(points=np.array([[30.0, 30.0]]), labels=[True], box=Box(20, 20, 50, 50)), 1),
    ],
)
def test_every_kind_and_mix_of_prompt(model, embedding, prompt, count):
    (masks,) = model.segment(embedding, [prompt])
    assert len(masks) == count
    scores = [m.score for m in masks]
    assert scores == sorted(scores, reverse=True)
    for mask in masks:
        assert mask.array.shape == (100, 140)
        assert mask.frame.box == Box(0, 0, 100, 140)
        assert 0 <= mask.score <= 1


def test_many_prompts_at_once_give_what_each_gives_alone(model, embedding):
    prompts = [Prompt.of_points([(20 + 3 * k, 30)]) for k in range(3)]
    prompts.append(Prompt.of_box(Box(10, 10, 60, 60)))
    together = model.segment(embedding, prompts)
    for prompt, masks in zip(prompts, together, strict=True):
        (alone,) = model.segment(embedding, [prompt])
        assert len(alone) == len(masks)
        assert (alone[0].array != masks[0].array).mean() < 0.01


def test_a_prompt_of_exclusions_is_refused(model, embedding):
    with pytest.raises(PromptError, match="only says where"):
        model.segment(embedding, [Prompt.of_points([(5, 5)], [False])])


def test_another_models_embedding_is_refused(model, embedding):
    other = Embedding("litemedsam", embedding.shape, None, 0)
    with pytest.raises(ModelError, match="embed again"):
        model.segment(other, [Prompt.of_points([(5, 5)])])


@pytest.mark.parametrize("shape", [(100, 140), (256, 256), (301, 257)])
def test_cells_labels_have_the_images_shape(weights, shape):
    cells = lite.load_cells(lite.CELLS, weights, "cpu")
    labels = cells.segment(np.full((*shape, 3), 200, np.uint8))
    assert labels.shape == shape
    assert labels.dtype == np.int32


def test_cells_are_described_in_the_same_look(weights, image):
    cells = lite.load_cells(lite.CELLS, weights, "cpu")
    assert isinstance(cells, CellEmbedder)
    labels, features = cells.segment_described(image)
    assert np.array_equal(labels, cells.segment(image))
    assert features.shape == (labels.max(), len(cells.feature_names))
    assert np.isfinite(features).all()


@pytest.mark.parametrize("size", [(16, 16), (512, 512), (512, 960), (1408, 1856)])
def test_windows_own_every_pixel_once(size):
    owned, weight = np.zeros(size, int), np.zeros(size)
    for seen, keep in lite_cells._windows(*size):
        assert Box.of_shape(size).covers(seen)
        assert seen.covers(keep)
        assert all(v % 16 == 0 for box in (seen, keep) for v in box)
        owned[keep.slices()] += 1
        weight[seen.slices()] += lite_cells._weights(seen, keep, size)
    assert (owned == 1).all()
    np.testing.assert_allclose(weight, 1, atol=1e-6)


def test_a_line_between_windows_is_no_edge(weights):
    """Half of the picture is much darker, so that both windows are normalised unlike."""
    cells = lite.load_cells(lite.CELLS, weights, "cpu")
    large = np.random.default_rng(1).integers(100, 255, (512, 960, 3), dtype=np.uint8)
    large[:, 540:] //= 2
    maps, _ = cells._maps(large, features=False)
    steps = np.abs(np.diff(maps[0].astype(float), axis=1)).mean(axis=0)
    assert steps[479] < 1.5 * np.median(steps[440:512])


def test_two_images_of_one_lattice_agree_where_both_see_whole_windows(weights):
    cells = lite.load_cells(lite.CELLS, weights, "cpu")
    large = np.random.default_rng(1).integers(0, 255, (512, 1408, 3), dtype=np.uint8)
    whole, features = cells._maps(large, features=True)
    part, fewer = cells._maps(large[:, 448:], features=True)
    assert np.allclose(whole[:, :, 512:], part[:, :, 64:], atol=1e-5)
    assert np.allclose(features[:, :, 30:], fewer[:, :, 2:], atol=1e-4)


def test_glass_is_empty_and_what_is_dark_in_red_may_be_a_nucleus():
    rng = np.random.default_rng(0)
    image = (238 + rng.normal(0, 4, (64, 64, 3))).clip(0, 255).astype(np.uint8)
    assert not lite_networks.darker_than_glass(image).any()
    image[20:40, 20:40] = (120, 90, 160)
    dark = lite_networks.darker_than_glass(image)
    assert dark[20:40, 20:40].mean() > 0.95
    assert not dark[:12].any()


def test_windows_hold_what_was_said_and_grow_with_it(image):
    drawn = np.zeros((4, 256, 256), np.float32)
    drawn[0, 3, 250] = 1
    near = lite._window(drawn)
    assert near.shape == (128, 128)
    assert near.covers(Box(3, 250, 4, 251))
    drawn[2, 10:90, 100:200] = 1
    assert lite._window(drawn) == Box(0, 0, 256, 256)


def test_a_click_far_from_an_object_leaves_it_alone(model, embedding):
    (masks,) = model.segment(embedding, [Prompt.of_points([(2, 2)])])
    assert not masks[0].array[:, 120:].any()


def test_the_answer_before_is_drawn_where_it_was(model, embedding, monkeypatch):
    """A square in the image, whose longer side of 140 px is the field's 256."""
    seen = []
    hints = lite.hints
    monkeypatch.setattr(lite, "hints", lambda *args: seen.append(hints(*args)) or seen[-1])
    box = Box(20, 30, 60, 80)
    answer = Mask(np.ones(box.shape, bool), Frame(box, box.shape))
    first = Prompt.of_points([(40, 50)])
    prompt = Prompt.of_points([(40, 50), (10, 10)], [True, False])
    model.segment(embedding, [prompt.after(first, answer), prompt])
    drawn, without = (planes[4] for planes in seen)
    assert not without.any()
    scale = 256 / 140
    rows, cols = (np.flatnonzero((drawn > 0).any(axis)) for axis in (1, 0))
    assert abs(rows[0] - 20 * scale) <= 1.5
    assert abs(rows[-1] - 60 * scale) <= 1.5
    assert abs(cols[0] - 30 * scale) <= 1.5
    assert abs(cols[-1] - 80 * scale) <= 1.5
    assert set(np.unique(drawn)) == {-1, 1}


def test_an_older_file_answers_without_a_memory(tmp_path, image):
    torch.manual_seed(0)
    path = tmp_path / "older.safetensors"
    state = PromptNet("unet", hints=4).state_dict()
    save_heads(Heads(NucleiNet().state_dict(), state, DecodeParams()), path)
    older = lite.load_prompts(lite.CARD, path, "cpu")
    embedding = older.embed(image)
    first, second = Prompt.of_points([(50, 60)]), Prompt.of_points([(50, 60), (20, 20)], [1, 0])
    (alone,) = older.segment(embedding, [second])
    (told,) = older.segment(embedding, [second.after(first, alone[0])])
    assert np.array_equal(alone[0].array, told[0].array)


@pytest.fixture(scope="module")
def told(weights, tmp_path_factory):
    """The same networks in a file that says how likely a nucleus is one, and what was learnt."""
    heads = read_heads(weights)
    learnt = np.random.default_rng(0).normal(0, 1, (50, 119)).astype(np.float32)
    known = ProbabilityCalibration(0.25, (1.0, 0.0, 0.0, 0.0, 0.0)), Familiar.of(learnt)
    path = tmp_path_factory.mktemp("told") / "heads.safetensors"
    save_heads(Heads(heads.cells, heads.prompt, DecodeParams(seed=0, certainty=0), *known), path)
    return path


def test_a_file_says_how_likely_a_nucleus_is_one_and_what_was_learnt(told):
    heads = read_heads(told)
    assert heads.calibration == ProbabilityCalibration(0.25, (1.0, 0.0, 0.0, 0.0, 0.0))
    assert heads.familiar.mean.shape == (119,)
    image = np.random.default_rng(1).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    cells = lite.load_cells(lite.CELLS, told, "cpu")
    assert isinstance(cells, CellScorer)
    labels, probability = cells.segment_scored(image)
    assert labels.max() > 0
    assert probability.shape == (labels.max(),)
    # sigmoid of .25 and the mean foreground, which lies between 0 and 1
    assert probability.min() >= 1 / (1 + np.exp(-0.25))
    assert probability.max() <= 1 / (1 + np.exp(-1.25))
    _, described = cells.segment_described(image)
    assert cells.feature_names[-1] == PROBABILITY
    assert np.allclose(described[:, -1], probability, equal_nan=True)
    assert cells.strangeness([image]).shape == (1,)


def test_a_file_that_does_not_say_leaves_it_out(weights):
    cells = lite.load_cells(lite.CELLS, weights, "cpu")
    assert PROBABILITY not in cells.feature_names
    assert cells.segment_scored(np.zeros((64, 64, 3), np.uint8))[1] is None
    assert cells.strangeness([np.zeros((64, 64, 3), np.uint8)]) is None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("probability", '{"intercept": 0, "weights": [1, 2]}'),
        ("probability", '{"intercept": NaN, "weights": [1, 2, 3, 4, 5]}'),
        ("familiar", '{"mean": [1, 2], "directions": [[1]], "bound": 1}'),
        ("familiar", '{"mean": [1, 2], "directions": [[1, 2]], "bound": 0}'),
        ("familiar", "[]"),
        ("trust", "[[0, 1], [0, 1], [0, 1]]"),
        ("trust", "[[0, 1], [0, 1], [0, 1], [0]]"),
    ],
)
def test_damaged_statements_are_refused_and_named(told, tmp_path, key, text):
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(told, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        meta = {**file.metadata(), key: text}
    path = tmp_path / "damaged.safetensors"
    save_file(tensors, path, meta)
    with pytest.raises(WeightsError, match=key if "NaN" not in text else "damaged"):
        read_heads(path)


def test_the_best_of_four_masks_is_shown_where_scores_are_known_to_be_fair(
    weights, tmp_path, embedding
):
    """The single mask comes first if it is worth most, and the largest of three is left out."""
    heads = read_heads(weights)
    trust = ((0.9, 0.0), (0.5, 0.0), (0.7, 0.0), (0.1, 0.0))
    path = tmp_path / "fair.safetensors"
    save_heads(Heads(heads.cells, heads.prompt, heads.params, trust=trust), path)
    assert read_heads(path).trust == trust
    (masks,) = lite.load_prompts(lite.CARD, path, "cpu").segment(
        embedding, [Prompt.of_points([(50, 60)])]
    )
    assert [round(m.score, 3) for m in masks] == [0.9, 0.7, 0.5]
