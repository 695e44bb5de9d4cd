"""Weights files of the project's own heads: float16 safetensors with the settings of decoding."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from histoprompt.core.errors import WeightsError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import Finite, Shape, parse_json
from histoprompt.core.files.tensors import ordered
from histoprompt.models.cells.familiar import Familiar
from histoprompt.models.cells.instances import DecodeParams
from histoprompt.models.cells.joining import SIGNS, Joining
from histoprompt.models.cells.probability import EVIDENCE, ProbabilityCalibration
from histoprompt.models.weights.checkpoints import DAMAGE

if TYPE_CHECKING:
    import torch

FORMAT = "histoprompt-heads-3"
READ = frozenset({FORMAT, "histoprompt-heads-2"})  # the second had U-Nets learnt from nothing


class _StatedLogistic(TypedDict):
    intercept: Finite
    weights: list[Finite]


class _StatedFamiliar(TypedDict):
    mean: list[Finite]
    directions: Annotated[list[list[Finite]], Field(min_length=1)]
    bound: Finite


_LOGISTIC: Shape[_StatedLogistic] = Shape(_StatedLogistic)
_FAMILIAR: Shape[_StatedFamiliar] = Shape(_StatedFamiliar)
_TRUST: Shape[list[list[float]]] = Shape(list[list[Finite]])
_STATED: Shape[dict[str, float]] = Shape(dict[str, Annotated[Finite, Field(ge=0)]])


@dataclass(frozen=True, eq=False)
class Heads:
    """What a weights file holds.

    Attributes
    ----------
    cells, prompt : dict of str to tensor
        States of `unet.NucleiNet` and `unet.PromptNet`.
    params : DecodeParams
        How the maps of nuclei become objects, chosen with the weights.
    calibration : ProbabilityCalibration or None
        How likely what was found is a nucleus.
    familiar : Familiar or None
        How fields to learn from looked to the network of nuclei.
    trust : tuple of (offset, slope) or None
        What the scores of the four masks of a prompt are worth, see `unet.fair`.
    """

    cells: dict[str, torch.Tensor]
    prompt: dict[str, torch.Tensor]
    params: DecodeParams
    calibration: ProbabilityCalibration | None = None
    familiar: Familiar | None = None
    trust: tuple[tuple[float, float], ...] | None = None


def save_heads(heads: Heads, path: Path) -> None:
    """Write heads; the file appears whole or not at all."""
    from safetensors.torch import save

    named = {f"cells.{k}": v for k, v in heads.cells.items()}
    named |= {f"prompt.{k}": v for k, v in heads.prompt.items()}
    tensors = {k: v.half().contiguous() for k, v in named.items() if v.is_floating_point()}
    with replacing_file(path) as part:
        # `save_file` would make a file that only its owner may read.
        meta = {"format": FORMAT, "decode": json.dumps(heads.params.numbers())}
        if heads.params.joining is not None:
            meta["joining"] = json.dumps(asdict(heads.params.joining))
        if heads.calibration is not None:
            meta["probability"] = json.dumps(asdict(heads.calibration))
        if heads.familiar is not None:
            meta["familiar"] = json.dumps(_plain(heads.familiar))
        if heads.trust is not None:
            meta["trust"] = json.dumps(heads.trust)
        part.write_bytes(ordered(save(tensors, meta)))


def read_heads(path: Path) -> Heads:
    """Read a weights file.

    Raises
    ------
    WeightsError
        If it is no file of this project's heads.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            meta = file.metadata() or {}
            tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, *DAMAGE) as error:
        raise WeightsError(f"{path} cannot be read as weights: {error}.") from error
    if meta.get("format") not in READ:
        raise WeightsError(
            f"{path} does not hold histoprompt's heads ({FORMAT}); "
            "choose a file that training with this version wrote."
        )
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise WeightsError(f"{path} is damaged: some of its weights are no numbers.")
    return Heads(
        _part(tensors, "cells."),
        _part(tensors, "prompt."),
        _decoding(meta, path),
        _calibration(meta, path),
        _familiar(meta, path),
        _trust(meta, path),
    )


def _decoding(meta: dict[str, str], path: Path) -> DecodeParams:
    """The settings of decoding that a file states; those it leaves out are the usual ones."""
    raw = parse_json(meta.get("decode", "{}"), str(path), WeightsError)
    params = DecodeParams.stated(_STATED.of(raw, f"{path}, decode", WeightsError))
    rule = _logistic(meta, "joining", len(SIGNS), path)
    return params if rule is None else replace(params, joining=Joining(*rule))


def _calibration(meta: dict[str, str], path: Path) -> ProbabilityCalibration | None:
    rule = _logistic(meta, "probability", len(EVIDENCE), path)
    return None if rule is None else ProbabilityCalibration(*rule)


def _logistic(
    meta: dict[str, str], name: str, count: int, path: Path
) -> tuple[float, tuple[float, ...]] | None:
    """Intercept and weights of a logistic function that a file states under a name, if it does."""
    if name not in meta:
        return None
    raw = parse_json(meta[name], str(path), WeightsError)
    stated = _LOGISTIC.of(raw, f"{path}, {name}", WeightsError)
    weights = tuple(stated["weights"])
    if len(weights) != count:
        raise WeightsError(
            f"{path}, {name}: {len(weights)} weights are stated, and {count} are needed."
        )
    return stated["intercept"], weights


def _plain(familiar: Familiar) -> dict[str, Any]:
    """Four digits are more than the weights have."""
    return {
        "mean": [float(f"{v:.4g}") for v in familiar.mean],
        "directions": [[float(f"{v:.4g}") for v in row] for row in familiar.directions],
        "bound": familiar.bound,
    }


def _familiar(meta: dict[str, str], path: Path) -> Familiar | None:
    if "familiar" not in meta:
        return None
    raw = parse_json(meta["familiar"], str(path), WeightsError)
    stated = _FAMILIAR.of(raw, f"{path}, familiar", WeightsError)
    mean = np.array(stated["mean"], np.float32)
    if {len(row) for row in stated["directions"]} != {len(mean)} or stated["bound"] <= 0:
        raise WeightsError(f"{path}, familiar: directions, mean and bound do not fit each other.")
    return Familiar(mean, np.array(stated["directions"], np.float32), stated["bound"])


def _trust(meta: dict[str, str], path: Path) -> tuple[tuple[float, float], ...] | None:
    if "trust" not in meta:
        return None
    raw = parse_json(meta["trust"], str(path), WeightsError)
    lines = _TRUST.of(raw, f"{path}, trust", WeightsError)
    if [len(line) for line in lines] != [2] * 4:
        raise WeightsError(f"{path}, trust: offset and slope of each of four masks are needed.")
    return tuple((offset, slope) for offset, slope in lines)


def networks(heads: Heads, path: Path) -> tuple[Any, Any]:
    """Both networks of a weights file, of nuclei and of prompts, with their values.

    Raises
    ------
    WeightsError
        If the file does not fit them.
    """
    from histoprompt.models.networks.unet import NucleiNet, prompt_net_of, trunk_of

    cells, prompt = NucleiNet(trunk_of(heads.cells)), prompt_net_of(heads.prompt)
    fill(cells, heads.cells, path)
    fill(prompt, heads.prompt, path)
    return cells, prompt


def fill(net: Any, state: dict[str, torch.Tensor], path: Path) -> None:
    """Put a state into a network.

    Raises
    ------
    WeightsError
        If it belongs to another architecture.
    """
    counters = {k for k in net.state_dict() if k.endswith("num_batches_tracked")}
    missing, unexpected = net.load_state_dict(state, strict=False)
    wrong = (set(missing) - counters) | set(unexpected)
    if wrong:
        raise WeightsError(
            f"{path} belongs to another architecture: {len(wrong)} names differ, "
            f"{sorted(wrong)[0]} among them."
        )


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
