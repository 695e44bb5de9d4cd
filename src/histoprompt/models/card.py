"""What is known of a model before it is loaded: pure data, cheap to import."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from histoprompt.core.prompt import PromptKind

Role = Literal["prompt", "cells", "text", "encoder", "classifier"]


@dataclass(frozen=True, slots=True)
class WeightsSpec:
    """Where a model's weights come from and how they are recognised.

    Attributes
    ----------
    filename : str
        The published name of the file.
    source : str
        Where a person gets it: a URL or a page.
    n_bytes : int or None
        Published size; None where none is published.
    digest : str or None
        ``"sha256:..."``, ``"md5:..."`` or ``"xxh128:..."`` as published; None where none is.
    package : tuple of str or None
        (import name, path inside it) for weights that come inside an installed package.
    """

    filename: str
    source: str
    n_bytes: int | None = None
    digest: str | None = None
    package: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The facts of one model.

    Attributes
    ----------
    id : str
        Stable name for the command line and recipes.
    role : Role
        What it can be used for.
    title : str
        For people.
    loader : str
        ``"module:function"`` called as ``function(card, weights_path, device)``.
    accepts : frozenset of prompt kinds
        Prompts the model was trained for; empty for other roles.
    input_size : int
        Side in pixels of the image the network sees.
    licence : str
        Of the weights, with the code's where it differs.
    citation : str
        The paper or repository behind it.
    weights : WeightsSpec or None
        None for a model without weights.
    mpp : float or None
        Microns a pixel the model works best at; None if it does not care.
    field : int
        Side in level-0 pixels of the smallest square handed to the model around one object.
    reach : float
        Largest share of the field's side an object may take before a larger field is chosen.
    step : int
        Pixels between the windows, `input_size` a side, that a cell segmenter cuts an image into
        from its corner on; three quarters of `input_size` if not given.
    needs : tuple of str or None
        (import name, what to ``pip install``) of a package that is not installed with this one.
    words : tuple of str
        All texts a text scorer knows, for models that know a fixed list; empty for any text.
    memory_mib : int
        First guess of weights + peak activations, until it has been measured.
    description : str
        One sentence on strengths and limits.
    """

    id: str
    role: Role
    title: str
    loader: str
    accepts: frozenset[PromptKind] = frozenset()
    input_size: int = 0
    licence: str = ""
    citation: str = ""
    weights: WeightsSpec | None = None
    mpp: float | None = None
    field: int = 256
    reach: float = 0.6
    step: int = 0
    needs: tuple[str, str] | None = None
    words: tuple[str, ...] = ()
    memory_mib: int = 256
    description: str = ""

    @property
    def windows(self) -> tuple[int, int] | None:
        """(size, step) in pixels of the windows of a cell segmenter that has any.

        Two images whose corners differ by whole steps are cut into the same windows.
        """
        if self.role != "cells" or not self.input_size:
            return None
        return self.input_size, self.step or self.input_size * 3 // 4

    @property
    def missing(self) -> str:
        """What to ``pip install`` before the model can be used; empty if nothing."""
        if self.needs is None or find_spec(self.needs[0]) is not None:
            return ""
        return self.needs[1]
