"""Finding weights, checking them, and reading every published layout."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from histoprompt.core import settings
from histoprompt.core.errors import WeightsError
from histoprompt.models import registry, weights
from histoprompt.models.blueprint import Blueprint
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.weights import checkpoints
from layouts import LAYOUTS, saved_with
from tiny_sam import build_tiny_sam, hugging_face_names, random_tiny_sam

CONTENT = b"these are the published bytes"
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
SAM = registry.card("sam-vit-b")
MEDSAM = registry.card("medsam")
LITE = registry.card("litemedsam")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(settings.HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def card_of(digest: str | None = DIGEST) -> ModelCard:
    spec = WeightsSpec("published.pth", "https://example.org/published.pth", len(CONTENT), digest)
    return replace(SAM, weights=spec, blueprint="")


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# ---------------------------------------------------------------------- finding


def test_missing_weights_name_the_file_its_size_its_source_and_its_place(home: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        weights.resolve(SAM)
    message = str(caught.value)
    assert "sam_vit_b_01ec64.pth" in message
    assert "375,042,383 bytes" in message
    assert "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth" in message
    assert str(home / "models") in message
    assert "\n" not in message


def test_a_missing_file_is_located_at_where_it_is_to_be_put(home: Path) -> None:
    status = weights.locate(SAM)
    assert not status.present
    assert status.path is None
    assert status.expected == home / "models" / "sam_vit_b_01ec64.pth"


def test_a_file_in_the_weights_folder_is_found() -> None:
    path = put(settings.weights_folder() / "published.pth")
    assert weights.locate(card_of()).path == path
    assert weights.resolve(card_of()) == path


def test_the_packaged_checkpoint_is_found_and_is_the_published_one() -> None:
    path = weights.resolve(LITE)
    assert path is not None
    assert path.parent.name == "asset"
    assert weights.verify(LITE).state == "published"


def test_a_file_in_the_weights_folder_comes_before_the_packaged_one() -> None:
    packaged = weights.resolve(LITE)
    assert packaged is not None
    copy = settings.weights_folder() / "lite_medsam.pth"
    copy.parent.mkdir(parents=True)
    shutil.copyfile(packaged, copy)
    assert weights.resolve(LITE) == copy


def test_a_package_that_is_not_installed_is_as_a_missing_file() -> None:
    spec = replace(card_of().weights, package=("a_package_nobody_has", "x.pth"))  # type: ignore[type-var]
    assert not weights.locate(replace(SAM, weights=spec)).present


def test_a_model_without_weights_needs_none() -> None:
    card = registry.card("classical")
    assert weights.locate(card) == weights.WeightsStatus(None, True, None)
    assert weights.resolve(card) is None
    assert str(weights.verify(card, None)) == "needs no weights"


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere.pth does not exist"):
        weights.resolve(SAM, tmp_path / "nowhere.pth")


# ---------------------------------------------------------------------- checking


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("md5", "900150983cd24fb0d6963f7d28e17f72"),
        ("xxh128", "06b05ab6733a618578af5f94892f3950"),
    ],
)
def test_digests_of_abc_are_the_known_ones(tmp_path: Path, algorithm: str, digest: str) -> None:
    assert weights.file_digest(put(tmp_path / "f", b"abc"), algorithm) == f"{algorithm}:{digest}"


def test_the_digest_of_a_folder_tells_its_files_apart(tmp_path: Path) -> None:
    put(tmp_path / "model" / "config.json")
    first = weights.folder_digest(tmp_path / "model", "sha256")
    put(tmp_path / "model" / "weights_best.h5", b"other bytes")
    second = weights.folder_digest(tmp_path / "model", "sha256")
    assert first != second
    assert second.startswith("sha256:")
    shutil.copytree(tmp_path / "model", tmp_path / "copy")
    assert weights.folder_digest(tmp_path / "copy", "sha256") == second


def test_a_wrong_digest_is_refused_with_both_and_the_source() -> None:
    path = put(settings.weights_folder() / "published.pth", b"something else")
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(WeightsError) as caught:
        weights.resolve(card_of())
    message = str(caught.value)
    assert str(path) in message
    assert found in message
    assert DIGEST.removeprefix("sha256:") in message
    assert "https://example.org/published.pth" in message


def test_a_users_file_under_the_published_name_must_be_the_published_one(tmp_path: Path) -> None:
    path = put(tmp_path / "published.pth", b"something else")
    with pytest.raises(WeightsError, match="another name"):
        weights.resolve(card_of(), path)
    assert weights.resolve(card_of(), path, allow_unverified=True) == path


def test_a_users_file_under_another_name_is_their_own(tmp_path: Path) -> None:
    path = put(tmp_path / "fine_tuned.pth", b"something else")
    assert weights.resolve(card_of(), path) == path
    result = weights.verify(card_of(), path)
    assert result.state == "own"
    assert hashlib.sha256(b"something else").hexdigest() in str(result)


def test_the_published_file_is_known_under_any_name(tmp_path: Path) -> None:
    assert weights.verify(card_of(), put(tmp_path / "renamed.pth")).state == "published"


def test_a_file_without_a_published_digest_is_taken_and_its_sha256_told() -> None:
    put(settings.weights_folder() / "published.pth")
    result = weights.verify(card_of(digest=None))
    assert result.state == "pinned"
    assert result.digest == DIGEST


def test_allowing_the_unverified_does_not_reach_files_nobody_named() -> None:
    put(settings.weights_folder() / "published.pth", b"something else")
    with pytest.raises(WeightsError):
        weights.resolve(card_of(), allow_unverified=True)


def test_a_changed_file_is_hashed_anew(tmp_path: Path) -> None:
    path = put(tmp_path / "f", b"abc")
    first = weights.file_digest(path, "md5")
    put(path, b"abd")
    os.utime(path, ns=(1, 1))
    assert weights.file_digest(path, "md5") != first


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    path = put(tmp_path / "f", b"abc")
    os.utime(path, ns=(1, 1))
    first = weights.file_digest(path, "md5")
    put(path, b"xyz")
    os.utime(path, ns=(1, 1))
    assert weights.file_digest(path, "md5") == first
    assert (settings.cache_folder() / "digests.json").is_file()


def test_a_damaged_or_unwritable_memory_of_digests_does_no_harm(tmp_path: Path) -> None:
    path = put(tmp_path / "f", b"abc")
    put(settings.cache_folder() / "digests.json", b"{ not json")
    expected = weights.file_digest(path, "md5")
    (settings.cache_folder() / "digests.json").unlink()
    (settings.cache_folder() / "digests.json").mkdir()
    assert weights.file_digest(path, "md5") == expected


# ---------------------------------------------------------------------- layouts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_network(tmp_path: Path, layout: str) -> None:
    source = random_tiny_sam().state_dict()
    LAYOUTS[layout](source, tmp_path / "weights")
    net = checkpoints.load_weights(Blueprint(build_tiny_sam()), tmp_path / "weights", "Tiny")
    loaded = net.state_dict()
    assert loaded.keys() == source.keys()
    assert all(loaded[key].equal(source[key]) for key in source)
    shapes = checkpoints.read_shapes(tmp_path / "weights")
    assert {v.device.type for v in shapes.values()} == {"meta"}, "no value was read"
    read = checkpoints.read_state(tmp_path / "weights")
    assert {k: v.shape for k, v in shapes.items()} == {k: v.shape for k, v in read.items()}
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())


def test_the_names_of_transformers_are_those_of_a_real_checkpoint() -> None:
    """A sample of ``facebook/sam-vit-base``, so that the map and its test are not both wrong."""
    names = set(hugging_face_names(random_tiny_sam().state_dict()))
    assert names >= {
        "shared_image_embedding.positional_embedding",
        "vision_encoder.pos_embed",
        "vision_encoder.patch_embed.projection.weight",
        "vision_encoder.layers.0.layer_norm1.weight",
        "vision_encoder.layers.0.attn.rel_pos_h",
        "vision_encoder.layers.0.attn.qkv.bias",
        "vision_encoder.layers.1.mlp.lin1.weight",
        "vision_encoder.neck.conv1.weight",
        "vision_encoder.neck.layer_norm2.bias",
        "prompt_encoder.point_embed.3.weight",
        "prompt_encoder.not_a_point_embed.weight",
        "prompt_encoder.mask_embed.conv3.bias",
        "prompt_encoder.mask_embed.layer_norm2.weight",
        "mask_decoder.transformer.layers.1.layer_norm4.weight",
        "mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight",
        "mask_decoder.transformer.layer_norm_final_attn.bias",
        "mask_decoder.upscale_conv2.weight",
        "mask_decoder.upscale_layer_norm.weight",
        "mask_decoder.output_hypernetworks_mlps.3.proj_in.weight",
        "mask_decoder.output_hypernetworks_mlps.0.layers.0.weight",
        "mask_decoder.iou_prediction_head.proj_out.bias",
    }


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    import torch

    state = {k: v.half() for k, v in random_tiny_sam().state_dict().items()}
    torch.save(state, tmp_path / "half.pth")
    net = checkpoints.load_weights(Blueprint(build_tiny_sam()), tmp_path / "half.pth", "Tiny")
    assert {p.dtype for p in net.parameters()} == {torch.float32}


# ---------------------------------------------------------------------- refusals


def test_another_width_of_encoder_is_refused_in_one_line(tmp_path: Path) -> None:
    LAYOUTS["plain"](random_tiny_sam(width=64).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(WeightsError) as caught:
        checkpoints.load_weights(Blueprint(build_tiny_sam()), tmp_path / "wide.pth", "Tiny")
    message = str(caught.value)
    assert "wide.pth is no Tiny" in message
    assert "have another shape" in message
    assert "instead of (1, 8, 8, 32)" in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize("card", [SAM, MEDSAM], ids=lambda c: c.id)
def test_litemedsam_is_no_sam(card: ModelCard, tmp_path: Path) -> None:
    """Through the path a user's file takes, with a checkpoint that is a real one of its kind."""
    packaged = weights.resolve(LITE)
    assert packaged is not None
    own = tmp_path / "mine.pth"
    own.symlink_to(packaged)
    with pytest.raises(WeightsError, match=f"is no {card.title}: .*missing.*do not belong"):
        registry.load_model(card, weights.resolve(card, own), "cpu")


def test_sam_is_no_litemedsam(tmp_path: Path) -> None:
    LAYOUTS["plain"](random_tiny_sam().state_dict(), tmp_path / "sam.pth")
    with pytest.raises(WeightsError, match="is no LiteMedSAM"):
        registry.load_model(LITE, weights.resolve(LITE, tmp_path / "sam.pth"), "cpu")


def _truncated(path: Path) -> bytes:
    return path.read_bytes()[: path.stat().st_size // 2]


@pytest.mark.parametrize("layout", ["plain", "plain, before torch 1.6", "plain safetensors"])
def test_a_truncated_file_is_refused(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout](random_tiny_sam().state_dict(), tmp_path / "whole")
    put(tmp_path / "half.pth", _truncated(tmp_path / "whole"))
    with pytest.raises(WeightsError, match=r"half.pth is damaged: .*Get the file again") as caught:
        checkpoints.read_state(tmp_path / "half.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html><html>Sign in</html>", b"PK", bytes(1000)]
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(WeightsError, match="neither a PyTorch checkpoint nor safetensors"):
        checkpoints.read_state(put(tmp_path / "page.pth", content))


@pytest.mark.parametrize("head", [b"\x80\x02", b"PK\x03\x04", b"12345678{", b"\x80"])
def test_what_only_begins_like_a_checkpoint_is_damaged(tmp_path: Path, head: bytes) -> None:
    with pytest.raises(WeightsError, match="is damaged"):
        checkpoints.read_state(put(tmp_path / "odd.pth", head + b"garbage" * 50))


def test_a_table_without_tensors_is_refused(tmp_path: Path) -> None:
    saved_with(lambda s: [1, 2, 3])({}, tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="no table of tensors"):
        checkpoints.read_state(tmp_path / "list.pth")


class Marker:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    state = random_tiny_sam().state_dict()
    mark = tmp_path / "it ran"
    saved_with(lambda s: {"model": s, "extra": Marker(mark)})(state, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="could run code"):
        checkpoints.read_state(tmp_path / "evil.pth")
    assert not mark.exists()
