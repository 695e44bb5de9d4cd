"""A program that ends with a dock open: its labels are closed, and Qt has nothing to tell."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.gui

# The names stay until the interpreter ends, as they do in a console or a script of a user's.
SCRIPT = """
import numpy as np
from napari import Viewer
from histoprompt._qt.prompts.dock import PromptDock
viewer = Viewer(show=False)
viewer.add_image(np.zeros((64, 64, 3), np.uint8), name="picture", rgb=True)
dock = PromptDock(viewer)
viewer.window.add_dock_widget(dock, name="Prompt")
assert dock.annotator is not None
"""


def test_a_program_that_leaves_its_viewer_open_ends_quietly(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"HISTOPROMPT_HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
