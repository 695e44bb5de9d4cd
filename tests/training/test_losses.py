"""Losses: hand-worked values, and what nobody knows left out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from histoprompt.training.losses import (  # noqa: E402
    bounded,
    focal,
    instance_loss,
    mask_iou,
    mask_loss,
    soft_dice,
)

SURE = 30.0
SQUARE = torch.tensor([[[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]])
KNOWN = torch.ones_like(SQUARE)


def logits_of(mask: torch.Tensor) -> torch.Tensor:
    return (2 * mask - 1) * SURE


def test_a_bounded_loss_is_itself_where_small_and_rises_to_its_bound():
    loss = torch.tensor([0.0, 0.01, 1.0, 10.0, 1e6])
    got = bounded(loss, 3.0)
    assert got[0] == 0
    assert got[1].item() == pytest.approx(0.01, rel=0.01)
    assert (got.diff() > 0).all()
    assert got[-1].item() == pytest.approx(3.0)


def test_a_hopeless_object_does_not_outweigh_the_others():
    loss = torch.tensor([0.3, 40.0], requires_grad=True)
    bounded(loss, 3.0).sum().backward()
    assert loss.grad[0] > 0.9
    assert loss.grad[1] < 1e-4


def test_a_perfect_mask_costs_nothing_and_the_opposite_much():
    right = mask_loss(logits_of(SQUARE)[:, None], SQUARE, KNOWN)
    wrong = mask_loss(logits_of(1 - SQUARE)[:, None], SQUARE, KNOWN)
    assert right.shape == (1, 1)
    assert right.item() == pytest.approx(0, abs=1e-5)
    assert wrong.item() > 100


def test_dice_and_iou_of_half_an_object_are_as_worked_out_by_hand():
    half = SQUARE.clone()
    half[:, 0] = 0
    assert soft_dice(logits_of(half), SQUARE, KNOWN).item() == pytest.approx(1 - 5 / 7, abs=1e-5)
    assert mask_iou(logits_of(half)[:, None], SQUARE, KNOWN).item() == pytest.approx(0.5)


def test_unknown_pixels_say_nothing():
    spoilt, known = logits_of(SQUARE), KNOWN.clone()
    spoilt[:, 3] = SURE
    known[:, 3] = 0
    assert mask_loss(spoilt[:, None], SQUARE, known).item() == pytest.approx(0, abs=1e-5)
    assert mask_iou(spoilt[:, None], SQUARE, known).item() == 1
    maps = logits_of(SQUARE)[:, None].repeat(1, 3, 1, 1)
    target = SQUARE[:, None].repeat(1, 3, 1, 1)
    spoilt_maps = maps.clone()
    spoilt_maps[..., 3, :] = SURE
    every, most = (x[:, None].repeat(1, 3, 1, 1) for x in (KNOWN, known))
    assert instance_loss(maps, target, every).item() == pytest.approx(0, abs=1e-5)
    assert instance_loss(spoilt_maps, target, most).item() == pytest.approx(0, abs=1e-5)
    assert instance_loss(spoilt_maps, target, every).item() > 1


def test_where_only_foreground_is_known_depth_and_rim_say_nothing():
    target = SQUARE[:, None].repeat(1, 3, 1, 1)
    maps = logits_of(SQUARE)[:, None].repeat(1, 3, 1, 1)
    maps[:, 1:, 3] = SURE
    known = torch.ones_like(maps)
    assert instance_loss(maps, target, known).item() > 1
    known[:, 1:, 3] = 0
    assert instance_loss(maps, target, known).item() == pytest.approx(0, abs=1e-5)
    maps[:, 0, 3] = SURE
    assert instance_loss(maps, target, known).item() > 1


def test_focal_loss_weighs_what_is_nearly_right_little():
    nearly, unsure = torch.full_like(SQUARE, 3.0), torch.zeros_like(SQUARE)
    ones = torch.ones_like(SQUARE)
    assert focal(unsure, ones, KNOWN).item() == pytest.approx(0.25 * 0.6931, rel=1e-3)
    assert focal(nearly, ones, KNOWN) < 0.001 * focal(unsure, ones, KNOWN)
