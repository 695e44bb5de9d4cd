"""The tutorials' commands and Python do what the pages say: they are run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).resolve().parents[1] / "docs" / "tutorials"
# What the last step of a page leaves behind.
RESULTS = {
    "first_slide": ("labels.tif", "for_qupath"),
    "words_to_regions": ("words/heatmap_1.tif", "marked/regions.geojson", "counts/slide/cells.csv"),
    "count": ("classified.csv", "counts/slide/audit.csv", "stained/colon/report.html"),
    "train_on_my_tiles": ("before", "my_heads.safetensors", "counts/slide/report.html"),
}


def blocks(page: Path) -> list[tuple[str, str]]:
    """The shell and Python of a page."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def script(page: Path) -> str:
    """One shell script that walks the page; Python blocks are scripts of their own in it."""
    lines = ["set -euo pipefail"]
    for kind, block in blocks(page):
        lines.append(f"python - <<'PYTHON'\n{block}PYTHON" if kind == "python" else block)
    return "\n".join(lines)


def test_every_tutorial_is_run() -> None:
    assert {page.stem for page in TUTORIALS.glob("*.md")} == {*RESULTS, "index"}


@pytest.mark.parametrize("name", RESULTS)
def test_a_tutorial_works(name: str, tmp_path: Path) -> None:
    tools = str(Path(sys.executable).parent)
    env = os.environ | {
        "PATH": os.pathsep.join([tools, os.environ["PATH"]]),
        "HISTOPROMPT_HOME": str(tmp_path / "home"),
    }
    command = ["bash", "-c", script(TUTORIALS / f"{name}.md")]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [part for part in RESULTS[name] if not (tmp_path / part).exists()]
