"""The real Faster R-CNN of torchvision, with random weights: trained a step, saved, used."""

import json

import numpy as np
import pytest
from PIL import Image

from histoprompt.core.errors import LabelError
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.tags.network_file import is_network
from histoprompt.training.box_detector import BoxDetector, read_fields, save, train


def test_it_learns_from_a_training_set_and_finds_boxes_in_a_slide(tmp_path):
    home = tmp_path / "set" / "coco" / "s"
    (home / "images").mkdir(parents=True)
    (home / "annotations").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(home / "images" / "a.png")
    data = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "b"}, {"id": 2, "name": "a"}],
        "annotations": [{"image_id": 1, "category_id": 2, "bbox": [10, 20, 30, 40]}],
    }
    (home / "annotations" / "instances_train.json").write_text(json.dumps(data))
    (field,) = read_fields(tmp_path / "set", ("a", "b"), ["s"])
    assert field.boxes.tolist() == [[10, 20, 40, 60]]
    assert field.code.tolist() == [1]
    net = train([field], ("a", "b"), 1, "cpu", Task())
    save(tmp_path / "net.safetensors", net, ("a", "b"))
    assert is_network(tmp_path / "net.safetensors")
    detector = BoxDetector.load(tmp_path / "net.safetensors", "cpu")
    assert detector.classes == ("a", "b")
    slide = Slide.from_arrays("s", [pixels], mpp=0.25, mpp_source="typed")
    for found in detector.find(slide, Task()):
        assert found.tag in ("a", "b")
        assert 0 <= found.row < 96
    boxes, codes, scores = detector.detect(pixels)
    assert len(boxes) == len(codes) == len(scores)
    with pytest.raises(LabelError, match="no boxes"):
        read_fields(tmp_path / "set", ("a", "b"), ["other"])
