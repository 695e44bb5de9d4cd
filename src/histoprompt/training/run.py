"""The one command that trains the heads: `train`, from a config that can stand in a TOML file."""

from __future__ import annotations

import json
import logging
import os
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.core.errors import HistopromptError, LabelError
from histoprompt.core.task import Task
from histoprompt.models.instances import DecodeParams
from histoprompt.models.zoo.head_files import Heads, fill, read_heads, save_heads
from histoprompt.training import gather, pseudo
from histoprompt.training.batch import Share
from histoprompt.training.data import Annotated, Sample, annotated_in, plain_field
from histoprompt.training.evaluate import Outcome, choose_decoding, predict_maps
from histoprompt.training.gather import PoolConfig
from histoprompt.training.imagenet import pretrained_encoder
from histoprompt.training.loop import blended
from histoprompt.training.pool import make_all
from histoprompt.training.sets import SetConfig, members, parted
from histoprompt.training.train_nuclei import NucleiConfig, train_nuclei
from histoprompt.training.train_prompt import PromptConfig, start_from, train_prompt

DECODINGS = tuple(
    DecodeParams(foreground=foreground, smooth=smooth, prominence=prominence, seed=seed)
    for foreground, smooth, prominence, seed in product(
        (0.5, 0.6), (2.0, 2.5), (0.05, 0.08), (0.2, 0.3)
    )
)

log = logging.getLogger(__name__)


class ConfigError(HistopromptError):
    """A training config cannot be read or asks for what there is not."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything a training run depends on.

    Attributes
    ----------
    data : tuple of Path
        Folders with annotated images of which nothing more is known, see `annotated_in`.
    sets : tuple of SetConfig
        Folders of which more is known, each with its own split.
    out : Path
        Weights to write (.safetensors).
    work : Path
        For samples and loss curves; may be kept for the next run.
    real : tuple of Path
        Slides and images of H&E without labels.
    real_mpp : float or None
        Their microns a pixel where the files do not say.
    real_fields : int
        Fields taken from each.
    held_out : str
        Group of `data` kept for choosing the decoding; every fifth image where there is none.
    real_weight, made_weight : float
        How often real fields, and nuclei put into tissue, are drawn beside annotated ones, whose
        weight is 1.
    teacher : Path or None
        Heads that label real fields from the beginning; without it the network does so half-way.
    start : Path or None
        Heads to go on from; fresh ones if None.
    keep : float
        Share that their values keep in the result, see `loop.blended`.
    threads : int
        Of torch.
    device : str
        Where networks run.
    """

    out: Path
    work: Path
    data: tuple[Path, ...] = ()
    sets: tuple[SetConfig, ...] = ()
    real: tuple[Path, ...] = ()
    real_mpp: float | None = None
    real_fields: int = 40
    held_out: str = "pink"
    real_weight: float = 0.6
    made_weight: float = 1.0
    teacher: Path | None = None
    start: Path | None = None
    keep: float = 0.5
    threads: int = 2
    device: str = "cpu"
    seed: int = 0
    pool: PoolConfig = field(default_factory=PoolConfig)
    nuclei: NucleiConfig = field(default_factory=NucleiConfig)
    prompts: PromptConfig = field(default_factory=PromptConfig)

    @classmethod
    def going_on(cls, data: Sequence[Path], out: Path, start: Path) -> TrainConfig:
        """A short training on a user's own images, from heads that know nuclei already."""
        return cls(
            out,
            out.with_name(out.stem + "-work"),
            tuple(data),
            start=start,
            pool=PoolConfig(variants=12, made=200, empty=20),
            nuclei=NucleiConfig(steps=300, rate=4e-4),
            prompts=PromptConfig(steps=200, rate=2e-4),
        )


def read_config(path: Path) -> TrainConfig:
    """Read a TOML file with the fields of `TrainConfig`; paths are relative to the file.

    Raises
    ------
    ConfigError
        If it is no TOML, or a field is unknown or missing.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a training config: {error}.") from error
    try:
        return TrainConfig(**_parsed(table, path.parent))
    except TypeError as error:
        raise ConfigError(f"{path} is no training config: {error}.") from error


def _parsed(table: dict[str, Any], base: Path) -> dict[str, Any]:
    out = dict(table)
    for name in ("out", "work", "start", "teacher"):
        if name in out:
            out[name] = base / out[name]
    for name in ("data", "real"):
        if name in out:
            out[name] = tuple(base / p for p in out[name])
    out["sets"] = tuple(
        SetConfig(**{**one, "folder": base / one["folder"], "held_out": tuple(one["held_out"])})
        for one in table.get("sets", [])
    )
    tables = {"pool": PoolConfig, "nuclei": NucleiConfig, "prompts": PromptConfig}
    for name, kind in tables.items():
        if name in out:
            out[name] = kind(**out[name])
    return out


def train(config: TrainConfig, task: Task | None = None) -> Outcome:
    """Train both networks and write them.

    A pool of samples is made once. The network of nuclei is trained on it, labels the real fields
    as far as it is sure, and is trained again with them; then the network of prompts is trained on
    all of it. The decoding is chosen on the held-out images.

    Returns
    -------
    Outcome
        How well the network of nuclei does on the held-out images.

    Raises
    ------
    LabelError
        If there are too few annotated images.
    """
    import torch

    task = task or Task()
    torch.set_num_threads(config.threads)
    config.work.mkdir(parents=True, exist_ok=True)
    learnt, checked = splits(config)
    real = _real(config)
    shares = _annotated_shares(learnt, real, config, task)
    held = [plain_field(i) for i in checked]
    start = None if config.start is None else read_heads(config.start)
    cells, prompt = _networks(config, start)
    before = None if start is None else choose_decoding(cells, held, [start.params])[1]

    if real and config.teacher:
        shares = [*shares, _real_share(_taught(config.teacher), real, config, task)]
    curve = config.work / "nuclei-1.csv"
    fill(cells, train_nuclei(shares, cells, config.nuclei, curve, task), curve)
    if real and not config.teacher:
        shares = [*shares, _real_share(cells, real, config, task)]
        curve = config.work / "nuclei-2.csv"
        fill(cells, train_nuclei(shares, cells, config.nuclei, curve, task), curve)
    choices = DECODINGS
    if start is None:
        start_from(prompt, cells)
    else:
        choices = (start.params, *choices)
        fill(cells, blended(start.cells, cells.state_dict(), config.keep), curve)
    params, after = choose_decoding(cells, held, choices)
    curve = config.work / "prompts.csv"
    state = train_prompt(shares, prompt, cells, config.prompts, curve, task=task)
    if start is not None:
        state = blended(start.prompt, state, config.keep)
    save_heads(Heads(_on_cpu(cells), state, params), config.out)
    outcome = Outcome(len(held), after, before)
    _note(config, outcome)
    return outcome


def split(
    items: Sequence[Annotated], held_out: str, every: int = 5
) -> tuple[list[Annotated], list[Annotated]]:
    """Images to learn from, and stained ones kept for checks.

    The whole group `held_out` is kept, and every fifth image of each other group.
    """
    held: list[Annotated] = []
    stained = [i for i in items if i.kind in gather.STAINED_KINDS]
    for group in sorted({i.group for i in stained}):
        members = [i for i in stained if i.group == group]
        held += members if group == held_out else members[::every]
    taken = {id(i) for i in held}
    learnt = [i for i in items if id(i) not in taken]
    if not learnt or not held:
        raise LabelError(
            f"Training needs annotated images to learn from and to check: {len(items)} is too few."
        )
    return learnt, held


def splits(config: TrainConfig) -> tuple[list[tuple[list[Annotated], float, int]], list[Annotated]]:
    """Images to learn from, a list for each set with its weight and variants, and those kept."""
    learnt: list[tuple[list[Annotated], float, int]] = []
    held: list[Annotated] = []
    for one in config.sets:
        more, kept = parted(members(one), one.held_out)
        learnt.append((more, one.weight, one.variants))
        held += kept
    if config.data:
        more, kept = split([i for d in config.data for i in annotated_in(d)], config.held_out)
        learnt.append((more, 1.0, config.pool.variants))
        held += kept
    if not held:
        raise LabelError("Training needs images to check on: name groups that are held out.")
    return learnt, held


def _real(config: TrainConfig) -> list[gather.RealField]:
    rng = np.random.default_rng(config.seed)
    return [
        f
        for path in config.real
        for f in gather.real_fields(path, config.real_mpp, config.real_fields, rng)
    ]


def _annotated_shares(
    learnt: Sequence[tuple[list[Annotated], float, int]],
    real: Sequence[gather.RealField],
    config: TrainConfig,
    task: Task,
) -> list[Share]:
    """A share for each set, and one for nuclei put into tissue and for glass."""
    pool, text = config.work / "pool", "making training fields"
    shares = []
    for number, (items, weight, variants) in enumerate(learnt):
        wanted = gather.stained_recipes(items, variants, (config.seed, number))
        shares.append(Share(make_all(wanted, pool, task, text), weight))
    items = [i for part, _, _ in learnt for i in part]
    made, empty = gather.made_recipes(items, real, config.pool, config.seed)
    shares.append(Share(make_all(made, pool, task, text), config.made_weight))
    return [*shares, Share(make_all(empty, pool, task, text), config.made_weight / 8)]


def _real_share(
    cells: Any, real: Sequence[gather.RealField], config: TrainConfig, task: Task
) -> Share:
    """Views of real fields with the labels the network is sure of."""
    labelled: list[Sample] = []
    for done, one in enumerate(real):
        task.step(done, len(real), "labelling real tissue")
        labels, known = pseudo.relabelled(one.image, predict_maps(cells, one.image, turns=8))
        labelled.append(Sample(one.image, labels, known, f"real/{one.name}"))
    wanted = gather.real_recipes(labelled, config.pool.views, config.seed)
    paths = make_all(wanted, config.work / "real", task, "making views of real tissue")
    return Share(paths, config.real_weight)


def _networks(config: TrainConfig, start: Heads | None) -> tuple[Any, Any]:
    """Both networks as training begins."""
    import torch

    from histoprompt.models.zoo.unet import NucleiNet, PromptNet

    torch.manual_seed(config.seed)
    cells, prompt = NucleiNet(), PromptNet()
    if start is None:
        pretrained_encoder(cells.trunk.encoder)
    elif config.start is not None:
        fill(cells, start.cells, config.start)
        fill(prompt, start.prompt, config.start)
    return cells.to(config.device), prompt.to(config.device)


def _taught(path: Path) -> Any:
    """The network of nuclei of a file, to label real tissue."""
    from histoprompt.models.zoo.unet import NucleiNet

    heads = read_heads(path)
    net = NucleiNet(heads.trunk)
    fill(net, heads.cells, path)
    return net.eval()


def _on_cpu(net: Any) -> dict[str, Any]:
    return {k: v.cpu() for k, v in net.state_dict().items()}


def _note(config: TrainConfig, outcome: Outcome) -> None:
    """Keep beside the curves what was run and what came out."""
    plain = {f.name: getattr(config, f.name) for f in fields(config)}
    plain |= {name: asdict(getattr(config, name)) for name in ("pool", "nuclei", "prompts")}
    plain["sets"] = [asdict(one) for one in config.sets]
    text = json.dumps({"config": plain, "held_out": asdict(outcome)}, indent=1, default=str)
    path = config.work / "run.json"
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
