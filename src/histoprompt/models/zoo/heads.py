"""The networks of the project's own heads, on LiteMedSAM's embedding (256 x 64 x 64 of 256 px).

Imported only by loaders and training: it needs torch at once. The prompt decoder is that of
Kirillov et al., "Segment Anything", 2023, with prompts and pixels let in at full resolution.
"""

from __future__ import annotations

from typing import Any

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional

FIELD = 256
STRIDE = 4
PIXEL_CHANNELS = 5
MAP_CHANNELS = 3  # foreground, depth, rim
HINT_CHANNELS = 4  # inside, outside, box, proposed nuclei


def pixel_planes(rgb: Tensor) -> Tensor:
    """What the heads see of the pixels themselves.

    Parameters
    ----------
    rgb : (n, 3, h, w) uint8

    Returns
    -------
    (n, 5, h, w) float32
        Red, green, blue less their mean over the field; the optical density of red (haematoxylin
        absorbs it, eosin hardly) as it is, and standardised over the field.
    """
    image = rgb.float()
    density = -torch.log((image[:, :1] + 1) / 256)
    colour = image / 128 - 1
    colour = colour - colour.mean((2, 3), keepdim=True)
    spread = density.std((2, 3), keepdim=True).clamp_min(0.05)
    relative = (density - density.mean((2, 3), keepdim=True)) / spread
    return torch.cat([colour, density, relative], 1)


def _conv(n_in: int, n_out: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride, padding=(size - stride + 1) // 2, bias=False),
        nn.GroupNorm(8, n_out),
        nn.GELU(),
    )


class InstanceHead(nn.Module):
    """Foreground, depth inside a nucleus and its rim, at half resolution.

    0.4 M values. `forward` gives (n, 3, 128, 128) logits: foreground; depth, the distance to the
    rim relative to the deepest point of the same nucleus; rim, within about a pixel of the outline.
    """

    def __init__(self, width: int = 80, fine: int = 48, stem: int = 24) -> None:
        super().__init__()
        self.entry = _conv(256, width, 1)
        self.context = nn.ModuleList([_conv(width, width), _conv(width, width)])
        self.stem = nn.Sequential(_conv(PIXEL_CHANNELS, stem, 4, 2), _conv(stem, stem))
        self.fuse = nn.Sequential(_conv(width + stem, fine), _conv(fine, fine))
        self.out = nn.Conv2d(fine, MAP_CHANNELS, 1)

    def forward(self, embedding: Tensor, pixels: Tensor) -> Tensor:
        """Maps from (n, 256, h/4, w/4) embedding and (n, 5, h, w) pixel planes."""
        x = functional.dropout2d(self.entry(embedding), 0.1, self.training)
        for block in self.context:
            x = x + block(x)
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        fused: Tensor = self.out(self.fuse(torch.cat([x, self.stem(pixels)], 1)))
        return fused


class PromptHead(nn.Module):
    """Segment Anything's prompt encoder and mask decoder, with dense hints and a pixel skip.

    Clicks and boxes are tokens as published. All prompts, and the nuclei they seem to mean, are
    also drawn at full resolution and added to the embedding (`hints`) and to the masks (`lift`).
    Pixels and the instance maps join before the masks are formed (`skip`). All three start at
    zero: at first the decoder is exactly LiteMedSAM's.
    """

    def __init__(self, hint_width: int = 48, skip_width: int = 16) -> None:
        super().__init__()
        size = FIELD // STRIDE
        self.prompt_encoder = PromptEncoder(256, (size, size), (FIELD, FIELD), 16)
        transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
        self.mask_decoder = MaskDecoder(transformer_dim=256, transformer=transformer)
        self.hints = nn.Sequential(
            nn.Conv2d(HINT_CHANNELS, hint_width, STRIDE, STRIDE),
            nn.GELU(),
            nn.Conv2d(hint_width, hint_width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(hint_width, 256, 1),
        )
        self.skip = nn.Sequential(
            nn.Conv2d(PIXEL_CHANNELS + MAP_CHANNELS, skip_width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(skip_width, 32, 3, padding=1),
        )
        self.lift = nn.Sequential(
            nn.Conv2d(HINT_CHANNELS, 12, 5, padding=2), nn.GELU(), nn.Conv2d(12, 4, 3, padding=1)
        )
        for last in (self.hints[-1], self.skip[-1], self.lift[-1]):
            for values in last.parameters():
                nn.init.zeros_(values)

    def fine(self, pixels: Tensor, maps: Tensor) -> Tensor:
        """What the full resolution adds to an image's masks, (1, 32, h, w); once per image."""
        big = functional.interpolate(maps, pixels.shape[-2:], mode="bilinear", align_corners=False)
        added: Tensor = self.skip(torch.cat([pixels, big], 1))
        return added

    def position(self) -> Tensor:
        """The position code of the whole field, (1, 256, 64, 64)."""
        code: Tensor = self.prompt_encoder.get_dense_pe()
        return code

    def forward(
        self,
        embedding: Tensor,
        position: Tensor,
        fine: Tensor,
        points: Tensor,
        labels: Tensor,
        *,
        hints: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Masks of n prompts.

        Parameters
        ----------
        embedding, position : (n or 1, 256, h, w)
            The window of the embedding and of its position code.
        fine : (n or 1, 32, 4h, 4w)
            From `fine`, the same window.
        points : (n, k, 2) float
            (row, col) in the 256 px field, pixel centres on integers.
        labels : (n, k) int
            1 inside, 0 outside, 2 and 3 a box's first and last pixel, -1 nothing.
        hints : (n, 4, 4h, 4w)
            Drawn prompts of the window: inside, outside, box, proposed nuclei.

        Returns
        -------
        (n, 4, 4h, 4w) logits, (n, 4) predicted IoU
            First the single mask, then three nested ones for an ambiguous prompt.
        """
        n = len(hints)
        dense = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1) + self.hints(hints)
        source = embedding.expand(n, -1, -1, -1) + dense
        tokens = self._tokens(points, labels)
        logits, scores = self._decode(source, position.expand(n, -1, -1, -1), tokens, fine)
        logits = logits + self.lift(hints)
        return torch.cat([logits[:, :1], logits[:, 1:].cummax(1).values], 1), scores

    def _tokens(self, points: Tensor, labels: Tensor) -> Tensor:
        """Clicks and box corners as the published prompt encoder embeds them, (n, k, 256)."""
        encoder: Any = self.prompt_encoder
        code = encoder.pe_layer.forward_with_coords(points.flip(-1) + 0.5, (FIELD, FIELD))
        kinds = torch.cat(
            [encoder.not_a_point_embed.weight] + [e.weight for e in encoder.point_embeddings]
        )
        seen = (labels >= 0)[..., None]
        tokens: Tensor = code * seen + kinds[labels + 1]
        return tokens

    def _decode(
        self, source: Tensor, position: Tensor, sparse: Tensor, fine: Tensor
    ) -> tuple[Tensor, Tensor]:
        decoder: Any = self.mask_decoder
        n, _, h, w = source.shape
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([own.expand(n, -1, -1), sparse], 1)
        state, source = decoder.transformer(source, position, tokens)
        grid = decoder.output_upscaling(source.transpose(1, 2).reshape(n, 256, h, w)) + fine
        weights = [mlp(state[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)]
        logits = torch.einsum("nkc,nchw->nkhw", torch.stack(weights, 1), grid)
        return logits, decoder.iou_prediction_head(state[:, 0])
