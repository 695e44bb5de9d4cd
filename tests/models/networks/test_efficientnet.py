"""The encoder with the weights of ImageNet, against timm's; and that training leaves statistics."""

from __future__ import annotations

from importlib.resources import files

import pytest

torch = pytest.importorskip("torch")

from histoprompt.core.errors import WeightsError  # noqa: E402
from histoprompt.models.networks.efficientnet import Encoder, LiteUNet  # noqa: E402
from histoprompt.training import imagenet  # noqa: E402


@pytest.fixture(scope="module")
def encoder():
    torch.set_num_threads(1)
    net = Encoder()
    imagenet.pretrained_encoder(net)
    return net.eval()


@pytest.fixture(scope="module")
def theirs():
    """timm's network, whose tensors lie in the same order under other names."""
    import timm

    full = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    path = files(imagenet.PACKAGE).joinpath(imagenet.FILE)
    values = torch.load(str(path), weights_only=True).values()
    state = dict(zip(full.state_dict(), values, strict=True))
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True)
    net.load_state_dict({k: state[k] for k in net.state_dict()})
    return net.eval()


@pytest.mark.parametrize("shape", [(64, 96), (128, 32)])
def test_features_are_those_of_timm(encoder, theirs, shape):
    torch.manual_seed(0)
    seen = torch.rand(1, 3, *shape) * 2 - 1
    with torch.no_grad():
        own, other = encoder(seen), theirs(seen)[:4]
    assert [x.shape[1] for x in own] == [16, 24, 40, 112]
    for mine, timms in zip(own, other, strict=True):
        assert mine.allclose(timms, atol=1e-3)


def test_training_moves_weights_and_no_statistics():
    torch.manual_seed(0)
    net = LiteUNet(3).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    fine, _ = net(torch.rand(2, 3, 32, 32))
    fine.square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())
    after = net.state_dict()
    assert all(after[k].equal(v) for k, v in before.items() if "running" in k)


def test_a_network_looks_the_same_in_training_and_afterwards():
    torch.manual_seed(0)
    net, light = LiteUNet(3), torch.rand(1, 3, 48, 32)
    learning = net.train()(light)[0].detach()
    with torch.no_grad():
        done = net.eval()(light)[0]
    assert learning.allclose(done, atol=1e-5)


def test_gradients_in_half_precision_point_the_same_way():
    torch.manual_seed(0)
    net, light = LiteUNet(3), torch.rand(2, 3, 32, 32)
    directions = []
    for half in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            fine, _ = net(light)
        fine.float().square().mean().backward()
        directions.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    assert torch.nn.functional.cosine_similarity(*directions, dim=0) > 0.98


def test_another_file_of_the_package_is_refused(monkeypatch):
    monkeypatch.setattr(imagenet, "DIGEST", "0" * 64)
    with pytest.raises(WeightsError, match="not the file that is known"):
        imagenet.pretrained_encoder(Encoder())


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(imagenet, "PACKAGE", "efficientnet_lite0_that_is_not_installed")
    with pytest.raises(WeightsError, match="install the package efficientnet-lite0"):
        imagenet.pretrained_encoder(Encoder())
