"""The text tower of BiomedCLIP: BERT (Devlin et al., 2019) in torch's own layers.

Imported only by loaders: it needs torch at once. Weights of transformers' ``BertModel`` get these
names by `key_maps.to_biomedclip`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

PAD = 0
EPS = 1e-12


class Embeddings(nn.Module):
    """Words, their places and the one segment, summed and normalised."""

    def __init__(self, words: int, places: int, width: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(words, width, padding_idx=PAD)
        self.position_embeddings = nn.Embedding(places, width)
        self.token_type_embeddings = nn.Embedding(2, width)
        self.LayerNorm = nn.LayerNorm(width, eps=EPS)

    def forward(self, ids: Tensor) -> Tensor:
        """(n, t) ids to (n, t, width)."""
        places = self.position_embeddings.weight[: ids.shape[1]]
        summed = self.word_embeddings(ids) + places + self.token_type_embeddings.weight[0]
        normed: Tensor = self.LayerNorm(summed)
        return normed


class Bert(nn.Module):
    """Embeddings and a transformer that normalises after each step."""

    def __init__(self, words: int, places: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.embeddings = Embeddings(words, places, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, activation="gelu", layer_norm_eps=EPS, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, ids: Tensor) -> Tensor:
        """(n, t) ids, 0 where a text has ended, to (n, t, width)."""
        found: Tensor = self.encoder(self.embeddings(ids), src_key_padding_mask=ids == PAD)
        return found


class TextTower(nn.Module):
    """The first token of BERT's last layer through two linear layers, as BiomedCLIP has it."""

    def __init__(
        self,
        out: int,
        *,
        words: int = 30522,
        places: int = 512,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
    ) -> None:
        super().__init__()
        self.transformer = Bert(words, places, width, layers, heads)
        middle = (width + out) // 2
        self.proj = nn.Sequential(
            nn.Linear(width, middle, bias=False), nn.GELU(), nn.Linear(middle, out, bias=False)
        )

    def forward(self, ids: Tensor) -> Tensor:
        """(n, t) ids to (n, out)."""
        projected: Tensor = self.proj(self.transformer(ids)[:, 0])
        return projected


class ImageTower(nn.Module):
    """A timm vision transformer's class token through a linear layer."""

    def __init__(self, trunk: nn.Module, width: int, out: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Sequential()
        self.head.add_module("proj", nn.Linear(width, out, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, out)."""
        projected: Tensor = self.head(self.trunk(images))
        return projected


class BiomedClip(nn.Module):
    """Both towers under the names of open_clip's ``CustomTextCLIP``."""

    def __init__(self, visual: ImageTower, text: TextTower) -> None:
        super().__init__()
        self.visual = visual
        self.text = text
        self.logit_scale = nn.Parameter(torch.ones([]))

    def encode_image(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, d), of any length."""
        found: Tensor = self.visual(images)
        return found

    def encode_text(self, ids: Tensor) -> Tensor:
        """(n, t) ids to (n, d), of any length."""
        found: Tensor = self.text(ids)
        return found
