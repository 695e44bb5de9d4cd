"""`histoprompt train`: the project's own heads on a user's exports."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from histoprompt.cli.options import add_trust_size
from histoprompt.cli.speech import tell
from histoprompt.core.errors import ExportError


def add(train: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    train.add_argument("--data", nargs="+", type=Path, metavar="DIR", help="exported tiles")
    train.add_argument("--out", type=Path, metavar="FILE", help="weights to write (.safetensors)")
    train.add_argument(
        "--start", type=Path, metavar="FILE", help="heads to go on from; the shipped ones if none"
    )
    train.add_argument("--config", type=Path, metavar="TOML", help="every setting in a file")
    train.add_argument(
        "--resume", action="store_true", help="go on with a training that was broken off"
    )
    add_trust_size(train)
    train.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> None:
    # Training is the only command that needs torch for itself.
    from histoprompt.models.networks.lite_networks import shipped_heads
    from histoprompt.training.run import TrainConfig, read_config, train

    with shipped_heads() as shipped:
        if args.config:
            config = read_config(args.config)
        elif args.data and args.out:
            config = TrainConfig.going_on(args.data, args.out, args.start or shipped)
        else:
            raise ExportError("Give --data DIR and --out FILE, or a file with --config.")
        config = replace(config, trust_size=config.trust_size or args.trust_size)
        tell(f"Nuclei {train(config, args.task, resume=args.resume)}", page=True)
        tell(f"-> {config.out}")
