"""Meters on the real machine, the choice of a device, and the footprint file."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from histoprompt.core.errors import ModelError
from histoprompt.models import devices as memory
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.devices import (
    MIB,
    RamMeter,
    choose_device,
    is_out_of_memory,
    meter_for,
    tensor_mib,
)
from histoprompt.models.memory.footprints import FootprintBook, first_guess


@contextmanager
def new_memory(mib):
    """Written memory asked of the system itself: malloc may hand out what earlier tests freed."""
    with mmap.mmap(-1, mib * MIB) as block:
        for start in range(0, mib * MIB, MIB):
            block[start : start + MIB] = b"x" * MIB
        yield


def test_the_ram_meter_sees_what_is_taken():
    meter = RamMeter()
    before = meter.used_mib()
    with new_memory(64):
        assert meter.used_mib() - before > 32
        assert meter.free_mib() > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a peak that can be reset")
def test_the_ram_meter_sees_a_peak_that_is_over():
    meter = RamMeter()
    meter.reset_peak()
    before = meter.used_mib()
    with new_memory(256):
        pass
    assert meter.used_mib() - before < 128
    assert meter.peak_mib() - before > 192
    meter.reset_peak()
    assert meter.peak_mib() - before < 128


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((9,), np.dtype(float)), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory: you tried"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("size mismatch for weight"), False),
        (ValueError("out of memory"), False),
    ],
)  # fmt: skip
def test_which_errors_mean_that_memory_is_short(error, expected):
    assert is_out_of_memory(error) is expected


def test_torchs_own_error_is_known():
    torch = pytest.importorskip("torch")
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_weights_are_counted_in_a_module_and_in_what_holds_one():
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(1024, 1024, bias=False)
    module.register_buffer("b", torch.zeros(512, 512, dtype=torch.float16))

    class Holder:
        def __init__(self):
            self.network, self.device = module, "cpu"

    class Model:
        def __init__(self):
            self.holder, self.again = Holder(), module

    assert tensor_mib(module) == tensor_mib(Holder()) == tensor_mib(Model()) == 4.5
    assert tensor_mib(object()) == tensor_mib(Holder) == 0


def test_devices_that_are_there_or_not():
    torch = pytest.importorskip("torch")
    assert choose_device("cpu") == "cpu"
    assert isinstance(meter_for("cpu"), RamMeter)
    with pytest.raises(ModelError, match="use cpu, cuda"):
        choose_device("tpu")
    if torch.cuda.is_available():
        assert choose_device("auto") == choose_device("cuda") == "cuda"
        assert meter_for("cuda").free_mib() > 0
        count = torch.cuda.device_count()
        with pytest.raises(ModelError, match=f"finds {count} CUDA"):
            choose_device(f"cuda:{count}")
    else:
        with pytest.raises(ModelError, match=r"finds 0 CUDA devices.*Use cpu or auto"):
            choose_device("cuda")
        assert choose_device("auto") in {"cpu", "mps"}


def test_choosing_the_processor_imports_no_torch():
    code = (
        "import sys; from histoprompt.models import devices, doctor\n"
        "from histoprompt.models.memory import manager\n"
        "devices.gpu_in_sight = lambda: False\n"
        "m = manager.ModelManager('auto'); assert m.device == 'cpu' and m.budget_mib > 0\n"
        "assert 'torch' not in sys.modules and 'napari' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_gpu_in_sight_that_torch_cannot_use_falls_back(monkeypatch):
    monkeypatch.setattr(memory, "gpu_in_sight", lambda: True)
    monkeypatch.setattr(memory, "_cuda_count", lambda: 0)
    monkeypatch.setattr(memory, "_has_mps", lambda: False)
    assert choose_device("auto") == "cpu"


# ---------------------------------------------------------------------- footprints

CARD = ModelCard("a", "prompt", "A", "m:f", memory_mib=300)


def test_the_first_guess_comes_from_the_card():
    assert first_guess(CARD).total_mib == 300
    assert first_guess(CARD).weights_mib == 0  # a model without weights
    for n_bytes, expected in ((100 * MIB, 100), (None, 150), (900 * MIB, 300)):
        spec = WeightsSpec("f", "s", n_bytes)
        guess = first_guess(ModelCard("a", "prompt", "A", "m:f", weights=spec, memory_mib=300))
        assert (guess.weights_mib, guess.total_mib) == (expected, 300)


def test_footprints_survive_and_are_told_apart(tmp_path):
    path = tmp_path / "new" / "footprints.json"
    book = FootprintBook(path)
    book.record_weights(CARD, "float32", "cpu", 50.04)
    book.record_peak(CARD, "float32", "cpu", 20)
    book.record_peak(CARD, "float32", "cpu", 10)
    again = FootprintBook(path)
    assert again.get(CARD, "float32", "cpu") == book.get(CARD, "float32", "cpu")
    assert again.get(CARD, "float32", "cpu").total_mib == 70
    assert again.get(CARD, "float16", "cpu") == again.get(CARD, "float32", "cuda")
    assert again.get(CARD, "float16", "cpu") == first_guess(CARD)
    assert [p.name for p in path.parent.iterdir()] == ["footprints.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '{"a|float32|cpu": 3}', '{"a|float32|cpu": {"peak_mib": "x"}}', "\x00\xff",
     '{"a|float32|cpu": {"peak_mib": -1, "weights_mib": Infinity}}'],
)  # fmt: skip
def test_a_damaged_file_is_the_same_as_none(tmp_path, text):
    path = tmp_path / "footprints.json"
    path.write_text(text, encoding="latin-1")
    book = FootprintBook(path)
    assert book.get(CARD, "float32", "cpu") == first_guess(CARD)
    book.record_peak(CARD, "float32", "cpu", 7)
    assert json.loads(path.read_text())["a|float32|cpu"]["peak_mib"] == 7


def test_a_place_that_cannot_be_written_costs_nothing_but_memory(tmp_path):
    (tmp_path / "file").write_text("in the way")
    book = FootprintBook(tmp_path / "file" / "footprints.json")
    book.record_peak(CARD, "float32", "cpu", 7)
    assert book.get(CARD, "float32", "cpu").peak_mib == 7
