"""The whole training, very short, from files to weights that load."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from skimage.io import imsave

torch = pytest.importorskip("torch")

from histoprompt.core.errors import Cancelled, LabelError  # noqa: E402
from histoprompt.core.task import Task  # noqa: E402
from histoprompt.training import run  # noqa: E402
from histoprompt.training.data import Annotated  # noqa: E402
from histoprompt.training.train_instances import (  # noqa: E402
    InstanceConfig,
    known_only,
    schedule,
)
from histoprompt.training.train_prompt import PromptConfig, window_origin  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / "data" / part).mkdir(parents=True)
    rows, cols = np.mgrid[:256, :256]
    for k in range(2):
        labels = np.zeros((256, 256), np.uint16)
        for value, (r, c) in enumerate(rng.integers(20, 236, (12, 2)), start=1):
            labels[(rows - r) ** 2 + (cols - c) ** 2 < 15**2] = value
        image = np.where(labels[..., None] > 0, [90, 60, 140], [230, 190, 210])
        image = (image + rng.normal(0, 5, image.shape)).clip(0, 255).astype(np.uint8)
        imsave(tmp_path / "data" / "images" / f"{k}.png", image, check_contrast=False)
        imsave(tmp_path / "data" / "masks" / f"{k}.tif", labels, check_contrast=False)
    return tmp_path


def short(folder):
    return run.TrainConfig(
        data=(folder / "data",),
        out=folder / "heads.safetensors",
        work=folder / "work",
        real=(folder / "data" / "images" / "0.png",),
        real_fields=1,
        threads=1,
        instances=InstanceConfig(steps=2, batch=2, report_every=1),
        prompts=PromptConfig(steps=2, objects=2, rounds=2, whole_every=2, report_every=1),
    )


def test_training_writes_weights_curves_and_a_record(folder):
    result = run.train(short(folder))
    assert 0 <= result.f1 <= 1
    from histoprompt.models.zoo import histoprompt_lite as lite

    cells = lite.load_cells(lite.CELLS, folder / "heads.safetensors", "cpu")
    assert cells.segment(np.full((256, 256, 3), 220, np.uint8)).shape == (256, 256)
    for name in ("instances-1", "instances-2", "prompts"):
        with (folder / "work" / f"{name}.csv").open(newline="") as file:
            steps = [int(r["step"]) for r in csv.DictReader(file)]
        assert steps == [1, 2]
    record = json.loads((folder / "work" / "run.json").read_text())
    assert record["held_out"]["f1"] == result.f1
    assert record["config"]["prompts"]["rounds"] == 2


def test_training_can_be_cancelled_and_leaves_no_weights(folder):
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        run.train(short(folder), task)
    assert not (folder / "heads.safetensors").exists()


def test_a_config_is_read_from_a_file(tmp_path):
    path = tmp_path / "train.toml"
    path.write_text(
        'data = ["d"]\nout = "w.safetensors"\nwork = "tmp"\nseed = 3\n'
        "[instances]\nsteps = 7\n[prompts]\nrate = 1e-5\n"
    )
    config = run.read_config(path)
    assert config.data == (tmp_path / "d",)
    assert config.out == tmp_path / "w.safetensors"
    assert (config.seed, config.instances.steps, config.prompts.rate) == (3, 7, 1e-5)


@pytest.mark.parametrize("text", ["data = [", 'data = ["d"]', 'data = ["d"]\nspeed = 3\n'])
def test_a_wrong_config_is_refused(tmp_path, text):
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(run.ConfigError, match="training config"):
        run.read_config(path)


def items(groups):
    return [Annotated("stained", g, str(k), None, None) for k, g in enumerate(groups)]


def test_the_held_out_group_is_never_learnt_from():
    learnt, held = run.split(items(["pink"] * 3 + ["purple"] * 10), "pink")
    assert not any(i.group == "pink" for i in learnt)
    assert sum(i.group == "pink" for i in held) == 3
    assert len(held) == 5
    assert not {i.name for i in learnt} & {i.name for i in held}


def test_one_image_is_too_few():
    with pytest.raises(LabelError, match="too few"):
        run.split(items(["a"]), "pink")


def test_the_rate_rises_and_falls():
    rates = [schedule(s, 1000) for s in range(1000)]
    assert rates[0] < rates[49] == pytest.approx(1)
    assert rates[-1] < 0.03
    assert np.argmax(rates) in (49, 50)


def test_objects_mostly_unknown_do_not_count():
    labels = np.zeros((4, 8), np.int32)
    labels[:, :4], labels[:, 4:] = 1, 2
    known = np.zeros((4, 8), bool)
    known[:, :5] = True
    assert np.unique(known_only(labels, known)).tolist() == [0, 1]


def test_windows_lie_on_the_grid_and_hold_the_object():
    mask = np.zeros((256, 256), bool)
    for place in ((3, 5), (120, 200), (250, 250)):
        mask[:] = False
        mask[place] = True
        r, c = window_origin(mask, 128)
        assert r % 4 == 0
        assert c % 4 == 0
        assert r <= place[0] < r + 128
        assert c <= place[1] < c + 128
