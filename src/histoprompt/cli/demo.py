"""`histoprompt demo`: the sample slide in napari."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def add(demo: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    demo.add_argument("--headless", action="store_true", help="walk the path without a user")
    demo.add_argument("--out", type=Path, default=Path("demo_output"), metavar="DIR")
    demo.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> int:
    # A process of its own: Qt ends the whole process when there is no display.
    command = [sys.executable, "-m", "histoprompt._qt.demo", "--out", str(args.out)]
    return subprocess.call(command + (["--headless"] if args.headless else []))
