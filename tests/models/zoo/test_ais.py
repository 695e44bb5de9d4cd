"""The instance decoders of PathoSAM and micro-sam: names, maps, watershed, tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import load_small, random_values, save_small, small_networks

from histoprompt.core.errors import WeightsError
from histoprompt.models import registry, weights
from histoprompt.models.networks.fitting import InputFit
from histoprompt.models.networks.unetr import InstanceDecoder, Resampled, Transposed
from histoprompt.models.zoo import ais, sam

CARD = registry.card("pathosam-vit-b-cells")


@pytest.mark.parametrize(
    ("enlarge", "name"),
    [(Resampled, "conv"), (Transposed, "block")],
    ids=["resampled", "transposed"],
)
def test_names_are_torch_ems(enlarge: Any, name: str) -> None:
    """A sample of a published decoder's names."""
    state = InstanceDecoder(enlarge).state_dict()
    assert set(state) >= {
        f"deconv1.block.0.{name}.weight",
        "deconv1.block.1.block.weight",
        "deconv4.block.2.running_var",
        "base.block.1.weight",
        "base.block.4.bias",
        "decoder.blocks.2.block.4.weight",
        f"decoder.samplers.0.{name}.bias",
        f"deconv_out.{name}.weight",
        "decoder_head.block.1.weight",
        "out_conv.weight",
    }
    assert state["deconv1.block.1.block.weight"].shape == (512, 512, 3, 3)
    assert state["decoder.blocks.0.block.1.weight"].shape == (256, 512, 3, 3)
    assert state["decoder_head.block.1.weight"].shape == (64, 128, 3, 3)
    assert state["out_conv.weight"].shape == (3, 64, 1, 1)


@pytest.mark.parametrize("enlarge", [Resampled, Transposed])
def test_the_file_tells_which_decoder_it_is(enlarge: Any, tmp_path: Path) -> None:
    import torch

    size = {"width": 16, "features": (16, 8, 4, 2)}
    state = random_values(InstanceDecoder(enlarge, **size))
    with_encoder = {**state, "encoder.pos_embed": torch.zeros(1, 4, 4, 8)}
    torch.save({"decoder_state": with_encoder, "model_state": {}}, tmp_path / "run.pt")
    net = ais.load_decoder(tmp_path / "run.pt", "it", **size)
    assert type(net.deconv_out) is enlarge
    with torch.inference_mode():
        maps = net(torch.randn(2, 16, 4, 6))
    assert maps.shape == (2, 3, 64, 96)
    assert 0 <= maps.min() < maps.max() <= 1


def test_skips_give_their_middle_channels() -> None:
    """torch_em crops what is joined to a common shape, channels too."""
    import torch

    net = InstanceDecoder(width=16, features=(16, 8, 4, 2)).eval()
    seen: list[Any] = []
    net.decoder.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    embedding = torch.randn(1, 16, 4, 4)
    with torch.inference_mode():
        net(embedding)
        beside = net.deconv1(embedding)
        expected = torch.cat([net.decoder.samplers[0](net.base(embedding)), beside[:, 4:12]], 1)
    assert (seen[0] - expected).abs().max() < 1e-6


def test_a_decoder_of_another_kind_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save(random_values(InstanceDecoder(width=16)), tmp_path / "small.pt")
    with pytest.raises(WeightsError, match=r"small\.pt is no decoder: .*have another shape"):
        ais.load_decoder(tmp_path / "small.pt", "decoder")


def test_without_its_decoder_a_model_says_what_is_missing(tmp_path: Path) -> None:
    path = save_small(CARD, tmp_path)
    (tmp_path / CARD.others[0].filename).unlink()
    with small_networks(), pytest.raises(WeightsError, match=r"vit_b_histopathology_decoder\.pt"):
        registry.load_model(CARD, weights.resolve(CARD, path), "cpu")


# ---------------------------------------------------------------------- from maps to nuclei


def disks(centres: list[tuple[int, int]], radius: float, shape: tuple[int, int]) -> np.ndarray:
    """Maps as a perfect decoder gives them: inside, and distances 0 in the middle, 1 at the rim."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    apart = np.min([np.hypot(rows - r, cols - c) for r, c in centres], axis=0)
    inside = apart <= radius
    distance = np.where(inside, np.minimum(apart / radius, 1), 1)
    return np.stack([inside, distance, distance]).astype(np.float32)


def test_touching_nuclei_are_told_apart() -> None:
    centres = [(20, 20), (20, 39), (60, 30)]
    labels = ais.grown(disks(centres, 10, (80, 64)))
    assert labels.dtype == np.int32
    assert labels.max() == 3
    assert len({labels[c] for c in centres}) == 3
    areas = np.bincount(labels.ravel())[1:]
    assert (np.abs(areas / (np.pi * 100) - 1) < 0.15).all()
    assert labels[0, 0] == 0


def test_nothing_in_the_maps_is_nothing_found() -> None:
    assert ais.grown(np.stack([np.zeros((9, 9)), np.ones((9, 9)), np.ones((9, 9))])).max() == 0


class SeesDisks:
    """A decoder that knows what was put into the encoder: darkness is the foreground."""

    def __init__(self) -> None:
        self.sides: list[tuple[int, ...]] = []

    def __call__(self, images: Any) -> Any:
        self.sides.append(tuple(images.shape[-2:]))
        return images


def exact(image: np.ndarray, side: int) -> tuple[np.ndarray, InputFit]:
    """The image as the input, enlarged by nothing, padded to the side."""
    array = np.zeros((3, side, side), np.float32)
    h, w = image.shape[:2]
    array[:, :h, :w] = image.transpose(2, 0, 1) / 255
    return array, InputFit((h, w), (1.0, 1.0), side, (h, w))


def test_a_large_image_is_looked_at_in_tiles_and_grown_as_a_whole() -> None:
    """Nuclei on the seams of tiles of 384 px are neither cut nor found twice."""
    centres = [(200, 384), (384, 384), (600, 100), (384, 640), (500, 500)]
    maps = disks(centres, 20, (700, 800))
    image = (maps * 255).astype(np.uint8).transpose(1, 2, 0)
    decoder = SeesDisks()
    model = ais.DecodedCells(lambda x: x, decoder, 512, "cpu", exact)
    found = model.maps(np.ascontiguousarray(image))
    assert np.abs(found - image.transpose(2, 0, 1) / 255).max() < 1e-6
    assert len(decoder.sides) == 2 * 2
    labels = model.segment(np.ascontiguousarray(image))
    assert labels.max() == len(centres)


def test_tiles_are_those_of_the_card_wherever_the_image_begins() -> None:
    """A network that stretches what it sees: an image that begins whole steps on gives the same."""
    size, step = CARD.windows or (0, 0)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (size + 2 * step, size + step, 3), dtype=np.uint8)

    def stretched(images: Any) -> Any:
        return (images - images.mean()) / images.std()

    model = ais.DecodedCells(lambda x: x, stretched, size, "cpu", exact)
    whole, part = model.maps(picture), model.maps(np.ascontiguousarray(picture[step:, step:]))
    margin = (size - step) // 2
    assert np.array_equal(whole[:, step + margin :, step + margin :], part[:, margin:, margin:])
    # and what is left out does count: the network is not one that sees pixels alone
    assert not np.array_equal(whole[:, step:, step:], part)


def test_maps_lie_where_the_image_was(tmp_path: Path) -> None:
    """With SAM's own preparation and a non-square image."""
    model: Any = load_small(CARD, tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    import torch

    array, _ = sam.prepare(image, 128)
    with torch.inference_mode():
        whole = model._decoder(model._encoder(torch.from_numpy(array)[None]))
        kept = whole[..., :128, :85]
        expected = torch.nn.functional.interpolate(kept, (90, 60), mode="bilinear")[0].numpy()
    assert np.abs(model.maps(image) - expected).max() < 1e-4
