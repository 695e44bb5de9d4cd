"""SAM, PathoSAM and MedSAM against segment_anything itself, on the same random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from short_type import rounding_to

from histoprompt.core.errors import ModelError, PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import Prompt, Strokes
from histoprompt.core.results import Mask
from histoprompt.models import registry, weights
from histoprompt.models.card import HALF_ERROR
from histoprompt.models.networks.fitting import InputFit
from histoprompt.models.roles import Embedding
from histoprompt.models.zoo import medsam, sam
from histoprompt.models.zoo.family import Features, SamFamily
from tiny_sam import SIDE, random_tiny_sam

BOX = Box(20, 30, 61, 75)
CLICK = np.array([[40.0, 50.0]])
CLICKS = np.array([[40.0, 50.0], [20.0, 60.0], [70.0, 10.0]])
LABELS = np.array([True, True, False])

PROMPTS = {
    "click": Prompt.of_points(CLICK),
    "clicks": Prompt.of_points(CLICKS, LABELS),
    "box": Prompt.of_box(BOX),
    "box and clicks": Prompt(points=CLICKS, labels=LABELS, box=BOX),
}


def tiny(card_id: str = "sam-vit-b") -> SamFamily:
    card = replace(registry.card(card_id), input_size=SIDE)
    if card_id == "medsam":
        net = random_tiny_sam()
        return SamFamily(card, net, "cpu", medsam.prepare, scored=False, resize_probabilities=True)
    return SamFamily(card, random_tiny_sam(), "cpu", sam.prepare)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (90, 110, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor(image: np.ndarray) -> Any:
    from segment_anything import SamPredictor

    found = SamPredictor(random_tiny_sam())
    found.set_image(image)
    return found


def ask(predictor: Any, prompt: Prompt) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a user of segment_anything would ask: (x, y) and (x0, y0, x1, y1)."""
    box = prompt.box
    return predictor.predict(  # type: ignore[no-any-return]
        point_coords=prompt.points[:, ::-1] if len(prompt.points) else None,
        point_labels=prompt.labels.astype(int) if len(prompt.points) else None,
        box=None if box is None else np.array([box.c0, box.r0, box.c1, box.r1]),
        multimask_output=len(prompt.points) == 1 and box is None,
    )


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("card_id", ["sam-vit-b", "pathosam-vit-b"])
def test_logits_equal_the_predictors(
    predictor: Any, image: np.ndarray, name: str, card_id: str
) -> None:
    model = tiny(card_id)
    logits, iou = model.logits(model.embed(image), [PROMPTS[name]])
    _, their_iou, their_logits = ask(predictor, PROMPTS[name])
    assert np.abs(their_logits).max() > 0.1
    assert np.abs(logits[0] - their_logits).max() < 1e-4
    assert np.abs(iou[0] - their_iou).max() < 1e-4


@pytest.mark.parametrize("name", PROMPTS)
def test_masks_equal_the_predictors(predictor: Any, image: np.ndarray, name: str) -> None:
    model = tiny()
    (candidates,) = model.segment(model.embed(image), [PROMPTS[name]])
    their_masks, their_iou, _ = ask(predictor, PROMPTS[name])
    order = np.argsort(-their_iou)
    assert len(candidates) == len(order)
    for mask, k in zip(candidates, order, strict=True):
        assert mask.score == pytest.approx(np.clip(their_iou[k], 0, 1), abs=1e-4)
        assert (mask.array != their_masks[k]).mean() < 1e-3


def published_correction(image: np.ndarray, prompt: Prompt, before: np.ndarray) -> np.ndarray:
    """What the predictor makes of a prompt and its own low-resolution logits."""
    from segment_anything import SamPredictor

    found = SamPredictor(random_tiny_sam())
    found.set_image(image)
    return found.predict(  # type: ignore[no-any-return]
        point_coords=prompt.points[:, ::-1],
        point_labels=prompt.labels.astype(int),
        mask_input=before,
        multimask_output=False,
    )[2]


def test_a_correction_is_shown_the_logits_of_the_answer_before(image: np.ndarray) -> None:
    model = tiny()
    embedding = model.embed(image)
    one, more = PROMPTS["click"], PROMPTS["clicks"]
    (answers,) = model.segment(embedding, [one])
    corrected = more.after(one, answers[0])
    assert corrected.previous is answers[0]
    logits, _ = model.logits(embedding, [corrected])
    theirs = published_correction(image, more, answers[0].logits.array[None])
    assert np.abs(logits[0] - theirs).max() < 1e-4
    assert np.abs(logits - model.logits(embedding, [more])[0]).max() > 1e-3
    (one_mask,) = model.segment(embedding, [replace(one, previous=answers[0])])
    assert len(one_mask) == 1, "with an answer before nothing is ambiguous"
    together = model.segment(embedding, [corrected, more, corrected])
    assert np.array_equal(together[0][0].array, together[2][0].array)
    again = model.segment(embedding, [corrected])[0][0]
    assert (together[0][0].array != again.array).mean() < 1e-3


def test_a_mask_without_logits_is_shown_as_a_sure_one(image: np.ndarray) -> None:
    model = tiny()
    embedding = model.embed(image)
    low = 4 * random_tiny_sam().prompt_encoder.image_embedding_size[0]
    array = np.zeros(image.shape[:2], bool)
    array[20:61, 30:75] = True
    prompt = replace(PROMPTS["clicks"], previous=Mask(array, Frame.of_array(array)))
    pixel = max(image.shape[:2]) / low
    rows, cols = ((np.arange(low) + 0.5) * pixel - 0.5 for _ in range(2))
    inside = ((rows > 19.5) & (rows < 60.5))[:, None] & ((cols > 29.5) & (cols < 74.5))
    before = np.where(inside, 6.9, -6.9).astype(np.float32)[None]
    logits, _ = model.logits(embedding, [prompt])
    theirs = published_correction(image, prompt, before)
    assert np.abs(logits[0] - theirs).max() < 0.05 * np.abs(theirs).max()


def test_medsam_never_learnt_to_correct_itself(image: np.ndarray) -> None:
    model = tiny("medsam")
    embedding = model.embed(image)
    ((answer,),) = model.segment(embedding, [Prompt.of_box(BOX)])
    assert answer.logits is None
    again = replace(Prompt.of_box(BOX), previous=answer)
    assert np.array_equal(
        model.logits(embedding, [again])[0], model.logits(embedding, [Prompt.of_box(BOX)])[0]
    )


def test_one_click_gives_three_candidates_best_first(image: np.ndarray) -> None:
    model = tiny()
    (masks,) = model.segment(model.embed(image), [PROMPTS["click"]])
    _, iou = model.logits(model.embed(image), [PROMPTS["click"]])
    assert len(masks) == 3
    assert [m.score for m in masks] == sorted(np.clip(iou[0], 0, 1).tolist(), reverse=True)


def test_prompts_of_all_kinds_keep_their_order(image: np.ndarray) -> None:
    model = tiny()
    embedding = model.embed(image)
    shifted = [Prompt.of_box(BOX.shift(i, -i)) for i in range(19)]
    mixed = [p for pair in zip(shifted, [*PROMPTS.values()] * 5, strict=False) for p in pair]
    together = model.segment(embedding, mixed)
    alone = [model.segment(embedding, [p])[0] for p in mixed]
    for a, b in zip(together, alone, strict=True):
        assert [m.score for m in a] == pytest.approx([m.score for m in b], abs=1e-5)
        assert all((x.array != y.array).mean() < 1e-3 for x, y in zip(a, b, strict=True))


def published_medsam(net: Any, image: np.ndarray, box: Box) -> np.ndarray:
    """MedSAM_Inference.py, with the side of the network in place of 1024."""
    import torch
    from torch.nn.functional import interpolate

    h, w = image.shape[:2]
    array, _ = medsam.prepare(image, SIDE)
    corners = np.array([[box.c0, box.r0, box.c1, box.r1]]) / [w, h, w, h] * SIDE
    with torch.no_grad():
        features = net.image_encoder(torch.from_numpy(array)[None])
        sparse, dense = net.prompt_encoder(
            points=None, boxes=torch.as_tensor(corners, dtype=torch.float)[:, None], masks=None
        )
        low, _ = net.mask_decoder(
            image_embeddings=features,
            image_pe=net.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        full = interpolate(torch.sigmoid(low), (h, w), mode="bilinear", align_corners=False)
    return np.asarray(full[0, 0].numpy())


def test_medsam_follows_its_own_recipe(image: np.ndarray) -> None:
    model = tiny("medsam")
    ((mask,),) = model.segment(model.embed(image), [Prompt.of_box(BOX)])
    theirs = published_medsam(random_tiny_sam(), image, BOX)
    assert 0 < (theirs > 0.5).mean() < 1
    assert not (mask.array != (theirs > 0.5))[np.abs(theirs - 0.5) > 1e-4].any()
    assert mask.score is None, "its quality head was never trained"


def test_medsam_is_not_sam(image: np.ndarray) -> None:
    ours, theirs = (
        model.segment(model.embed(image), [Prompt.of_box(BOX)])[0][0].array
        for model in (tiny("medsam"), tiny("sam-vit-b"))
    )
    assert (ours != theirs).any()


# ---------------------------------------------------------------------- the full size


def test_vit_b_in_full_from_a_users_file(tmp_path: Path) -> None:
    """Everything but the encoder's 15 seconds: file, strict load, decoder against the predictor."""
    import torch
    from segment_anything import SamPredictor, sam_model_registry

    net = sam_model_registry["vit_b"]()
    torch.save(net.state_dict(), tmp_path / "mine.pth")
    card = registry.card("sam-vit-b")
    model = registry.load_model(card, weights.resolve(card, tmp_path / "mine.pth"), "cpu")

    predictor = SamPredictor(net)
    predictor.features = torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(0))
    predictor.original_size, predictor.input_size = (384, 512), (768, 1024)
    predictor.is_image_set = True
    fit = InputFit((384, 512), (2.0, 2.0), 1024, (768, 1024))
    features = Features(predictor.features, fit)
    embedding = Embedding(card.id, (384, 512), features, features.tensor.nbytes)
    for prompt in PROMPTS.values():
        logits, _ = model.logits(embedding, [prompt])
        _, _, their_logits = ask(predictor, prompt)
        assert np.abs(logits[0] - their_logits).max() < 1e-4


@pytest.mark.parametrize(
    ("kind", "values"), [("vit_b", 93_735_728), ("vit_l", 312_343_088), ("vit_h", 641_090_864)]
)
def test_the_published_sizes(kind: str, values: int) -> None:
    import torch
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        net = sam_model_registry[kind]()
    assert sum(v.numel() for v in net.state_dict().values()) == values


# ---------------------------------------------------------------------- half precision


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_short_types_round_the_encoder_little_and_no_card_asks_for_them(half: str) -> None:
    """Of random weights: trained ones may have channels so large that a short type loses others."""
    import torch

    encoder = random_tiny_sam().image_encoder
    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        full = encoder(image)
        with rounding_to(encoder, half):
            short = encoder(image)
    assert 0 < (full - short).norm() / full.norm() < HALF_ERROR
    assert {card.amp_dtype for card in (*sam.CARDS, medsam.CARD)} == {None}


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("card_id", "prompt", "message"),
    [
        ("medsam", PROMPTS["click"], "MedSAM ViT-B takes boxes, not clicks"),
        ("medsam", PROMPTS["box and clicks"], "takes boxes, not clicks"),
        ("sam-vit-b", Prompt(strokes=Strokes((CLICKS,))), "takes boxes and clicks, not scribbles"),
        ("sam-vit-b", Prompt(), "nowhere"),
        ("sam-vit-b", Prompt.of_points(CLICK, [False]), "nowhere"),
    ],
)
def test_prompts_a_model_was_not_trained_for_are_refused(
    image: np.ndarray, card_id: str, prompt: Prompt, message: str
) -> None:
    model = tiny(card_id)
    with pytest.raises(PromptError, match=message):
        model.segment(model.embed(image), [Prompt.of_box(BOX), prompt])


def test_the_embedding_of_another_model_is_refused(image: np.ndarray) -> None:
    embedding = tiny("medsam").embed(image)
    with pytest.raises(ModelError, match=r"sam-vit-b was handed an embedding made by medsam"):
        tiny("sam-vit-b").segment(embedding, [Prompt.of_box(BOX)])


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros((5, 5), np.uint8),
        lambda: np.zeros((5, 5, 4), np.uint8),
        lambda: np.zeros((5, 5, 3), np.float32),
        lambda: np.zeros((0, 5, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_image_is_refused(make: Callable[[], np.ndarray]) -> None:
    with pytest.raises(ModelError, match=r"must be \(rows, columns, 3\) uint8"):
        tiny().embed(make())
