"""ScribblePrompt against its published arithmetic, on random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from small_models import load_small, save_small

from histoprompt import cli
from histoprompt.core.errors import ModelError, PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import Prompt, ScribbleMap, Strokes
from histoprompt.core.results import Mask
from histoprompt.models import registry, weights
from histoprompt.models.networks.scribble_unet import ScribbleUNet
from histoprompt.models.zoo import sam, scribbleprompt
from tiny_sam import SIDE as SAM_SIDE

UNET = registry.card("scribbleprompt-unet")
SAM = registry.card("scribbleprompt-sam")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (256, 192, 3), dtype=np.uint8)


def painted(shape: tuple[int, int]) -> np.ndarray:
    out = np.zeros(shape, np.uint8)
    out[40:44, 20:90] = 1
    out[200, 100:150] = 2
    return out


@pytest.fixture
def prompt() -> Prompt:
    drawn = painted((256, 192))
    return Prompt(
        points=np.array([[50.0, 60.0], [210.0, 21.0]]),
        labels=np.array([True, False]),
        box=Box(30, 10, 101, 120),
        painted=ScribbleMap(drawn, Frame.of_array(drawn)),
    )


# ---------------------------------------------------------------------- the UNet


def test_the_unet_has_the_published_values_and_names() -> None:
    net = ScribbleUNet()
    state = net.state_dict()
    assert sum(v.numel() for v in state.values()) == 3_991_882
    assert len(state) == 29
    assert {k.rpartition(".")[0] for k in state} == {
        *(f"downs.{i}.conv.{j}" for i in range(4) for j in (0, 1)),
        *(f"ups.{i}.conv.{j}" for i in (1, 3, 5, 7) for j in (0, 1)),
        "bottleneck.conv.0",
        "bottleneck.conv.1",
        "final_conv.conv.0",
    }
    assert state["downs.0.conv.0.weight"].shape == (192, 5, 3, 3)
    assert state["downs.0.conv.1.weight"].shape == (1,)
    assert state["ups.1.conv.0.weight"].shape == (192, 384, 3, 3)
    assert state["final_conv.conv.0.weight"].shape == (1, 192, 1, 1)


def published_forward(state: dict[str, Any], x: Any) -> Any:
    """The description, step by step: convolution and PReLU, pooling, enlarging, joining."""
    from torch.nn import functional

    def step(x: Any, name: str) -> Any:
        x = functional.conv2d(
            x, state[f"{name}.conv.0.weight"], state[f"{name}.conv.0.bias"], padding=1
        )
        return functional.prelu(x, state[f"{name}.conv.1.weight"])

    import torch

    skipped = []
    for i in range(4):
        x = step(x, f"downs.{i}")
        skipped.append(x)
        x = functional.max_pool2d(x, 2)
    x = step(x, "bottleneck")
    for i in (1, 3, 5, 7):
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        x = step(torch.cat([skipped.pop(), x], 1), f"ups.{i}")
    last = "final_conv.conv.0"
    return functional.conv2d(x, state[f"{last}.weight"], state[f"{last}.bias"])


def test_the_unet_computes_what_is_described() -> None:
    import torch

    torch.manual_seed(0)
    net = ScribbleUNet((16, 16, 16, 16)).eval()
    x = torch.randn(2, 5, 64, 32)
    with torch.inference_mode():
        assert (net(x) - published_forward(net.state_dict(), x)).abs().max() < 1e-5


def test_channels_are_the_published_ones(image: np.ndarray, prompt: Prompt) -> None:
    """``rescale_inputs`` and ``prepare_inputs`` of the published code, written out."""
    import torch
    from torch.nn.functional import interpolate

    grey = scribbleprompt.grey_of(image)
    small = interpolate(torch.from_numpy(grey)[None, None], (128, 128), mode="bilinear")[0, 0]
    masks = np.stack([painted((256, 192)) == v for v in (1, 2)]).astype(np.float32)
    drawn = interpolate(torch.from_numpy(masks)[None], (128, 128), mode="bilinear")[0]
    clicks = torch.zeros(2, 128, 128)
    clicks[0, int(50 * 128 / 256), int(60 * 128 / 192)] = 1
    clicks[1, int(210 * 128 / 256), int(21 * 128 / 192)] = 1
    box = torch.zeros(128, 128)
    box[int(30 / 2) : int(101 / 2), int(10 * 128 / 192) : int(120 * 128 / 192)] = 1
    expected = torch.stack([small, box, *(clicks + drawn).clamp(0, 1), torch.zeros(128, 128)])
    embedded = scribbleprompt.resized(grey, (128, 128))
    found = scribbleprompt.channels(embedded, prompt, (256, 192))
    assert np.abs(found - expected.numpy()).max() < 1e-5


def test_masks_are_the_published_ones(tmp_path: Path, image: np.ndarray, prompt: Prompt) -> None:
    import torch
    from torch.nn.functional import interpolate

    model: Any = load_small(UNET, tmp_path)
    embedding = model.embed(image)
    ((mask,),) = model.segment(embedding, [prompt])
    channels = scribbleprompt.channels(embedding.data, prompt, (256, 192))
    with torch.inference_mode():
        logits = model._net(torch.from_numpy(channels)[None])
        full = interpolate(torch.sigmoid(logits), (256, 192), mode="bilinear")[0, 0].numpy()
    assert 0 < (full > 0.5).mean() < 1
    assert not (mask.array != (full > 0.5))[np.abs(full - 0.5) > 1e-4].any()
    assert mask.score is None


def test_the_fifth_channel_is_the_logits_of_the_answer_before(
    tmp_path: Path, image: np.ndarray, prompt: Prompt
) -> None:
    import torch

    model: Any = load_small(UNET, tmp_path)
    embedding = model.embed(image)
    ((first,),) = model.segment(embedding, [prompt])
    planes = scribbleprompt.channels(embedding.data, prompt, (256, 192))
    with torch.inference_mode():
        logits = model._net(torch.from_numpy(planes)[None])[0, 0].numpy()
    again = replace(prompt, previous=first)
    shown = scribbleprompt.channels(embedding.data, again, (256, 192))
    assert not planes[4].any()
    assert np.array_equal(shown[4], logits), "as the network gave them"
    assert np.array_equal(shown[:4], planes[:4])
    bare = replace(prompt, previous=Mask(first.array, first.frame))
    sure = scribbleprompt.channels(embedding.data, bare, (256, 192))[4]
    assert set(np.unique(sure)) == {np.float32(-6.9), np.float32(6.9)}


def test_scribbles_made_clicks_keep_the_answer_before() -> None:
    drawn = np.zeros((20, 30), np.uint8)
    drawn[4, 5:8] = 1
    answer = Mask(drawn > 0, Frame.of_array(drawn))
    given = Prompt(painted=ScribbleMap(drawn, Frame.of_array(drawn)), previous=answer)
    assert scribbleprompt.as_clicks(given, (20, 30)).previous is answer


def test_a_filled_scribble_is_no_more_than_a_thousand_clicks() -> None:
    drawn = np.zeros((200, 300), np.uint8)
    drawn[20:120, 50:250] = 1
    drawn[150, 10] = 2
    given = Prompt(painted=ScribbleMap(drawn, Frame.of_array(drawn)))
    found = scribbleprompt.as_clicks(given, (200, 300))
    assert 500 < len(found.points) <= 1025
    assert found.labels.tolist().count(False) == 1
    assert (drawn[tuple(found.points.astype(int).T)] > 0).all()


def test_a_prompt_that_only_excludes_is_refused(tmp_path: Path, image: np.ndarray) -> None:
    model: Any = load_small(UNET, tmp_path)
    embedding = model.embed(image)
    with pytest.raises(PromptError, match="nowhere"):
        model.segment(embedding, [Prompt.of_points([[3, 3]], [False])])
    other = load_small(SAM, tmp_path).embed(image)
    with pytest.raises(ModelError, match="scribbleprompt-sam was handed to scribbleprompt-unet"):
        model.segment(other, [Prompt.of_box(Box(0, 0, 9, 9))])


# ---------------------------------------------------------------------- SAM


def test_every_pixel_of_a_scribble_is_a_click() -> None:
    drawn = np.zeros((20, 30), np.uint8)
    drawn[4, 5:8], drawn[9, 2] = 1, 2
    given = Prompt(
        points=np.array([[1.0, 1.0]]),
        labels=np.array([True]),
        painted=ScribbleMap(drawn, Frame.of_array(drawn)),
    )
    found = scribbleprompt.as_clicks(given, (20, 30))
    assert found.points.tolist() == [[1, 1], [4, 5], [4, 6], [4, 7], [9, 2]]
    assert found.labels.tolist() == [True, True, True, True, False]
    assert found.kinds == {"point"}


def test_sam_sees_a_grey_square_and_gives_three_masks_best_first(
    tmp_path: Path, image: np.ndarray
) -> None:
    import torch
    from torch.nn.functional import interpolate

    array, fit = scribbleprompt.prepare_sam(image, SAM_SIDE)
    grey = torch.from_numpy(scribbleprompt.grey_of(image))[None, None]
    square = interpolate(grey, (SAM_SIDE, SAM_SIDE), mode="bilinear")[0].repeat(3, 1, 1)
    expected = (255 * square - sam.MEAN[:, None, None]) / sam.STD[:, None, None]
    assert np.abs(array - expected.numpy()).max() < 1e-3
    assert fit.scale == (SAM_SIDE / 256, SAM_SIDE / 192)
    model: Any = load_small(SAM, tmp_path)
    strokes = Prompt(strokes=Strokes((np.array([[30.0, 30.0], [36.0, 50.0]]),)))
    for given in (strokes, Prompt.of_box(Box(10, 10, 60, 60))):
        (masks,) = model.segment(model.embed(image), [given])
        assert len(masks) == 3
        scores = [mask.score for mask in masks]
        assert scores == sorted(scores, reverse=True)


# ---------------------------------------------------------------------- the command line


def test_the_command_line_takes_clicks_scribbles_and_boxes(
    tmp_path: Path, image: np.ndarray
) -> None:
    """The real network, from a file in the published layout that the user names."""
    import torch

    torch.manual_seed(0)
    torch.save(ScribbleUNet().state_dict(), tmp_path / "mine.pt")
    tifffile.imwrite(tmp_path / "slide.tif", image, photometric="rgb")
    objects = [
        {"id": 1, "points": [[50, 60], [200, 150]], "labels": [1, 0]},
        {"id": 2, "scribbles": {"positive": [[[100, 60], [110, 90]]], "negative": []}},
        {"id": 3, "box": [150, 20, 190, 70]},
    ]
    (tmp_path / "prompts.json").write_text(json.dumps({"objects": objects}))
    out = tmp_path / "labels.tif"
    command = ["segment", "slide.tif", "--prompts", "prompts.json", "--model", UNET.id]
    command += ["--weights", "mine.pt", "--device", "cpu", "--out", "labels.tif"]
    paths = {"slide.tif", "prompts.json", "mine.pt", "labels.tif"}
    assert cli.main([str(tmp_path / c) if c in paths else c for c in command]) == 0
    assert tifffile.imread(out).shape == (256, 192)


def test_a_wrong_file_is_one_line_on_the_command_line(
    tmp_path: Path, image: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_small(registry.card("quiltnet-b-32"), tmp_path)
    tifffile.imwrite(tmp_path / "slide.tif", image, photometric="rgb")
    (tmp_path / "prompts.json").write_text('{"objects": [{"id": 1, "box": [9, 9, 40, 40]}]}')
    command = ["segment", str(tmp_path / "slide.tif"), "--prompts", str(tmp_path / "prompts.json")]
    command += ["--model", UNET.id, "--weights", str(path), "--device", "cpu"]
    assert cli.main([*command, "--out", str(tmp_path / "labels.tif")]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{path} is no ScribblePrompt UNet" in line
    assert "29 of 29 tensors are missing" in line
    assert not (tmp_path / "labels.tif").exists()
    assert weights.resolve(UNET, path) == path
