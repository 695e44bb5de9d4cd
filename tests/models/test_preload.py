"""Importing torch beside a living process: the collector, the lock and another LLVM."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest

from histoprompt.models import preload
from histoprompt.models.preload import preload_torch, smooth_import


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_collector_rests_within_and_works_again_after():
    assert gc.isenabled()
    with smooth_import():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_the_collector_works_again_after_an_error_and_stays_off_if_it_was():
    with pytest.raises(ImportError), smooth_import():
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    try:
        with smooth_import():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_was_made_within_is_still_collected():
    freed = threading.Event()

    class Ring:
        def __init__(self):
            self.me = self

        def __del__(self):
            freed.set()

    with smooth_import():
        Ring()
    assert not freed.is_set()
    gc.collect()
    assert freed.is_set()


def test_nothing_is_imported_and_the_import_still_works():
    code = (
        "import sys; from histoprompt.models.preload import preload_torch; preload_torch()\n"
        "assert 'torch' not in sys.modules and 'triton' not in sys.modules\n"
        "import torch, torchvision; assert float(torch.ones(3).sum()) == 3; print('fine')"
    )
    assert "fine" in python(code).stdout


def test_a_package_that_is_not_there_is_left_to_the_import():
    assert preload._files("no_such_package", "*.so") == []
    preload._dlopen(preload.Path("/no/such/library.so"), 1)  # no error, no crash
    preload_torch()


@pytest.mark.skipif(sys.platform != "linux", reason="Mesa's drivers are a matter of Linux")
def test_triton_and_mesa_live_in_one_process():
    """With Mesa's LLVM loaded the way a driver loads it, triton must still come up."""
    code = (
        "import ctypes, ctypes.util, glob, os, sys\n"
        "found = sorted(glob.glob('/usr/lib/*/libLLVM*.so*') + glob.glob('/usr/lib64/libLLVM*'))\n"
        "if not found: print('no LLVM'); sys.exit()\n"
        "ctypes.CDLL(found[-1], mode=os.RTLD_GLOBAL)\n"
        "from histoprompt.models.preload import has_foreign_llvm, preload_torch\n"
        "assert has_foreign_llvm()\n"
        "preload_torch()\n"
        "import triton; print('fine')"
    )
    done = python(code)
    if "no LLVM" in done.stdout or "No module named 'triton'" in done.stderr:
        pytest.skip("this machine has no LLVM library of its own, or no triton")
    assert "fine" in done.stdout, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_without_graphics_has_no_other_llvm():
    code = "from histoprompt.models.preload import has_foreign_llvm; print(has_foreign_llvm())"
    assert python(code).stdout.strip() == "False"
