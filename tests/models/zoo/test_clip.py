"""CLIP and BiomedCLIP against transformers, open_clip and torchvision, on random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_models import SMALL_TEXT, WORDS, clip_names, random_values, save_small, small_networks

from histoprompt.core.errors import WeightsError
from histoprompt.models import key_maps, registry, weights
from histoprompt.models.networks.precision import computing_in
from histoprompt.models.weights import checkpoints
from histoprompt.models.zoo import clip

TEXTS = ["lymphocytes", "An H&E image patch of colorectal adenocarcinoma epithelium."]


@pytest.fixture(scope="module")
def theirs() -> Any:
    """transformers' CLIP of the structure of PLIP, small, every value random."""
    import torch

    transformers = pytest.importorskip("transformers")
    tower = {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "hidden_act": "quick_gelu",
    }
    config = transformers.CLIPConfig(
        text_config=tower, vision_config={**tower, "patch_size": 32}, projection_dim=32
    )
    net = transformers.CLIPModel(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
    return net


@pytest.fixture(scope="module", params=["pytorch_model.bin", "model.safetensors"])
def ours(
    theirs: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> clip.ClipScorer:
    """PLIP from a file that transformers might have written."""
    import torch
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("plip") / f"mine-{request.param}"
    state = {k: v.contiguous() for k, v in theirs.state_dict().items()}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    card = registry.card("plip")
    with small_networks(), pytest.MonkeyPatch.context() as patch:
        import open_clip

        config = open_clip.get_model_config("any")
        config["vision_cfg"]["head_width"] = 64
        config["text_cfg"]["heads"] = 1
        patch.setattr(open_clip, "get_model_config", lambda _: config)
        model = registry.load_model(card, weights.resolve(card, path), "cpu")
    assert isinstance(model, clip.ClipScorer)
    return model


def features(found: Any) -> np.ndarray:
    """Of transformers 4 and 5."""
    array = getattr(found, "pooler_output", found).numpy()
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True))


def test_texts_equal_transformers(ours: clip.ClipScorer, theirs: Any) -> None:
    import torch
    from open_clip import SimpleTokenizer

    with torch.inference_mode():
        expected = features(theirs.get_text_features(input_ids=SimpleTokenizer()(TEXTS)))
    assert np.abs(ours.embed_texts(TEXTS) - expected).max() < 1e-4
    assert ours.logit_scale == pytest.approx(float(theirs.logit_scale.detach().exp()), rel=1e-6)


def test_images_equal_transformers(ours: clip.ClipScorer, theirs: Any) -> None:
    import torch
    from torchvision import transforms

    tile = np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    published = transforms.Compose(
        [
            transforms.Resize(224, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(clip.RECIPE.mean, clip.RECIPE.std),
        ]
    )
    pixels = published(Image.fromarray(tile))[None]
    with torch.inference_mode():
        expected = features(theirs.get_image_features(pixel_values=pixels))
    assert np.abs(clip.RECIPE.prepare(tile) - pixels[0].numpy()).max() < 1e-5
    assert np.abs(ours.embed_images(tile[None]) - expected).max() < 1e-4


def test_the_names_of_transformers_are_those_of_its_model(theirs: Any) -> None:
    with small_networks():
        named = clip_names(random_values(clip.build("any")))
    published = set(theirs.state_dict())
    assert {k for k in named if not k.endswith("position_ids")} == published


def test_biomedclips_text_tower_equals_transformers() -> None:
    import torch

    transformers = pytest.importorskip("transformers")
    from histoprompt.models.networks.bert import TextTower

    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=256,
        max_position_embeddings=256,
    )
    bert = transformers.BertModel(config, add_pooling_layer=False).eval()
    tower = TextTower(32, **SMALL_TEXT).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in bert.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
    published = {f"text.transformer.{k}": v for k, v in bert.state_dict().items()}
    published |= {f"text.proj.{i}.weight": tower.proj[i].weight for i in (0, 2)}
    named = key_maps.to_biomedclip(published)
    tower.load_state_dict({k.removeprefix("text."): v for k, v in named.items()})
    ids = torch.tensor([[2, 4, 5, 6, 7, 8, 3], [2, 4, 3, 0, 0, 0, 0]])
    with torch.inference_mode():
        expected = tower.proj(bert(ids, attention_mask=(ids != 0).long()).last_hidden_state[:, 0])
        assert (tower(ids) - expected).abs().max() < 1e-4


def test_word_pieces_are_berts(tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS))
    ids = clip.word_pieces(vocabulary)(["Tumors of the LIVER", "lymphoid"])
    assert ids.tolist() == [[2, 4, 5, 6, 7, 8, 3], [2, 9, 10, 3, 0, 0, 0]]
    assert clip.word_pieces(vocabulary)(["liver " * 400]).shape == (1, 256)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"some\nwords", "lacks \\[PAD\\]"), (b"\xff\xfe\x00", "cannot be read as a vocabulary")],
)
def test_what_is_no_vocabulary_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        clip.word_pieces(tmp_path / "vocab.txt")


def test_biomedclip_without_its_vocabulary_says_where_it_goes(tmp_path: Path) -> None:
    card = registry.card("biomedclip")
    path = save_small(card, tmp_path)
    (tmp_path / "vocab.txt").unlink()
    with small_networks(), pytest.raises(WeightsError, match=r"vocab\.txt"):
        registry.load_model(card, weights.resolve(card, path), "cpu")


@pytest.mark.parametrize(
    ("build", "values"),
    [
        (lambda: clip.build("ViT-B-32-quickgelu"), 151_277_313),
        (lambda: clip.build("ViT-B-16-quickgelu"), 149_620_737),
        (clip.build_biomedclip, 195_902_721),
    ],
    ids=["PLIP, QuiltNet-B-32", "QuiltNet-B-16, PathCLIP", "BiomedCLIP"],
)
def test_the_published_sizes(build: Any, values: int) -> None:
    assert sum(p.numel() for p in build().parameters()) == values


def test_the_activation_is_openais() -> None:
    from open_clip.transformer import QuickGELU

    with small_networks():
        net = clip.build("any")
    assert isinstance(net.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)
    assert isinstance(net.transformer.resblocks[0].mlp.gelu, QuickGELU)


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_half_precision_moves_a_vector_little(tmp_path: Path, half: str) -> None:
    import torch

    card = registry.card("quiltnet-b-32")
    with small_networks():
        path = save_small(card, tmp_path)
        net = checkpoints.load_weights(clip.blueprint(card, card.weights), path, "it")
    images = torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        full = net.encode_image(images)
        with computing_in(half, "cpu"):
            short = net.encode_image(images).float()
    assert 0 < (full - short).norm() / full.norm() < 0.02
