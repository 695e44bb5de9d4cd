"""The adapters on the real packages, where these are installed.

The published weights are not to be had here: small networks of the packages' own kinds are trained
for a few seconds on made discs, and saved as the packages save theirs.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage.draw import disk

from histoprompt.models import registry
from histoprompt.models.weights import trust


def discs(seed: int, shape: tuple[int, int], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark discs of 12 to 18 pixels on pink, and their labels."""
    rng = np.random.default_rng(seed)
    image = np.full((*shape, 3), (228.0, 190.0, 212.0))
    labels = np.zeros(shape, np.int32)
    while labels.max() < count:
        centre, radius = rng.uniform(0, shape), rng.uniform(6, 9)
        if not labels[disk(centre, radius + 1.5, shape=shape)].any():
            inside = disk(centre, radius, shape=shape)
            image[inside], labels[inside] = (92, 60, 130), labels.max() + 1
    image = ndi.gaussian_filter(image, (0.7, 0.7, 0)) + rng.normal(0, 6, image.shape)
    return image.clip(0, 255).astype(np.uint8), labels


PAIRS = [discs(seed, (128, 128), 14) for seed in range(12)]


def stardist_model(folder: Path) -> Path:
    pytest.importorskip("tensorflow")
    pytest.importorskip("stardist")
    import keras
    from csbdeep.utils import normalize
    from stardist.models import Config2D, StarDist2D

    config = Config2D(
        n_rays=32, n_channel_in=3, grid=(2, 2), unet_n_depth=2, unet_n_filter_base=8,
        net_conv_after_unet=16, train_patch_size=(128, 128), train_batch_size=4,
        train_learning_rate=3e-3, train_epochs=5, train_steps_per_epoch=25,
        train_tensorboard=False,
    )  # fmt: skip
    keras.utils.set_random_seed(0)
    model = StarDist2D(config, name="mine", basedir=str(folder))
    images = [normalize(image, 1, 99.8, axis=(0, 1, 2)) for image, _ in PAIRS]
    labels = [labels for _, labels in PAIRS]
    model.train(images[2:], labels[2:], validation_data=(images[:2], labels[:2]))
    model.optimize_thresholds(images[:2], labels[:2])
    return folder / "mine"


def instanseg_model(folder: Path) -> Path:
    for needed in ("instanseg", "seaborn"):  # its training code imports more than it asks for
        pytest.importorskip(needed)
    import torch
    from instanseg.utils.loss import instanseg_loss as parts
    from instanseg.utils.models.InstanSeg_UNet import InstanSeg_UNet
    from instanseg.utils.utils import percentile_normalize

    torch.manual_seed(0)
    network = InstanSeg_UNet(3, [[2, 2, 1]], np.array([32, 16, 8]), norm="BATCH")
    loss = parts.InstanSeg(n_sigma=2, device="cpu", window_size=32)
    network = loss.initialize_pixel_classifier(network)
    rule = torch.optim.Adam(network.parameters(), lr=0.005)
    images = [torch.from_numpy(i).permute(2, 0, 1).float() for i, _ in PAIRS]
    x = torch.stack([percentile_normalize(image) for image in images])
    y = torch.stack([torch.from_numpy(labels)[None].float() for _, labels in PAIRS])
    for step in range(120):
        two = slice(2 * step % 12, 2 * step % 12 + 2)
        rule.zero_grad()
        loss(network(x[two]), y[two]).mean().backward()
        rule.step()
    exported = parts.InstanSeg_Torchscript(network.eval(), pixel_size=0.5, n_sigma=2)
    torch.jit.script(exported).save(str(folder / "instanseg.pt"))
    trust.trust(folder / "instanseg.pt")
    return folder / "instanseg.pt"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "make"), [("stardist", stardist_model), ("instanseg", instanseg_model)]
)
def test_discs_come_back_where_they_are(tmp_path: Path, name: str, make) -> None:
    path = make(tmp_path)
    model = registry.load_model(registry.card(name), path, "cpu")
    image, truth = discs(99, (180, 260), 30)
    labels = model.segment(image)
    assert (labels.shape, labels.dtype) == (truth.shape, np.int32)
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
    assert 25 <= labels.max() <= 35
    overlap = ((labels > 0) & (truth > 0)).sum() / ((labels > 0) | (truth > 0)).sum()
    assert overlap > 0.6
    assert model.segment(np.full((60, 60, 3), 240, np.uint8)).max() == 0
    assert model.segment(image[:9, :7]).shape == (9, 7)


def test_triton_can_be_imported_after_stardist(tmp_path: Path) -> None:
    """In a process of its own: both bring an LLVM, and a clash ends the process."""
    if not all(find_spec(name) for name in ("tensorflow", "stardist", "triton")):
        pytest.skip("stardist, tensorflow or triton is not installed")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "weights_best.h5").write_text("no weights")
    code = (
        "import sys; from pathlib import Path; from histoprompt.models import registry\n"
        "from histoprompt.core.errors import WeightsError\n"
        "try: registry.load_model(registry.card('stardist'), Path(sys.argv[1]), 'cpu')\n"
        "except WeightsError: import triton; print(triton.__name__, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "triton True", done.stderr[-2000:]
