"""`histoprompt train`: the project's own heads on a user's exports, or on the labels of a slide."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.options import add_mpp, add_trust_size
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.speech import tell
from histoprompt.core.errors import ExportError, LabelError
from histoprompt.training.label_params import LabelTrainingParams

if TYPE_CHECKING:
    from histoprompt.core.labels.classes import Classes
    from histoprompt.core.labels.sources import LabelSource

_STORE = "store"


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
    labels = train.add_argument_group(
        "on the labels of one slide", "as the Train dock does; the model is kept under its name"
    )
    labels.add_argument("--image", metavar="SLIDE")
    labels.add_argument(
        "--labels",
        default=_STORE,
        metavar="TIFF|DIR|store",
        help="a label image, what `count` wrote for the slide, or store: the committed objects",
    )
    add_parameters(labels, LabelTrainingParams)
    add_mpp(labels)
    add_trust_size(train)
    train.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> None:
    if args.image is not None:
        _train_on_slide(args)
        return
    # Training is the only command that needs torch for itself.
    from histoprompt.models.networks.lite_networks import shipped_heads
    from histoprompt.training.run import TrainConfig, read_config, train

    with shipped_heads() as shipped:
        if args.config:
            config = read_config(args.config)
        elif args.data and args.out:
            config = TrainConfig.going_on(args.data, args.out, args.start or shipped)
        else:
            raise ExportError(
                "Give --data DIR and --out FILE, a file with --config, or a slide with --image."
            )
        config = replace(config, trust_size=config.trust_size or args.trust_size)
        tell(f"Nuclei {train(config, args.task, resume=args.resume)}", page=True)
        tell(f"-> {config.out}")


def _train_on_slide(args: argparse.Namespace) -> None:
    from histoprompt.annotations.store import LabelStore
    from histoprompt.core.readers.open import open_slide
    from histoprompt.pipelines.exchange.from_store import shown_labels
    from histoprompt.pipelines.exchange.step import labels_at
    from histoprompt.training.on_labels import train_on_labels

    if args.data or args.config or args.out or args.start:
        raise ExportError("Train on exports (--data, --config) or on a slide (--image), not both.")
    params = read_parameters(LabelTrainingParams, args)

    def learn(labels: LabelSource, classes: Classes | None) -> None:
        made = train_on_labels(
            slide, labels, params, args.task, classes=classes, resume=args.resume
        )
        tell(str(made))
        tell(f"-> the model {made.card_id}")

    with open_slide(args.image, mpp=args.mpp, trust_size=args.trust_size) as slide:
        if args.labels != _STORE or Path(_STORE).exists():
            labels, classes, _ = labels_at(Path(args.labels), slide)
            learn(labels, classes)
            return
        with LabelStore.of(slide, read_only=True) as store:
            if not store.count:
                raise LabelError(
                    f"No object of {slide.name} is committed: there is nothing to learn."
                )
            learn(*shown_labels(store))
