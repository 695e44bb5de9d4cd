"""The networks of the project's own models: shapes, sizes, and what a pixel depends on."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from histoprompt.models.networks.unet import (  # noqa: E402
    FIRST,
    TRUNKS,
    NucleiNet,
    PromptNet,
    absorbed,
    prompt_net_of,
    trunk_of,
)
from histoprompt.training.train_prompt import remembering  # noqa: E402


@pytest.fixture(scope="module", params=sorted(TRUNKS))
def trunk(request):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return request.param


@pytest.fixture(scope="module")
def nuclei_net(trunk):
    return NucleiNet(trunk).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def prompt_net(trunk):
    return PromptNet(trunk).eval().requires_grad_(False)


def test_white_absorbs_nothing_and_black_nearly_all():
    rgb = torch.tensor([255, 0], dtype=torch.uint8).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    light = absorbed(rgb)
    assert light[..., 0].abs().max() == 0
    assert light[..., 1].allclose(torch.tensor(255 / 256))


@pytest.mark.parametrize("shape", [(64, 64), (48, 160)])
def test_maps_have_the_resolution_of_the_image(trunk, nuclei_net, shape):
    maps, features = nuclei_net.described(torch.rand(2, 3, *shape))
    assert maps.shape == (2, 3, *shape)
    width = {"unet": 128, "efficientnet-lite0": 112}[trunk]
    assert features.shape == (2, width, shape[0] // 16, shape[1] // 16)


def test_a_state_tells_its_trunk(trunk, nuclei_net, prompt_net):
    assert trunk_of(nuclei_net.state_dict()) == trunk
    assert trunk_of(prompt_net.state_dict()) == trunk


def test_both_networks_are_small(nuclei_net, prompt_net):
    for net in (nuclei_net, prompt_net):
        assert sum(p.numel() for p in net.parameters()) < 1_500_000


def test_a_weaker_dye_changes_little():
    """Every layer of the first trunk is normalised by the image itself."""
    torch.manual_seed(0)
    nuclei_net = NucleiNet("unet").eval().requires_grad_(False)
    light = torch.rand(1, 3, 64, 64)
    strong, weak = nuclei_net(light), nuclei_net(0.5 * light)
    assert (strong - weak).abs().mean() < 0.1 * strong.std()


def test_the_rest_of_the_batch_changes_nothing(nuclei_net):
    images = torch.rand(3, 3, 64, 64)
    together, alone = nuclei_net(images), nuclei_net(images[1:2])
    assert together[1:2].allclose(alone, atol=1e-4)


def test_three_masks_are_nested_and_any_window_fits(prompt_net):
    for side in (64, 128):
        planes = torch.rand(2, 3, side, side)
        logits, scores = prompt_net(planes, planes, torch.rand(2, 5, side, side))
        assert logits.shape == (2, 4, side, side)
        assert scores.shape == (2, 4)
        masks = logits > 0
        assert not (masks[:, 1] & ~masks[:, 2]).any()
        assert not (masks[:, 2] & ~masks[:, 3]).any()


def test_prompts_change_the_answer(prompt_net):
    planes, hints = torch.rand(1, 3, 64, 64), torch.zeros(1, 5, 64, 64)
    without, _ = prompt_net(planes, planes, hints)
    hints[0, 0, 30:34, 30:34] = 1
    assert not prompt_net(planes, planes, hints)[0].allclose(without)


def test_the_answer_before_counts_for_a_network_that_knows_of_it(trunk):
    torch.manual_seed(1)
    old = PromptNet(trunk, hints=4).eval().requires_grad_(False)
    new = remembering(old).eval().requires_grad_(False)
    assert prompt_net_of(old.state_dict()).hints == 4
    assert prompt_net_of(new.state_dict()).hints == 5
    assert remembering(new) is new
    planes, hints = torch.rand(1, 3, 64, 64), torch.rand(1, 5, 64, 64)
    other = hints.clone()
    other[:, 4] = -1
    assert old(planes, planes, hints)[0].equal(old(planes, planes, other)[0])
    # One that has just been given the plane answers as it did, until it is trained.
    assert new(planes, planes, other)[0].allclose(old(planes, planes, hints)[0], atol=1e-4)
    with torch.no_grad():
        new.get_parameter(FIRST[trunk])[:, -1] = 0.3
    assert not new(planes, planes, hints)[0].allclose(new(planes, planes, other)[0])
