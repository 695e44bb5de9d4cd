"""Images and texts in one space: PLIP, QuiltNet, PathCLIP and BiomedCLIP.

All but BiomedCLIP are open_clip's ViT-B with OpenAI's activation and tokenizer, which comes inside
open_clip; PLIP's file has the names of transformers (see `key_maps.to_open_clip`). BiomedCLIP reads
text with BERT (see `bert`) and needs the vocabulary of PubMedBERT as a second file. Nothing is
fetched here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import PromptError, WeightsError
from histoprompt.models import key_maps
from histoprompt.models.blueprint import Blueprint
from histoprompt.models.card import ModelCard, Terms, WeightsSpec, on_hub
from histoprompt.models.networks.precision import computing_in, half_on
from histoprompt.models.networks.tile_input import Recipe, features_of

if TYPE_CHECKING:
    from torch import Tensor

RECIPE = Recipe(224, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
TEXT_BATCH = 64
_LONGEST = 256
_BIOMEDCLIP_WIDTH = 512
_B32, _B16, _BIOMEDCLIP = "ViT-B-32-quickgelu", "ViT-B-16-quickgelu", "biomedclip"
# What the files of the networks hold.
_VALUES = {_B32: 151_277_313, _B16: 149_620_737, _BIOMEDCLIP: 195_902_721}
# 30,522 word pieces of some seven letters, a line each.
_VOCABULARY = on_hub(
    "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract", "vocab.txt", n_params=2 * 30_522
)

Tokenize = Callable[[Sequence[str]], "Tensor"]


class ClipScorer:
    """A `TextScorer`, and by its image tower a `TileEncoder`.

    Parameters
    ----------
    net : torch.nn.Module
        Has ``encode_image``, ``encode_text`` and ``logit_scale``; in evaluation mode on `device`.
    tokenize : callable
        Makes (m, t) int64 ids of texts.
    width : int
        Length of a vector.
    device : str
    half : str, optional
        As for `precision.computing_in`.
    """

    def __init__(
        self, net: Any, tokenize: Tokenize, width: int, device: str, half: str | None = None
    ) -> None:
        self._net = net
        self._tokenize = tokenize
        self._width = width
        self._device = device
        self._half = half

    @property
    def logit_scale(self) -> float:
        """What a cosine is multiplied by before a softmax over texts, as trained."""
        return float(self._net.logit_scale.exp())

    @property
    def width(self) -> int:
        """Length of a feature vector."""
        return self._width

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Image features before they are brought to unit length; see `TileEncoder.encode`."""
        return features_of(self._net.encode_image, tiles, RECIPE, self._device, self._half)

    def embed_images(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors (n, d) of (n, h, w, 3) uint8 RGB tiles; see `TextScorer.embed_images`."""
        return _unit(self.encode(tiles))

    def embed_tokens(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors (n, rows, cols, d) of the patches of tiles; see `TokenScorer.embed_tokens`.

        Raises
        ------
        ModelError
            If the image tower gives none.
        """
        from histoprompt.models.networks.patch_tokens import patch_tokens

        def forward(images: Tensor) -> Tensor:
            return patch_tokens(self._net.visual, images)

        return features_of(forward, tiles, RECIPE, self._device, self._half)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (m, d) of texts; what is longer than the model's context is cut off.

        Raises
        ------
        PromptError
            If there is no text, or one is empty.
        """
        import torch

        if not texts or not all(text.strip() for text in texts):
            raise PromptError("A text to look for is empty: say what is to be found.")
        found = []
        with torch.inference_mode(), computing_in(self._half, self._device):
            for start in range(0, len(texts), TEXT_BATCH):
                ids = self._tokenize(list(texts[start : start + TEXT_BATCH])).to(self._device)
                found.append(self._net.encode_text(ids).float().cpu().numpy())
        return _unit(np.concatenate(found))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def load(card: ModelCard, weights: Path, device: str) -> ClipScorer:
    """A network of open_clip with these weights; raises WeightsError for a file of another kind."""
    from open_clip import SimpleTokenizer

    from histoprompt.models.weights.checkpoints import load_weights

    net = load_weights(_blueprint(card), weights, card.title).to(device)
    width = int(net.text_projection.shape[1])
    return ClipScorer(net, SimpleTokenizer(), width, device, half_on(card, device))


def blueprint(card: ModelCard, spec: WeightsSpec) -> Blueprint | None:
    """What the file of a network has to hold; a vocabulary is none."""
    return _blueprint(card) if spec == card.weights else None


def _blueprint(card: ModelCard) -> Blueprint:
    if card.architecture == _BIOMEDCLIP:
        return Blueprint(build_biomedclip(), key_maps.to_biomedclip)
    return Blueprint(build(card.architecture), key_maps.to_open_clip)


def build(architecture: str, **changed: Any) -> Any:
    """A network of open_clip, on the meta device but for what no file holds.

    Parameters
    ----------
    architecture : str
        open_clip's name.
    **changed
        Parts of its configuration in place of the published ones, for smaller networks of the
        same structure.
    """
    import torch
    from open_clip import get_model_config
    from open_clip.model import CLIP

    config = {**get_model_config(architecture), **changed}
    with torch.device("meta"):
        net = CLIP(**config)
    size = net.context_length
    net.attn_mask = torch.full((size, size), -torch.inf).triu(1)
    return net


def load_biomedclip(card: ModelCard, weights: Path, device: str) -> ClipScorer:
    """BiomedCLIP with these weights, its vocabulary beside them or in the weights folder.

    Raises
    ------
    WeightsError
        If the file is of another kind or the vocabulary is missing.
    """
    from histoprompt.models.weights import companion
    from histoprompt.models.weights.checkpoints import load_weights

    words = companion(card, _VOCABULARY.filename, beside=weights)
    net = load_weights(_blueprint(card), weights, card.title).to(device)
    width = int(net.visual.head.proj.out_features)
    return ClipScorer(net, word_pieces(words), width, device, half_on(card, device))


def build_biomedclip(
    image: dict[str, int] | None = None, text: dict[str, int] | None = None
) -> Any:
    """BiomedCLIP's network on the meta device.

    Parameters
    ----------
    image, text : dict, optional
        Sizes of the towers in place of the published ones.
    """
    import timm
    import torch

    from histoprompt.models.networks.bert import BiomedClip, ImageTower, TextTower

    with torch.device("meta"):
        sizes: dict[str, Any] = {"num_classes": 0, **(image or {})}
        trunk: Any = timm.create_model("vit_base_patch16_224", pretrained=False, **sizes)
        visual = ImageTower(trunk, trunk.num_features, _BIOMEDCLIP_WIDTH)
        return BiomedClip(visual, TextTower(_BIOMEDCLIP_WIDTH, **(text or {})))


def word_pieces(vocabulary: Path) -> Tokenize:
    """BERT's tokenizer for a ``vocab.txt``, one word piece a line.

    Raises
    ------
    WeightsError
        If the file is no vocabulary.
    """
    import torch
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(_read_words(vocabulary), lowercase=True)
    tokenizer.enable_truncation(_LONGEST)
    tokenizer.enable_padding()

    def tokenize(texts: Sequence[str]) -> Tensor:
        return torch.tensor([found.ids for found in tokenizer.encode_batch(list(texts))])

    return tokenize


def _read_words(vocabulary: Path) -> dict[str, int]:
    try:
        lines = vocabulary.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{vocabulary} cannot be read as a vocabulary: {error}.") from error
    words = {line.strip(): number for number, line in enumerate(lines)}
    if missing := [word for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if word not in words]:
        raise WeightsError(
            f"{vocabulary} is no vocabulary of BERT: it lacks {missing[0]}. Get the file again."
        )
    return words


_RESEARCH = Terms(
    "No licence is stated for these weights: take them for research only, and pass them on to "
    "nobody.",
    "https://huggingface.co/vinid/plip",
)
_NON_COMMERCIAL = Terms(
    "Non-commercial use only (CC BY-NC 4.0).", "https://creativecommons.org/licenses/by-nc/4.0/"
)


def _card(
    card_id: str,
    title: str,
    architecture: str,
    weights: WeightsSpec,
    *,
    loader: str = "load",
    memory_mib: int = 1000,
    **more: Any,
) -> ModelCard:
    return ModelCard(
        id=card_id,
        role="text",
        title=title,
        loader=f"histoprompt.models.zoo.clip:{loader}",
        architecture=architecture,
        blueprint="histoprompt.models.zoo.clip:blueprint",
        input_size=RECIPE.side,
        amp_dtype="float16",
        memory_mib=memory_mib,
        weights=replace(weights, n_params=_VALUES[architecture]),
        **more,
    )


CARDS = (
    _card(
        "plip",
        "PLIP (CLIP ViT-B/32)",
        _B32,
        licence="not stated: research only",
        terms=_RESEARCH,
        citation="Huang et al., Nature Medicine 29 (2023)",
        weights=on_hub(
            "vinid/plip",
            "pytorch_model.bin",
            "67ade53ddd32195868f422585f72698ef5d15094",
            digest="sha256:98a7f8d2a1f4a8fc8f6dedb3a16ff7efbe02a7ef67c93904c80bca9767c69630",
        ),
        description="208,414 images and texts of pathologists on Twitter.",
    ),
    _card(
        "quiltnet-b-32",
        "QuiltNet-B-32",
        _B32,
        licence="MIT",
        citation="Ikezogwo et al., Quilt-1M, NeurIPS 2023",
        weights=on_hub("wisdomik/QuiltNet-B-32", "open_clip_pytorch_model.bin"),
        description="A million images and texts of teaching videos; free to use.",
    ),
    _card(
        "quiltnet-b-16",
        "QuiltNet-B-16",
        _B16,
        licence="MIT",
        citation="Ikezogwo et al., Quilt-1M, NeurIPS 2023",
        weights=on_hub("wisdomik/QuiltNet-B-16", "open_clip_pytorch_model.bin"),
        description="As QuiltNet-B-32 with smaller patches: four times the work.",
    ),
    _card(
        "biomedclip",
        "BiomedCLIP",
        _BIOMEDCLIP,
        loader="load_biomedclip",
        memory_mib=1200,
        licence="MIT",
        citation="Zhang et al., NEJM AI 2 (2025)",
        weights=on_hub(
            "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
            "open_clip_pytorch_model.bin",
            digest="sha256:52cc993c5c5ff962bd0c60931874bc001e7e9b41666a385530f4a036294576be",
        ),
        others=(_VOCABULARY,),
        description="15 million figures and captions of PubMed Central, all of medicine.",
    ),
    _card(
        "pathclip",
        "PathCLIP",
        _B16,
        licence="CC-BY-NC-4.0 (non-commercial)",
        terms=_NON_COMMERCIAL,
        citation="Sun et al., PathAsst, AAAI 2024",
        weights=on_hub("jamessyx/pathclip", "pathclip-base.pt"),
        description="207,000 images and captions of textbooks and articles.",
    ),
)
