"""The whole training, very short, from files to weights that load."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass, replace

import numpy as np
import pytest
from skimage.io import imsave

torch = pytest.importorskip("torch")

from histoprompt.core.errors import (  # noqa: E402
    Cancelled,
    LabelError,
    SlideTooLargeError,
    WeightsError,
)
from histoprompt.core.readers import open as opening  # noqa: E402
from histoprompt.core.slides.limits import Limits  # noqa: E402
from histoprompt.core.task import Task  # noqa: E402
from histoprompt.models.networks.head_files import read_heads  # noqa: E402
from histoprompt.models.networks.unet import NucleiNet, PromptNet  # noqa: E402
from histoprompt.training import run  # noqa: E402
from histoprompt.training.data import Annotated, annotated_in, plain_field  # noqa: E402
from histoprompt.training.evaluate import known_only, predict_maps  # noqa: E402
from histoprompt.training.gather import PoolConfig  # noqa: E402
from histoprompt.training.loop import blended, schedule  # noqa: E402
from histoprompt.training.prompt_targets import (  # noqa: E402
    pick_targets,
    redrawn,
    window_origin,
)
from histoprompt.training.shares import real_fields, split  # noqa: E402
from histoprompt.training.train_nuclei import NucleiConfig  # noqa: E402
from histoprompt.training.train_prompt import PromptConfig, start_from  # noqa: E402


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


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def short(folder):
    return run.TrainConfig(
        data=(folder / "data",),
        out=folder / "heads.safetensors",
        work=folder / "work",
        real=(folder / "data" / "images" / "0.png",),
        real_fields=1,
        threads=1,
        pool=PoolConfig(variants=2, made=1, empty=1, views=1),
        nuclei=NucleiConfig(steps=2, batch=2, report_every=1),
        prompts=PromptConfig(steps=2, objects=2, rounds=2, whole_every=2, report_every=1),
    )


def test_training_writes_weights_curves_and_a_record(folder):
    result = run.train(short(folder))
    (after,) = result.after
    assert 0 <= after.f1 <= 1
    assert result.before is None
    assert str(result).startswith("on 1 images of data that were held out: F1 ")
    assert (folder / "heads.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask()
    from histoprompt.models.zoo import histoprompt_lite as lite

    cells = lite.load_cells(lite.CELLS, folder / "heads.safetensors", "cpu")
    assert cells.segment(np.full((256, 256, 3), 220, np.uint8)).shape == (256, 256)
    for name in ("nuclei-1", "nuclei-2", "prompts"):
        with (folder / "work" / f"{name}.csv").open(newline="") as file:
            steps = [int(r["step"]) for r in csv.DictReader(file)]
        assert steps == [1, 2]
    record = json.loads((folder / "work" / "run.json").read_text())
    assert record["held_out"]["data"]["after"]["f1"] == after.f1
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
        "[nuclei]\nsteps = 7\n[pool]\nmade = 5\n[prompts]\nrate = 1e-5\n"
    )
    config = run.read_config(path)
    assert config.data == (tmp_path / "d",)
    assert config.out == tmp_path / "w.safetensors"
    assert (config.seed, config.nuclei.steps, config.prompts.rate) == (3, 7, 1e-5)
    assert config.pool.made == 5


@pytest.mark.parametrize("text", ["data = [", 'data = ["d"]', 'data = ["d"]\nspeed = 3\n'])
def test_a_wrong_config_is_refused(tmp_path, text):
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(run.ConfigError, match="training config"):
        run.read_config(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('out = 7\nwork = "w"', "out must name files or folders, not 7"),
        ('out = "o"\nwork = "w"\ndata = [[1]]', "data must name files or folders"),
        ('out = "o"\nwork = "w"\npool = 5', "pool must be a table"),
    ],
)
def test_a_setting_of_another_kind_is_named(tmp_path, text, said):
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(run.ConfigError, match=said):
        run.read_config(path)


def test_slides_of_any_size_are_trusted_where_that_is_said(tmp_path, monkeypatch):
    @dataclass(frozen=True)
    class Tight(Limits):
        side: float = 100

    monkeypatch.setattr(opening, "Limits", Tight)
    picture = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    imsave(tmp_path / "real.png", picture)
    config = run.TrainConfig(tmp_path / "o", tmp_path / "w", real=(tmp_path / "real.png",))
    with pytest.raises(SlideTooLargeError):
        real_fields(config)
    real_fields(replace(config, trust_size=True))


def items(groups):
    return [Annotated("stained", g, str(k), None, None) for k, g in enumerate(groups)]


def test_the_held_out_group_is_never_learnt_from():
    learnt, held = split(items(["pink"] * 3 + ["purple"] * 10), "pink")
    assert not any(i.group == "pink" for i in learnt)
    assert sum(i.group == "pink" for i in held) == 3
    assert len(held) == 5
    assert not {i.name for i in learnt} & {i.name for i in held}


def test_one_image_is_too_few():
    with pytest.raises(LabelError, match="too few"):
        split(items(["a"]), "pink")


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


def test_windows_hold_the_object():
    rng = np.random.default_rng(0)
    mask = np.zeros((256, 256), bool)
    for place in ((3, 5), (120, 200), (250, 250)):
        mask[:] = False
        mask[place] = True
        r, c = window_origin(mask, 128, rng)
        assert 0 <= r <= place[0] < r + 128 <= 256
        assert 0 <= c <= place[1] < c + 128 <= 256


@pytest.mark.parametrize("regions", [0.0, 1.0])
def test_targets_are_nuclei_or_regions(folder, regions):
    sample = plain_field(annotated_in(folder / "data")[0])
    targets = pick_targets(sample, 4, 128, regions, np.random.default_rng(0))
    assert targets
    for target in targets:
        assert target.mask.shape == target.known.shape == (128, 128)
        r, c = target.origin
        inside = sample.labels[r : r + 128, c : c + 128][target.mask]
        assert regions or len(np.unique(inside[inside > 0])) >= 1
        assert regions or (inside > 0).mean() > 0.5


def test_what_may_be_several_nuclei_is_no_target(folder):
    sample = plain_field(annotated_in(folder / "data")[0])
    sure = np.isin(sample.labels, (0, 1))
    sample = replace(sample, parted=sure)
    for seed in range(5):
        for target in pick_targets(sample, 4, 128, 0.0, np.random.default_rng(seed)):
            r, c = target.origin
            inside = sample.labels[r : r + 128, c : c + 128][target.mask]
            assert (inside == 1).mean() > 0.5


def test_another_hand_draws_the_same_object_closer_or_wider():
    rows, cols = np.mgrid[:64, :64]
    disc = (rows - 30) ** 2 + (cols - 33) ** 2 < 12**2
    rng = np.random.default_rng(0)
    radii = [np.sqrt(redrawn(disc, rng, chance=1).sum() / np.pi) for _ in range(100)]
    assert 9.5 < min(radii) < 11
    assert 13 < max(radii) < 14.5
    assert abs(np.mean(radii) - 12) < 0.4
    assert redrawn(disc, rng, chance=0) is disc


def test_a_thin_object_is_not_drawn_away():
    line = np.zeros((32, 32), bool)
    line[10, 4:28] = True
    rng = np.random.default_rng(0)
    assert all(redrawn(line, rng, chance=1, shift=2)[10, 4:28].any() for _ in range(40))


@pytest.mark.parametrize(
    ("trunk", "first", "deep"),
    [
        ("unet", "stem.0.weight", "encoder.2.1.second.0.weight"),
        ("efficientnet-lite0", "encoder.stem.0.weight", "encoder.stages.3.1.each.0.weight"),
    ],
)
def test_the_network_of_prompts_begins_with_what_nuclei_look_like(trunk, first, deep):
    cells, prompt = NucleiNet(trunk), PromptNet(trunk)
    start_from(prompt, cells)
    own, other = prompt.trunk.state_dict(), cells.trunk.state_dict()
    assert own[first][:, :3].equal(other[first])
    assert own[first].shape[1] == 3 + 3 + 5
    assert own[deep].equal(other[deep])


def test_turned_views_agree_where_the_network_does():
    torch.manual_seed(0)
    net = NucleiNet()
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    eight = predict_maps(net, image, turns=8)
    turned = predict_maps(net, np.rot90(image), turns=8)
    assert np.allclose(np.rot90(eight, axes=(1, 2)), turned, atol=1e-4)


def states(path):
    heads = read_heads(path)
    return {**heads.cells, **{f"p{k}": v for k, v in heads.prompt.items()}}


@pytest.mark.parametrize("stop", [1, 5])
def test_a_training_broken_off_goes_on_to_the_same_result(folder, stop):
    """What was reached is kept when a run is cancelled, within one network or the other."""
    config = replace(short(folder), real=())
    config = replace(
        config,
        nuclei=replace(config.nuclei, steps=3),
        prompts=replace(config.prompts, steps=3),
    )
    run.train(config)
    whole = states(config.out)
    other = replace(config, out=folder / "other.safetensors", work=folder / "other")
    seen = []

    def stopping(progress):
        if progress.text.startswith("training"):
            seen.append(progress.done)
            if len(seen) == stop + 2:
                task.cancel()

    task = Task(stopping)
    with pytest.raises(Cancelled):
        run.train(other, task)
    assert not other.out.exists()
    steps = []
    again = Task(lambda p: steps.append(p.done) if p.text.startswith("training") else None)
    run.train(other, again, resume=True)
    assert len(steps) < 8  # of both, with the ends
    assert all(v.equal(whole[k]) for k, v in states(other.out).items())
    assert read_heads(other.out).params == read_heads(config.out).params


def test_without_being_told_to_go_on_training_begins_anew(folder):
    config = replace(short(folder), real=())
    run.train(config)
    first = states(config.out)
    steps = []
    run.train(config, Task(lambda p: steps.append(p.text)))
    assert sum(text.startswith("training") for text in steps) > 4
    assert all(v.equal(first[k]) for k, v in states(config.out).items())


def test_what_was_kept_of_another_network_or_torn_is_refused(folder):
    config = replace(short(folder), real=())
    run.train(config)
    nuclei, prompts = (folder / "work" / f"{n}.ckpt" for n in ("nuclei-1", "prompts"))
    nuclei.write_bytes(prompts.read_bytes())
    with pytest.raises(WeightsError, match=r"nuclei-1\.ckpt cannot go on"):
        run.train(config, resume=True)
    nuclei.write_bytes(nuclei.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="damaged"):
        run.train(config, resume=True)


def test_prompts_may_go_on_from_other_heads_and_stay_as_they_are(folder):
    run.train(short(folder))
    first = read_heads(folder / "heads.safetensors")
    again = replace(
        short(folder),
        out=folder / "again.st",
        prompts_from=folder / "heads.safetensors",
        prompts=PromptConfig(steps=0),
    )
    run.train(again)
    kept = read_heads(folder / "again.st").prompt
    assert all(v.equal(kept[k]) for k, v in first.prompt.items())


def test_a_network_of_nuclei_may_stay_as_it_is_while_prompts_are_trained(folder):
    run.train(short(folder))
    first = read_heads(folder / "heads.safetensors")
    again = replace(
        short(folder),
        out=folder / "again.st",
        work=folder / "again",
        cells_from=folder / "heads.safetensors",
    )
    outcome = run.train(again)
    kept = read_heads(folder / "again.st")
    assert all(v.equal(kept.cells[k]) for k, v in first.cells.items())
    assert kept.params == first.params
    assert kept.calibration == first.calibration
    assert not all(v.equal(kept.prompt[k]) for k, v in first.prompt.items())
    assert sorted(p.name for p in (folder / "again").glob("*.csv")) == ["prompts.csv"]
    assert len(list((folder / "again" / "real").iterdir())) == 1
    assert len(outcome.after) == 1


def test_training_goes_on_from_heads(folder):
    run.train(short(folder))
    again = replace(short(folder), start=folder / "heads.safetensors", out=folder / "more.st")
    again = replace(again, nuclei=replace(again.nuclei, rate=0.0), real=())
    outcome = run.train(again)
    assert outcome.before is not None
    assert "(before: F1 " in str(outcome)
    before, after = (read_heads(folder / n).cells for n in ("heads.safetensors", "more.st"))
    assert all(before[k].equal(v) for k, v in after.items() if "running" not in k)


def test_what_goes_on_keeps_a_share_of_where_it_began(folder):
    run.train(short(folder))
    begun = read_heads(folder / "heads.safetensors")
    again = replace(short(folder), start=folder / "heads.safetensors", real=())
    for keep in (0.0, 1.0):
        run.train(replace(again, keep=keep, out=folder / f"{keep}.st"))
    fresh, kept = (read_heads(folder / f"{keep}.st") for keep in (0.0, 1.0))
    for part in ("cells", "prompt"):
        first, moved, same = (getattr(heads, part) for heads in (begun, fresh, kept))
        assert all(same[k].equal(v) for k, v in first.items())
        assert any(not moved[k].equal(v) for k, v in first.items())


def test_states_are_averaged_value_by_value():
    start = {"a": torch.tensor([0.0, 4.0]), "n": torch.tensor(3)}
    trained = {"a": torch.tensor([2.0, 0.0]), "n": torch.tensor(5)}
    mean = blended(start, trained, 0.25)
    assert mean["a"].tolist() == [1.5, 1.0]
    assert mean["n"].item() == 5
