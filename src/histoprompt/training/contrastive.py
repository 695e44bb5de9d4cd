"""A network of two layers that brings images and sentences together by contrast.

Symmetric InfoNCE over batches of pairs (Radford et al., "Learning transferable visual models from
natural language supervision", ICML 2021); pairs that say the same are right for each other.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.models.zoo.aligned_file import Adapter
from histoprompt.pipelines.align.maps import Fit

Double = NDArray[np.float64]
_HIDDEN, _SHARED = 256, 128
_EPOCHS: Final = 30
_BATCH: Final = 256
_RATE, _DECAY = 1e-3, 1e-2
_DROPPED: Final = 0.2
_SEED: Final = 0


def contrastive(task: Task, epochs: int = _EPOCHS) -> Fit:
    """What fits the network: an argument of `pipelines.align.run.align`."""

    def fit(images: Double, texts: Double) -> Adapter:
        return _fit(images, texts, epochs, task)

    return fit


def _fit(images: Double, texts: Double, epochs: int, task: Task) -> Adapter:
    import torch
    from torch import nn
    from torch.nn import functional as f

    torch.manual_seed(_SEED)
    mean, scale = images.mean(axis=0), images.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1.0)
    middle = texts.mean(axis=0)
    x = torch.from_numpy((images - mean) / scale).float()
    y = torch.from_numpy(texts - middle).float()
    first, second = nn.Linear(x.shape[1], _HIDDEN), nn.Linear(_HIDDEN, _SHARED, bias=False)
    words = nn.Linear(y.shape[1], _SHARED, bias=False)
    sharp = nn.Parameter(torch.tensor(2.0))
    parameters = [*first.parameters(), *second.parameters(), *words.parameters(), sharp]
    optimiser = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=_DECAY)
    generator = torch.Generator().manual_seed(_SEED)
    for _ in range(epochs):
        task.repeat()
        for rows in torch.randperm(len(x), generator=generator).split(_BATCH):
            if len(rows) < 2:
                continue
            hidden = f.dropout(torch.relu(first(x[rows])), _DROPPED)
            left = f.normalize(second(hidden), dim=1)
            right = f.normalize(words(y[rows]), dim=1)
            same = ((torch.cdist(y[rows], y[rows]) < 1e-4) | torch.eye(len(rows)).bool()).float()
            wanted = same / same.sum(1, keepdim=True)
            logits = sharp.exp().clamp(max=100) * left @ right.T
            loss = f.cross_entropy(logits, wanted) + f.cross_entropy(logits.T, wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return Adapter(
        _array(mean), _array(scale), _tensor(first.weight.T), _tensor(first.bias), _array(middle),
        _tensor(words.weight.T), _tensor(second.weight.T),
    )  # fmt: skip


def _array(values: Double) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)


def _tensor(values: object) -> NDArray[np.float32]:
    from torch import Tensor

    assert isinstance(values, Tensor)
    return np.ascontiguousarray(values.detach().numpy(), np.float32)
