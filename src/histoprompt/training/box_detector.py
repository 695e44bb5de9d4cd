"""Faster R-CNN on a training set of tags, through torchvision.

Ren et al., "Faster R-CNN: towards real-time object detection with region proposal networks",
NeurIPS 2015, with a feature pyramid on MobileNetV3 as torchvision has it; it begins with random
weights, as nothing is fetched, so that it needs many boxes and a GPU.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.errors import LabelError, ModelError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import read_json
from histoprompt.core.files.tensors import ordered
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.tiling import TileGrid
from histoprompt.models.devices import choose_device
from histoprompt.pipelines.tags.detect import Detection
from histoprompt.pipelines.tags.network_file import NETWORK
from histoprompt.pipelines.tags.records import TagRow
from histoprompt.pipelines.tags.training_set import TRAINING_SET
from histoprompt.pipelines.tags.work import TaggedCandidates

if TYPE_CHECKING:
    import torch

_SEED: Final = 0
_RATE: Final = 1e-4
_BATCH: Final = 2
# Side of what is looked at of a slide at once, and how far windows overlap, in level-0 pixels.
WINDOW, OVERLAP = 512, 64
_OVERLAPPING: Final = 0.5
_LEAST_SCORE: Final = 0.3


@dataclass(frozen=True, eq=False)
class Field:
    """One image of the set with its boxes.

    Attributes
    ----------
    path : Path
    boxes : (n, 4) float32
        x0, y0, x1, y1 in its pixels.
    code : (n,) int64
        Classes from 1.
    """

    path: Path
    boxes: NDArray[np.float32]
    code: NDArray[np.int64]


def build(classes: int) -> Any:
    """The network with random weights for so many classes.

    Raises
    ------
    ModelError
        If torchvision cannot be imported.
    """
    try:
        from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_fpn
    except (ImportError, RuntimeError, OSError) as error:
        raise ModelError(
            f"torchvision cannot be imported beside this torch ({error}). Install both together: "
            "pip install torch torchvision. The class head needs neither."
        ) from error
    return fasterrcnn_mobilenet_v3_large_fpn(
        weights=None, weights_backbone=None, num_classes=classes + 1, min_size=WINDOW,
        max_size=2 * WINDOW, box_detections_per_img=300,
    )  # fmt: skip


class BoxDetector:
    """A network that finds boxes of some classes.

    Parameters
    ----------
    net : torch.nn.Module
        In evaluation mode.
    classes : tuple of str
    device : str
    """

    def __init__(self, net: Any, classes: tuple[str, ...], device: str) -> None:
        self._net, self.classes, self._device = net, classes, device

    @classmethod
    def load(cls, path: Path, device: str = "auto") -> BoxDetector:
        """Read what `fitting` wrote.

        Raises
        ------
        LabelError
            If it is damaged.
        """
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import load_file

        try:
            with safe_open(path, "pt") as file:
                classes = tuple(json.loads((file.metadata() or {})["classes"]))
            net = build(len(classes))
            net.load_state_dict(load_file(path))
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            raise LabelError(f"The detector {path} is damaged: {error}. Fit it again.") from error
        place = choose_device(device)
        return cls(net.eval().to(place), classes, place)

    def detect(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """Boxes (n, 4) as r0, c0, r1, c1, classes (n,) from 0 and scores (n,) of an RGB image."""
        import torch

        with torch.inference_mode():
            (found,) = self._net([_tensor(image).to(self._device)])
        x0, y0, x1, y1 = found["boxes"].cpu().numpy().reshape(-1, 4).T
        boxes = np.stack([y0, x0, y1, x1], axis=1)
        return boxes, found["labels"].cpu().numpy() - 1, found["scores"].cpu().numpy()

    def find(self, slide: Slide, task: Task) -> list[Detection]:
        """The objects of a slide, window by window; of those that overlap the surest."""
        import torch
        from torchvision.ops import batched_nms

        boxes, codes, scores = self._all(slide, task)
        keep = batched_nms(
            torch.from_numpy(boxes[:, [1, 0, 3, 2]].copy()), torch.from_numpy(scores),
            torch.from_numpy(codes), _OVERLAPPING,
        )  # fmt: skip
        rows = [i for i in keep.tolist() if scores[i] >= _LEAST_SCORE]
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5
        return [
            Detection(
                float(middles[i, 0]),
                float(middles[i, 1]),
                self.classes[int(codes[i])],
                float(scores[i]),
            )
            for i in sorted(rows)
        ]

    def codes_at(self, slide: Slide, centres: NDArray[np.float64], task: Task) -> NDArray[np.int64]:
        """The class of the surest box around each level-0 centre; -1 for none."""
        boxes, codes, scores = self._all(slide, task)
        found = np.full(len(centres), -1, np.int64)
        best = np.full(len(centres), _LEAST_SCORE)
        for box, code, score in zip(boxes, codes, scores, strict=True):
            inside = ((centres + 0.5 >= box[:2]) & (centres + 0.5 < box[2:])).all(axis=1)
            better = inside & (score >= best)
            found[better], best[better] = code, score
        return found

    def _all(self, slide: Slide, task: Task) -> tuple[NDArray[np.float32], ...]:
        grid = TileGrid(slide.box, WINDOW - OVERLAP, 0, slide.box)
        parts = []
        for done, tile in enumerate(grid):
            task.step(done, len(grid), f"Looking for boxes in {slide.name}", "window")
            box = Box(*tile.inner).pad(OVERLAP // 2).intersection(slide.box) or tile.inner
            boxes, codes, scores = self.detect(slide.read(box)[0])
            corner = np.array([box.r0, box.c0, box.r0, box.c0], np.float32)
            parts.append((boxes + corner, codes, scores))
        whole = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
        return whole[0].astype(np.float32), whole[1].astype(np.int64), whole[2].astype(np.float32)


def fitting(
    folder: Path, out: Path, epochs: int, device: str, task: Task
) -> Callable[[TaggedCandidates, Sequence[TagRow], Sequence[str]], NDArray[np.int64]]:
    """What fits a network to a folder of tags: an argument of `pipelines.tags.detect.fit`."""

    def fit(
        work: TaggedCandidates, rows: Sequence[TagRow], apart: Sequence[str]
    ) -> NDArray[np.int64]:
        learnt = [slide.id for slide in work.slides if slide.patient not in apart]
        found = train(read_fields(folder / TRAINING_SET, work.names, learnt), work.names,
                      epochs, device, task)  # fmt: skip
        save(out, found, work.names)
        detector = BoxDetector(found.eval(), work.names, choose_device(device))
        return _codes(work, detector, apart, task)

    return fit


def read_fields(folder: Path, names: Sequence[str], slides: Sequence[str]) -> list[Field]:
    """The images of a training set that are of some slides.

    Raises
    ------
    LabelError
        If there are none.
    """
    from histoprompt.pipelines.project.project import folder_name

    fields = []
    for slide in slides:
        home = folder / "coco" / folder_name(slide)
        for path in sorted((home / "annotations").glob("instances_*.json")):
            data = read_json(path)
            classes = {c["id"]: names.index(c["name"]) + 1 for c in data["categories"]}
            boxes: dict[int, list[tuple[list[float], int]]] = {}
            for one in data["annotations"]:
                x, y, w, h = one["bbox"]
                if w >= 1 and h >= 1:
                    row = ([x, y, x + w, y + h], classes[one["category_id"]])
                    boxes.setdefault(one["image_id"], []).append(row)
            for image in data["images"]:
                mine = boxes.get(image["id"], [])
                if mine:
                    corners = np.array([b for b, _ in mine], np.float32)
                    code = np.array([c for _, c in mine], np.int64)
                    picture = home / "images" / Path(image["file_name"]).name
                    fields.append(Field(picture, corners, code))
    if not fields:
        raise LabelError(f"{folder} holds no boxes to learn from. Accept some tags first.")
    return fields


def train(
    fields: Sequence[Field], classes: Sequence[str], epochs: int, device: str, task: Task
) -> Any:
    """Train a network of random weights on fields; gives it on its device."""
    import torch

    torch.manual_seed(_SEED)
    place = choose_device(device)
    net = build(len(classes)).to(place).train()
    optimiser = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=_RATE)
    rng = np.random.default_rng(_SEED)
    for epoch in range(epochs):
        order = rng.permutation(len(fields))
        for start in range(0, len(order), _BATCH):
            task.step(epoch * len(order) + start, epochs * len(order), "Training Faster R-CNN")
            batch = [fields[i] for i in order[start : start + _BATCH]]
            images = [_picture(f.path).to(place) for f in batch]
            wanted = [
                {"boxes": torch.from_numpy(f.boxes).to(place),
                 "labels": torch.from_numpy(f.code).to(place)}
                for f in batch
            ]  # fmt: skip
            loss = sum(net(images, wanted).values())
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
    return net


def save(path: Path, net: Any, classes: Sequence[str]) -> None:
    """Write a network as safetensors; raises `ExportError`."""
    from safetensors.torch import save as as_bytes

    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    meta = {"format": NETWORK, "classes": json.dumps(list(classes))}
    with replacing_file(path) as part:
        part.write_bytes(ordered(as_bytes(state, meta)))


def _codes(
    work: TaggedCandidates, detector: BoxDetector, apart: Sequence[str], task: Task
) -> NDArray[np.int64]:
    """The tag a network finds for each candidate of the patients set apart."""
    from histoprompt.core.readers.open import open_slide

    found = np.full(len(work), len(work.names), np.int64)
    for number, slide in enumerate(work.slides):
        if slide.patient in apart:
            here = np.flatnonzero(work.of == number)
            with open_slide(slide.path, slide.mpp) as opened:
                codes = detector.codes_at(opened, work.candidates.centres[here], task)
            found[here] = np.where(codes < 0, len(work.names), codes)
    return found


def _picture(path: Path) -> torch.Tensor:
    with Image.open(path) as image:
        return _tensor(np.asarray(image.convert("RGB")))


def _tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
