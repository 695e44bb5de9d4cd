"""The mask decoder of the SAM family, run for many prompts of one image at a time.

The arithmetic is that of ``segment_anything.modeling.MaskDecoder`` with its own weights, in an
order that costs less than half on a CPU: see `two_way`, and the two up-scaling convolutions, whose
kernels do not overlap, are matrix products on the image tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histoprompt.models.networks.two_way import two_way

if TYPE_CHECKING:
    from torch import Tensor


# Raise it when the same prompt gives other logits: counts do not go on then.
ALGORITHM = 1


class PromptDecoder:
    """Logits of masks for embedded prompts.

    Parameters
    ----------
    prompt_encoder, mask_decoder : torch.nn.Module
        ``PromptEncoder`` and ``MaskDecoder`` of segment_anything, with weights, on their device.
    """

    def __init__(self, prompt_encoder: Any, mask_decoder: Any) -> None:
        import torch

        self._decoder = mask_decoder
        first, norm, _, second, _ = mask_decoder.output_upscaling
        with torch.inference_mode():
            self._places = _as_tokens(prompt_encoder.get_dense_pe())
            self._no_mask = prompt_encoder.no_mask_embed.weight
            self._tokens = torch.cat(
                [mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight]
            )
            self._first, self._second = _as_matrix(first), _as_matrix(second)
        self._norm = norm

    def __call__(
        self, features: Tensor, sparse: Tensor, multimask: bool, dense: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Decode prompts of one image.

        Parameters
        ----------
        features : (1, c, h, w)
            The image's embedding.
        sparse : (n, t, c)
            From the prompt encoder.
        multimask : bool
            Three candidates a prompt, for an ambiguous one, instead of one.
        dense : (n, c, h, w), optional
            From the prompt encoder, for prompts with an answer before.

        Returns
        -------
        logits : (n, m, 4h, 4w)
            Of m = 3 or 1 masks.
        iou : (n, m)
            The model's own estimate of each mask's quality.
        """
        import torch

        n = len(sparse)
        wanted = slice(1, None) if multimask else slice(0, 1)
        tokens = torch.cat([self._tokens.expand(n, -1, -1), sparse], dim=1)
        image = _as_tokens(features) + (self._no_mask if dense is None else _as_tokens(dense))
        found, keys = two_way(self._decoder.transformer, image, self._places, tokens)
        mask_tokens = found[:, 1 : len(self._tokens)][:, wanted]
        heads = self._decoder.output_hypernetworks_mlps[wanted]
        kernels = [head(mask_tokens[:, i]) for i, head in enumerate(heads)]
        logits = self._masks(keys, torch.stack(kernels, dim=2), features.shape)
        return logits, self._decoder.iou_prediction_head(found[:, 0])[:, wanted]

    def _masks(self, keys: Tensor, kernels: Tensor, shape: Sequence[int]) -> Tensor:
        """(n, h * w, c) image tokens and (n, k, m) kernels to (n, m, 4h, 4w) logits."""
        from torch.nn import functional

        (h, w), n, m = shape[-2:], len(keys), kernels.shape[-1]
        half = functional.linear(keys, *self._first).reshape(n, h * w, 4, -1)
        half = functional.gelu(
            functional.layer_norm(
                half, half.shape[-1:], self._norm.weight, self._norm.bias, self._norm.eps
            )
        )
        full = functional.gelu(functional.linear(half, *self._second))
        logits = full.reshape(n, h * w * 16, -1) @ kernels
        # The sub-pixels of the first and second convolution: rows (h, i, k), columns (w, j, l).
        grid_of = logits.reshape(n, h, w, 2, 2, 2, 2, m)
        return grid_of.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(n, m, 4 * h, 4 * w)


def _as_tokens(grid: Tensor) -> Tensor:
    """(n, c, h, w) to (n, h * w, c)."""
    return grid.flatten(2).mT.contiguous()


def _as_matrix(layer: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer equal to a 2 x 2 transposed convolution of stride 2.

    Its outputs are the four sub-pixels in row order, each with all channels.
    """
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2).contiguous()
    return weight, layer.bias.repeat(4)
