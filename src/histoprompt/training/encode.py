"""The frozen encoder's view of a field, kept on disk so that heads train without it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.training.data import Known, Labels, Sample
from histoprompt.training.targets import instance_targets

if TYPE_CHECKING:
    import torch


def box_masks(
    net: Any, embedding: torch.Tensor, labels: Labels
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """LiteMedSAM's mask (n, 256, 256) and predicted IoU (n,) for the box of every label."""
    import torch
    from scipy import ndimage as ndi

    found = [b for b in ndi.find_objects(labels) if b is not None]
    boxes = np.array([(c.start, r.start, c.stop, r.stop) for r, c in found], np.float32)
    masks, scores = [np.zeros((0, *labels.shape), bool)], [np.zeros(0, np.float32)]
    with torch.inference_mode(), torch.autocast(embedding.device.type, dtype=torch.bfloat16):
        for part in torch.from_numpy(boxes.reshape(-1, 4)).to(embedding.device).split(16):
            sparse, dense = net.prompt_encoder(None, part[:, None, :], None)
            pe = net.prompt_encoder.get_dense_pe()
            logits, iou = net.mask_decoder(embedding, pe, sparse, dense, multimask_output=False)
            masks.append((logits[:, 0] > 0).cpu().numpy())
            scores.append(iou[:, 0].float().cpu().numpy())
    return np.concatenate(masks), np.concatenate(scores)


@dataclass(frozen=True, eq=False)
class Encoded:
    """A sample with its embedding, (256, 64, 64) float16."""

    sample: Sample
    embedding: NDArray[np.float16]

    @cached_property
    def targets(self) -> NDArray[np.float16]:
        """What the instance decoder should draw, (3, 128, 128); worked out once."""
        return instance_targets(self.sample.labels).astype(np.float16)

    def save(self, path: Path) -> None:
        """Write to an .npz file; it appears whole or not at all."""
        part = path.with_suffix(".part.npz")
        s = self.sample
        np.savez(
            part,
            image=s.image,
            labels=s.labels.astype(np.int16),
            known=s.known,
            source=s.source,
            embedding=self.embedding,
        )
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Encoded:
        """Read what `save` wrote."""
        with np.load(path) as z:
            labels: Labels = z["labels"].astype(np.int32)
            known: Known = z["known"]
            sample = Sample(z["image"], labels, known, str(z["source"]))
            return cls(sample, z["embedding"])
