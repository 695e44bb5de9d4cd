"""How the network of prompts is trained: who is asked how often, and what it begins with."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage as ndi

torch = pytest.importorskip("torch")

from histoprompt.core.task import Task  # noqa: E402
from histoprompt.models.cells.instances import DecodeParams  # noqa: E402
from histoprompt.models.networks.unet import (  # noqa: E402
    NucleiNet,
    PromptNet,
    prompt_net_of,
)
from histoprompt.training.batch import Share  # noqa: E402
from histoprompt.training.data import Sample  # noqa: E402
from histoprompt.training.loop import Stage  # noqa: E402
from histoprompt.training.pool import Pooled  # noqa: E402
from histoprompt.training.prompt_targets import redrawn  # noqa: E402
from histoprompt.training.train_prompt import (  # noqa: E402
    Finder,
    PromptConfig,
    remembering,
    round_loss,
    start_from,
    train_prompt,
)


def discs(side: int = 256) -> Sample:
    """A field with nine round nuclei."""
    rows, cols = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int32)
    for k, (r, c) in enumerate(np.ndindex(3, 3), start=1):
        labels[(rows - 50 - 75 * r) ** 2 + (cols - 50 - 75 * c) ** 2 < 12**2] = k
    image = np.where(labels[..., None] > 0, [90, 60, 140], [230, 190, 210]).astype(np.uint8)
    return Sample(image, labels, np.ones_like(labels, bool), "discs")


@pytest.fixture
def stage(tmp_path):
    torch.set_num_threads(1)
    Pooled.of(discs()).save(tmp_path / "one.npz")
    return Stage(tmp_path, "prompts", Task())


def test_every_so_manieth_step_corrects_half_as_many_objects_twice_as_often(stage):
    torch.manual_seed(0)
    net, asked = PromptNet(), []
    net.register_forward_hook(lambda _, args, __: asked.append(tuple(args[2].shape)))
    config = PromptConfig(
        steps=3, objects=4, rounds=2, whole_every=3, long_every=2, regions=0, wide_regions=0
    )
    finder = Finder(NucleiNet(), DecodeParams())
    train_prompt([Share([stage.folder / "one.npz"])], net, finder, config, stage)
    few = [(4, 5, 128, 128)] * 2
    long = [(2, 5, 128, 128)] * 4
    whole = [(2, 5, 256, 256)] * 2
    assert asked == few + long + whole


def test_without_long_steps_all_are_alike(stage):
    net, asked = PromptNet(), []
    net.register_forward_hook(lambda _, args, __: asked.append(len(args[2])))
    config = PromptConfig(steps=3, objects=3, rounds=2, whole_every=9, long_every=0, regions=0)
    finder = Finder(NucleiNet(), DecodeParams())
    train_prompt([Share([stage.folder / "one.npz"])], net, finder, config, stage)
    assert asked == [3] * 6


@pytest.mark.parametrize(("relaxed", "taught"), [(0.0, [1]), (0.2, [1, 2, 3])])
def test_nested_masks_that_are_not_the_best_learn_only_if_relaxed(relaxed, taught):
    truth = torch.zeros(1, 16, 16)
    truth[:, 4:12, 4:12] = 1
    logits = torch.zeros(1, 4, 16, 16)
    logits[:, 1] = 4 * truth - 2  # the best of three
    logits.requires_grad_()
    seen = SimpleNamespace(mask=truth, known=torch.ones(1, 16, 16))
    said = [SimpleNamespace(is_one_click=True)]
    config = PromptConfig(relaxed=relaxed)
    round_loss(logits, torch.zeros(1, 4), seen, said, config).backward()
    moved = logits.grad.abs().sum((0, 2, 3))
    assert [k for k in (1, 2, 3) if moved[k] > 0] == taught


def test_scores_begin_as_those_of_an_average_mask():
    torch.manual_seed(0)
    cells, prompt = NucleiNet(), PromptNet()
    start_from(prompt, cells)
    planes, hints = torch.rand(2, 3, 64, 64), torch.rand(2, 5, 64, 64)
    scores = prompt(planes, planes, hints)[1]
    assert scores.allclose(torch.full((2, 4), 0.7))
    scores.sum().backward()
    assert prompt.quality.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("again", [True, False])
def test_prompts_are_looked_at_once_more_beside_the_features(again):
    torch.manual_seed(0)
    net = PromptNet(again=again).eval().requires_grad_(False)
    net.trunk.encoder.stem[0].weight[:, 3:] = 0  # the trunk sees light alone
    planes, hints = torch.rand(1, 3, 64, 64), torch.zeros(1, 5, 64, 64)
    clicked = hints.clone()
    clicked[0, 0, 31:34, 40:43] = 1
    change = (net(planes, planes, hints)[0] - net(planes, planes, clicked)[0]).abs().amax((0, 1))
    assert (change.max() > 0) == again
    assert (prompt_net_of(net.state_dict()).again is not None) == again
    if again:  # most where it was clicked, to the pixel of half the resolution and its neighbours
        near = torch.zeros(64, 64, dtype=torch.bool)
        near[28:36, 38:46] = True
        assert change[near].max() > 3 * change[~near].max()


def test_a_network_that_looks_again_may_be_shown_its_answer_before_later_on():
    torch.manual_seed(0)
    old = PromptNet(hints=4, again=True).eval().requires_grad_(False)
    new = remembering(old).eval().requires_grad_(False)
    assert prompt_net_of(new.state_dict()).hints == 5
    planes, hints = torch.rand(1, 3, 64, 64), torch.rand(1, 5, 64, 64)
    assert new(planes, planes, hints)[0].allclose(old(planes, planes, hints)[0], atol=1e-4)


@pytest.mark.parametrize("centre", [(100, 130), (3, 4), (196, 255)])
@pytest.mark.parametrize("seed", range(4))
def test_an_outline_is_drawn_anew_as_if_the_whole_field_were_looked_at(centre, seed):
    rows, cols = np.mgrid[:200, :260]
    mask = (rows - centre[0]) ** 2 + 2 * (cols - centre[1]) ** 2 < 15**2
    found = redrawn(mask, np.random.default_rng(seed), chance=1)
    rng = np.random.default_rng(seed)
    rng.random()
    outwards = np.clip(rng.normal(0, 1.0), -2, 2)
    depth = ndi.distance_transform_edt(mask) - ndi.distance_transform_edt(~mask)
    assert np.array_equal(found, ndi.gaussian_filter(depth, 0.7) > -outwards)


def test_maps_are_worked_out_in_the_short_type_where_training_is(stage, monkeypatch):
    from histoprompt.training import train_prompt as module

    seen = []
    monkeypatch.setattr(
        module,
        "predict_maps",
        lambda _, image: (
            seen.append(torch.is_autocast_enabled("cpu")),
            np.zeros((3, *image.shape[:2]), np.float32),
        )[1],
    )
    config = PromptConfig(steps=1, objects=2, rounds=1, whole_every=9, regions=0)
    finder = Finder(NucleiNet(), DecodeParams())
    for half in (False, True):
        train_prompt(
            [Share([stage.folder / "one.npz"])],
            PromptNet(),
            finder,
            replace(config, half=half),
            stage,
        )
    assert set(seen[: len(seen) // 2]) == {False}
    assert set(seen[len(seen) // 2 :]) == {True}
