"""The one command that trains the heads: `train`, from a config that can stand in a TOML file."""

from __future__ import annotations

import json
import logging
import tomllib
import typing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np
from pydantic import Field

from histoprompt.core.errors import HistopromptError, LabelError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import Shape, read_text
from histoprompt.core.task import Task
from histoprompt.models.cells.instances import DecodeParams
from histoprompt.models.networks.head_files import Heads, fill, read_heads, save_heads
from histoprompt.training import gather, pseudo
from histoprompt.training.batch import Share
from histoprompt.training.data import Annotated, Sample, annotated_in, plain_field
from histoprompt.training.evaluate import Outcome, choose_decoding, predict_maps
from histoprompt.training.gather import PoolConfig
from histoprompt.training.loop import blended
from histoprompt.training.pool import make_all
from histoprompt.training.train_nuclei import NucleiConfig, train_nuclei
from histoprompt.training.train_prompt import PromptConfig, start_from, train_prompt

DECODINGS = tuple(
    DecodeParams(foreground=foreground, smooth=smooth, prominence=prominence, seed=seed)
    for foreground, smooth, prominence, seed in product(
        (0.5, 0.6), (2.0, 2.5), (0.05, 0.08), (0.2, 0.3)
    )
)

# Settings of which there must be one, whatever is trained.
_ONE_AT_LEAST = frozenset(
    {"steps", "batch", "report_every", "objects", "rounds", "window", "whole_every", "real_fields"}
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
        Folders with annotated images, see `annotated_in`.
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
        Background group kept for choosing the decoding; every fifth image where there is none.
    real_weight : float
        How often real fields are drawn beside annotated ones, whose weight is 1.
    start : Path or None
        Heads to go on from; fresh ones if None.
    keep : float
        Share that their values keep in the result, see `loop.blended`.
    threads : int
        Of torch.
    device : str
        Where networks run.
    """

    data: typing.Annotated[tuple[Path, ...], Field(min_length=1)]
    out: Path
    work: Path
    real: tuple[Path, ...] = ()
    real_mpp: float | None = None
    real_fields: int = 40
    held_out: str = "pink"
    real_weight: float = 0.6
    start: Path | None = None
    keep: typing.Annotated[float, Field(ge=0, le=1)] = 0.5
    threads: typing.Annotated[int, Field(ge=1, le=1024)] = 2
    device: Literal["cpu", "cuda", "mps"] = "cpu"
    seed: typing.Annotated[int, Field(lt=2**32)] = 0
    pool: PoolConfig = field(default_factory=PoolConfig)
    nuclei: NucleiConfig = field(default_factory=NucleiConfig)
    prompts: PromptConfig = field(default_factory=PromptConfig)

    @classmethod
    def going_on(cls, data: Sequence[Path], out: Path, start: Path) -> TrainConfig:
        """A short training on a user's own images, from heads that know nuclei already."""
        return cls(
            tuple(data),
            out,
            out.with_name(out.stem + "-work"),
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
    text = read_text(path, ConfigError)
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as a training config: {error}.") from error
    try:
        config = TrainConfig(**_parsed(table, path.parent))
    except TypeError as error:
        raise ConfigError(f"{path} is no training config: {error}.") from error
    _check_kinds(config, path)
    return config


def _check_kinds(config: Any, path: Path, name: str = "") -> None:
    """Refuse settings of another kind than their field, or out of its bounds."""
    for field_name, kind in get_type_hints(type(config), include_extras=True).items():
        value, place = getattr(config, field_name), f"{name}{field_name}"
        if is_dataclass(kind):
            _check_kinds(value, path, f"{place}.")
            continue
        Shape[Any](kind).of(value, f"{path}: {place}", ConfigError)
        if isinstance(value, int | float):
            least = 1 if field_name in _ONE_AT_LEAST else 0
            if not least <= value < float("inf"):
                raise ConfigError(f"{path}: {place} is {value}; it must be {least} or more.")
        texts = [str(v) for v in value] if isinstance(value, tuple) else [str(value)]
        if any("\0" in text for text in texts):
            raise ConfigError(f"{path}: {place} holds a character that no name may hold.")


def _parsed(table: dict[str, Any], base: Path) -> dict[str, Any]:
    out = dict(table)
    for name in ("out", "work", "start"):
        if name in out:
            out[name] = base / out[name]
    for name in ("data", "real"):
        if name in out and not isinstance(out[name], list):
            raise TypeError(f"{name} must be a list of folders")
        if name in out:
            out[name] = tuple(base / p for p in out[name])
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
    learnt, checked = split([i for d in config.data for i in annotated_in(d)], config.held_out)
    real = _real(config)
    shares = _annotated_shares(learnt, real, config, task)
    held = [plain_field(i) for i in checked]
    start = None if config.start is None else read_heads(config.start)
    cells, prompt = _networks(config, start)
    before = None if start is None else choose_decoding(cells, held, [start.params])[1]

    curve = config.work / "nuclei-1.csv"
    fill(cells, train_nuclei(shares, cells, config.nuclei, curve, task), curve)
    if real:
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


def _real(config: TrainConfig) -> list[gather.RealField]:
    rng = np.random.default_rng(config.seed)
    return [
        f
        for path in config.real
        for f in gather.real_fields(path, config.real_mpp, config.real_fields, rng)
    ]


def _annotated_shares(
    items: Sequence[Annotated], real: Sequence[gather.RealField], config: TrainConfig, task: Task
) -> list[Share]:
    wanted = gather.recipes(items, real, config.pool, config.seed)
    paths = make_all(wanted, config.work / "pool", task, "making training fields")
    return [Share(paths)]


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

    from histoprompt.models.networks.unet import NucleiNet, PromptNet

    torch.manual_seed(config.seed)
    cells, prompt = NucleiNet(), PromptNet()
    if start is not None and config.start is not None:
        fill(cells, start.cells, config.start)
        fill(prompt, start.prompt, config.start)
    return cells.to(config.device), prompt.to(config.device)


def _on_cpu(net: Any) -> dict[str, Any]:
    return {k: v.cpu() for k, v in net.state_dict().items()}


def _note(config: TrainConfig, outcome: Outcome) -> None:
    """Keep beside the curves what was run and what came out."""
    plain = {f.name: getattr(config, f.name) for f in fields(config)}
    plain |= {name: asdict(getattr(config, name)) for name in ("pool", "nuclei", "prompts")}
    text = json.dumps({"config": plain, "held_out": asdict(outcome)}, indent=1, default=str)
    replace_file(config.work / "run.json", text)
