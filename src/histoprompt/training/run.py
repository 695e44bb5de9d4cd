"""The one command that trains the heads: `train`, from a config that can stand in a TOML file."""

from __future__ import annotations

import json
import logging
import os
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.core.errors import HistopromptError, LabelError
from histoprompt.core.task import Task
from histoprompt.models.instances import DecodeParams
from histoprompt.training import gather, pseudo
from histoprompt.training.data import Annotated, annotated_in
from histoprompt.training.encode import Encoded
from histoprompt.training.train_instances import (
    Agreement,
    InstanceConfig,
    evaluate,
    predict_maps,
    train_instances,
)
from histoprompt.training.train_prompt import PromptConfig, train_prompt

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
        For embeddings, loss curves and states of stages; may be kept for the next run.
    real : tuple of Path
        Slides and images of H&E without labels.
    real_mpp : float or None
        Their microns a pixel where the files do not say.
    real_fields : int
        Fields taken from each.
    held_out : str
        Background group kept for choosing the decoding; every fifth image where there is none.
    variants : int
        How often each annotated image is drawn.
    start : Path or None
        Heads to go on from; the published LiteMedSAM decoder and a fresh instance head if None.
    threads : int
        Of torch.
    device : str
        Where networks run.
    """

    data: tuple[Path, ...]
    out: Path
    work: Path
    real: tuple[Path, ...] = ()
    real_mpp: float | None = None
    real_fields: int = 40
    held_out: str = "pink"
    variants: int = 1
    start: Path | None = None
    threads: int = 2
    device: str = "cpu"
    seed: int = 0
    instances: InstanceConfig = field(default_factory=InstanceConfig)
    prompts: PromptConfig = field(default_factory=PromptConfig)


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
    for name in ("out", "work", "start"):
        if name in out:
            out[name] = base / out[name]
    for name in ("data", "real"):
        if name in out:
            out[name] = tuple(base / p for p in out[name])
    if "instances" in out:
        out["instances"] = InstanceConfig(**out["instances"])
    if "prompts" in out:
        out["prompts"] = PromptConfig(**out["prompts"])
    return out


def train(config: TrainConfig, task: Task | None = None) -> Agreement:
    """Train both heads and write them.

    Annotated fields and real ones with pseudo-labels are encoded once; the instance decoder is
    trained, labels the real fields anew and is trained again on a changed view of them; then the
    prompt decoder is trained. The decoding is chosen on the held-out images.

    Returns
    -------
    Agreement
        Of the instance decoder with the held-out images.

    Raises
    ------
    LabelError
        If there are too few annotated images.
    """
    import torch

    from histoprompt.models.zoo.heads import InstanceHead
    from histoprompt.models.zoo.histoprompt_lite import Heads, save_heads
    from histoprompt.models.zoo.lite_encoder import load_published

    task = task or Task()
    torch.set_num_threads(config.threads)
    config.work.mkdir(parents=True, exist_ok=True)
    net = load_published(config.device)
    learnt, checked = split([i for d in config.data for i in annotated_in(d)], config.held_out)
    real = _real(config)
    cache = config.work / "embeddings"
    recipes = gather.recipes(learnt, real, config.variants, config.seed)
    taught = gather.encode_all(net, recipes, cache, task, "encoding annotated images")
    held = gather.encode_all(
        net, gather.plain_recipes(checked), cache, task, "encoding held-out images"
    )
    unlabelled = [gather.pseudo_sample(net, f) for f in real]

    start = _start(config, net)
    curve = config.work / "instances-1.csv"
    cells = train_instances(
        [*taught, *unlabelled],
        config.instances,
        curve,
        task=task,
        start=start[0],
        device=config.device,
    )
    head = InstanceHead().to(config.device)
    head.load_state_dict(cells)
    if unlabelled:
        views = _second_views(net, head, unlabelled, config, task)
        curve = config.work / "instances-2.csv"
        cells = train_instances(
            [*taught, *views], config.instances, curve, task=task, start=cells, device=config.device
        )
        head.load_state_dict(cells)
        taught = [*taught, *views]
    params, result = choose_decoding(head, held)
    prompt = start[1].to(config.device)
    state = train_prompt(
        taught, prompt, head, config.prompts, config.work / "prompts.csv", task=task
    )
    save_heads(Heads(cells, state, params), config.out)
    _note(config, result)
    return result


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


def _start(config: TrainConfig, published: Any) -> tuple[dict[str, Any] | None, Any]:
    """State of the instance head (or None) and the prompt head to start from."""
    from histoprompt.models.zoo.heads import PromptHead
    from histoprompt.models.zoo.histoprompt_lite import read_heads

    prompt = PromptHead()
    if config.start is None:
        prompt.prompt_encoder.load_state_dict(published.prompt_encoder.state_dict())
        prompt.mask_decoder.load_state_dict(published.mask_decoder.state_dict())
        return None, prompt
    heads = read_heads(config.start)
    prompt.load_state_dict(heads.prompt)
    return heads.cells, prompt


def _second_views(
    net: Any, head: Any, real: Sequence[Encoded], config: TrainConfig, task: Task
) -> list[Encoded]:
    """Real fields as the trained head labels them, looked at anew with other stains."""
    rng = np.random.default_rng([config.seed, 2])
    out: list[gather.Recipe] = []
    for k, item in enumerate(real):
        labels, known = pseudo.relabelled(predict_maps(head, item), DecodeParams())
        sample = gather.noisy_view(replace(item.sample, labels=labels, known=known), rng)
        out.append(gather.Recipe(f"real-{k}", lambda sample=sample: sample))
    folder = config.work / "second-views"
    return gather.encode_all(net, out, folder, task, "encoding real tissue again")


def choose_decoding(head: Any, held: Sequence[Encoded]) -> tuple[DecodeParams, Agreement]:
    """The thresholds with the best F1 less the count bias on held-out fields."""
    best: tuple[float, DecodeParams, Agreement] | None = None
    for smooth, seed, prominence in product((1.0, 1.5, 2.0), (0.15, 0.25, 0.35), (0.05, 0.1)):
        params = DecodeParams(smooth=smooth, seed=seed, prominence=prominence)
        result = evaluate(head, held, params)
        value = result.f1 - 0.5 * abs(result.bias)
        if best is None or value > best[0]:
            best = (value, params, result)
    assert best is not None
    log.info("decoding %s: %s", best[1], best[2])
    return best[1], best[2]


def _note(config: TrainConfig, result: Agreement) -> None:
    """Keep beside the curves what was run and what came out."""
    plain = {f.name: getattr(config, f.name) for f in fields(config)}
    plain |= {"instances": asdict(config.instances), "prompts": asdict(config.prompts)}
    text = json.dumps({"config": plain, "held_out": asdict(result)}, indent=1, default=str)
    path = config.work / "run.json"
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
