"""`histoprompt doctor`: check this machine."""

from __future__ import annotations

import argparse

from histoprompt.cli.options import add_device
from histoprompt.cli.remedies import way
from histoprompt.cli.speech import tell
from histoprompt.models.doctor import examine
from histoprompt.models.memory.manager import ModelManager


def add(doctor: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    doctor.add_argument("--quick", action="store_true", help="do not time a model")
    add_device(doctor)
    doctor.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    findings = examine(ModelManager(device=args.device), measure=not args.quick)
    for item in findings:
        tell(f"[{item.state:>4}] {item.name}: {item.value}")
        if item.advice:
            then = "" if item.remedy is None else f" {way(item.remedy, item.about)}"
            tell(f"       {item.advice}{then}")
    return int(any(item.state == "fail" for item in findings))
