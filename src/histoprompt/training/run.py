"""The one command that trains the heads: `train`, from a config that can stand in a TOML file."""

from __future__ import annotations

import json
import logging
import reprlib
import tomllib
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from histoprompt.core.errors import HistopromptError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import Shape, read_text
from histoprompt.core.metrics import Agreement
from histoprompt.core.task import Task
from histoprompt.models.cells.instances import DecodeParams
from histoprompt.models.cells.probability import ProbabilityCalibration
from histoprompt.models.networks.head_files import Heads, fill, networks, read_heads, save_heads
from histoprompt.training.augment import Rgb
from histoprompt.training.batch import Share
from histoprompt.training.calibrate import (
    familiar_with,
    fit_calibration,
    fit_trust,
    judged,
    judged_clicks,
)
from histoprompt.training.data import plain_field
from histoprompt.training.evaluate import (
    Held,
    Outcome,
    choose_decoding,
    decoded,
    predict_maps,
)
from histoprompt.training.gather import STAINED_KINDS, PoolConfig, RealField
from histoprompt.training.imagenet import pretrained_encoder
from histoprompt.training.joins import learnt_joining
from histoprompt.training.loop import Stage, blended
from histoprompt.training.sets import SetConfig
from histoprompt.training.shares import (
    Learnt,
    annotated_shares,
    held_fields,
    real_fields,
    real_share,
    splits,
)
from histoprompt.training.train_nuclei import NucleiConfig, train_nuclei
from histoprompt.training.train_prompt import (
    Finder,
    PromptConfig,
    remembering,
    start_from,
    train_prompt,
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
    trust_size : bool
        Whether to read them however much memory their files ask for.
    held_out : str
        Group of `data` kept for choosing the decoding; every fifth image where there is none.
    real_weight, made_weight : float
        How often real fields, and nuclei put into tissue, are drawn beside annotated ones, whose
        weight is 1.
    teacher : Path or None
        Heads that label real fields from the beginning; without it the network does so half-way.
    cells_from : Path or None
        Heads whose network of nuclei stays as it is, with its decoding: the network of prompts
        alone is trained, and real fields are labelled by it.
    prompts_from : Path or None
        Heads whose network of prompts is trained on; without it a new one begins with the trunk of
        the network of nuclei.
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
    trust_size: bool = False
    held_out: str = "pink"
    real_weight: float = 0.6
    made_weight: float = 1.0
    teacher: Path | None = None
    cells_from: Path | None = None
    prompts_from: Path | None = None
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
    for name in ("out", "work", "start", "teacher", "cells_from", "prompts_from"):
        if name in out:
            out[name] = _place(name, out[name], base)
    for name in ("data", "real"):
        if name in out and not isinstance(out[name], list):
            raise TypeError(f"{name} must be a list of folders")
        if name in out:
            out[name] = tuple(_place(name, p, base) for p in out[name])
    out["sets"] = tuple(_set(one, base) for one in table.get("sets", []))
    tables = {"pool": PoolConfig, "nuclei": NucleiConfig, "prompts": PromptConfig}
    for name, kind in tables.items():
        if name in out and not isinstance(out[name], dict):
            raise TypeError(f"{name} must be a table")
        if name in out:
            out[name] = kind(**out[name])
    return out


def _place(name: str, value: Any, base: Path) -> Path:
    if not isinstance(value, str):
        raise TypeError(f"{name} must name files or folders, not {reprlib.repr(value)}")
    return base / value


def _set(table: dict[str, Any], base: Path) -> SetConfig:
    out = SetConfig(**table)
    return replace(out, folder=base / out.folder, held_out=tuple(out.held_out))


def train(config: TrainConfig, task: Task | None = None, *, resume: bool = False) -> Outcome:
    """Train both networks and write them.

    A pool of samples is made once. The network of nuclei is trained on it and on real tissue, which
    a teacher has labelled as far as it is sure, or the network itself after a first training; the
    decoding is chosen on the held-out images. Then the network of prompts is trained on all of it.

    Parameters
    ----------
    config : TrainConfig
    task : Task, optional
        Told of every step; cancels.
    resume : bool
        Go on with a training that was broken off, from what its `work` folder keeps.

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
    learnt, kept = splits(config)
    held = held_fields(kept)
    real = real_fields(config)
    start = None if config.start is None else read_heads(config.start)
    fixed = None if config.cells_from is None else read_heads(config.cells_from)
    cells, prompt = _networks(config, start)
    stage = Stage(config.work, "", task, resume)
    before = None if start is None else _checked(cells, held, start.params)

    shares = annotated_shares(learnt, real, config, task)
    if fixed is None:
        shares = _nuclei(cells, shares, real, config, stage)
    elif real:
        shares = [*shares, real_share(cells.eval(), real, config, task)]
    if start is None and config.prompts_from is None:
        start_from(prompt, cells)
    if start is not None and fixed is None:
        fill(cells, blended(start.cells, cells.state_dict(), config.keep), config.work)
    if fixed is None:
        params, after, calibration = _decoding(
            cells, held, learnt, start.params if start else DecodeParams(), stage
        )
    else:
        params, calibration = fixed.params, fixed.calibration
        after = decoded(_maps(cells, held), held, params)
    state = train_prompt(
        shares, prompt, Finder(cells, params), config.prompts, stage.named("prompts")
    )
    if start is not None:
        state = blended(start.prompt, state, config.keep)
    known = fixed or start
    familiar = known.familiar if known else familiar_with(cells, _learnt_images(learnt, real))
    fill(prompt, state, config.work)
    trust = fit_trust(*judged_clicks(prompt.cpu(), cells.cpu(), held, params))
    save_heads(Heads(_on_cpu(cells), state, params, calibration, familiar, trust), config.out)
    outcome = Outcome(tuple(held), tuple(after), before)
    _note(config, outcome)
    return outcome


def _nuclei(
    cells: Any,
    shares: list[Share],
    real: Sequence[RealField],
    config: TrainConfig,
    stage: Stage,
) -> list[Share]:
    """Train the network of nuclei in place; all that it learnt from is returned."""
    if real and config.teacher:
        teacher, _ = networks(read_heads(config.teacher), config.teacher)
        shares = [*shares, real_share(teacher.eval(), real, config, stage.task)]
    first = stage.named("nuclei-1")
    fill(cells, train_nuclei(shares, cells, config.nuclei, first), first.curve)
    if real and not config.teacher:
        shares = [*shares, real_share(cells, real, config, stage.task)]
        second = stage.named("nuclei-2")
        fill(cells, train_nuclei(shares, cells, config.nuclei, second), second.curve)
    return shares


def _decoding(
    cells: Any,
    held: Sequence[Held],
    learnt: Sequence[Learnt],
    begin: DecodeParams,
    stage: Stage,
) -> tuple[DecodeParams, list[Agreement], ProbabilityCalibration | None]:
    """The decoding that was chosen, now or before training was broken off, and what it gives.

    A rule that joins pieces stays as it was; without one it is fitted. The last is how likely what
    is found so is a nucleus.
    """
    maps = _maps(cells, held)
    path = stage.folder / "decoding.json"
    if stage.resume and _is_newest(path, stage.folder.glob("nuclei-*.ckpt")):
        stated = DecodeParams.stated(json.loads(path.read_text(encoding="utf-8")))
        params = replace(stated, joining=begin.joining)
    else:
        stage.task.step(0, 0, "choosing the decoding")
        params = choose_decoding(maps, held, begin)
        replace_file(path, json.dumps(params.numbers()))
    if params.joining is None:
        stage.task.step(0, 0, "fitting which pieces are one nucleus")
        params = learnt_joining(cells, learnt, maps, held, params)
    return params, decoded(maps, held, params), fit_calibration(judged(maps, held, params))


def _learnt_images(learnt: Sequence[Learnt], real: Sequence[RealField]) -> Iterator[Rgb]:
    """Stained images to learn from at 0.25 um/px, and real fields."""
    for one in learnt:
        yield from (plain_field(i).image for i in one.items if i.kind in STAINED_KINDS)
    yield from (field.image for field in real)


def _is_newest(path: Path, others: Iterable[Path]) -> bool:
    """Whether a file is there and no older than any of the others."""
    return path.exists() and all(path.stat().st_mtime_ns >= o.stat().st_mtime_ns for o in others)


def _checked(cells: Any, held: Sequence[Held], params: DecodeParams) -> tuple[Agreement, ...]:
    """How well a network does on each set."""
    return tuple(decoded(_maps(cells, held), held, params))


def _maps(cells: Any, held: Sequence[Held]) -> list[list[NDArray[np.float32]]]:
    """What a network sees in each sample of each set."""
    return [[predict_maps(cells, s.image) for s in one.samples] for one in held]


def _networks(config: TrainConfig, start: Heads | None) -> tuple[Any, Any]:
    """Both networks as training begins."""
    import torch

    from histoprompt.models.networks.unet import NucleiNet, PromptNet

    torch.manual_seed(config.seed)
    if start is not None and config.start is not None:
        cells, prompt = networks(start, config.start)
    else:
        cells, prompt = NucleiNet(), PromptNet()
        pretrained_encoder(cells.trunk.encoder)
    if config.cells_from is not None:
        cells, _ = networks(read_heads(config.cells_from), config.cells_from)
    if config.prompts_from is not None:
        _, prompt = networks(read_heads(config.prompts_from), config.prompts_from)
    return cells.to(config.device), remembering(prompt).to(config.device)


def _on_cpu(net: Any) -> dict[str, Any]:
    return {k: v.cpu() for k, v in net.state_dict().items()}


def _note(config: TrainConfig, outcome: Outcome) -> None:
    """Keep beside the curves what was run and what came out."""
    plain = {f.name: getattr(config, f.name) for f in fields(config)}
    plain |= {name: asdict(getattr(config, name)) for name in ("pool", "nuclei", "prompts")}
    plain["sets"] = [asdict(one) for one in config.sets]
    text = json.dumps({"config": plain, "held_out": outcome.figures()}, indent=1, default=str)
    replace_file(config.work / "run.json", text)
