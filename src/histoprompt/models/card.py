"""What is known of a model before it is loaded: pure data, cheap to import."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Literal

from histoprompt.core.prompts.prompt import PromptKind

Role = Literal["prompt", "cells", "text", "encoder", "sentence"]

# What the robustness index is about: among the nearest tiles, those of the same tissue from other
# hospitals against those of other tissue from the same hospital.
_HOSPITAL = "Features also encode the hospital: stain and scanner can pass for tissue."

# Greatest difference that half precision may make to a model's output, as a share of its size.
HALF_ERROR = 0.02


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository on the Hugging Face hub.

    Attributes
    ----------
    repo : str
        ``"owner/name"``.
    filename : str
        Its path in the repository.
    revision : str
        A commit where one is known, so that the file cannot change.
    gated : bool
        Whether the owner wants to be asked: a token of an account with access is needed.
    """

    repo: str
    filename: str
    revision: str = "main"
    gated: bool = False

    @property
    def page(self) -> str:
        """Where a person reads about the repository and asks for access."""
        return f"https://huggingface.co/{self.repo}"


@dataclass(frozen=True, slots=True)
class WeightsSpec:
    """One file of a model: where it comes from and how it is recognised.

    Attributes
    ----------
    filename : str
        The published name of the file; unique among models unless it is on the hub.
    source : str
        Where a person gets it: a URL or a page.
    n_bytes : int or None
        Published size; None where none is published.
    digest : str or None
        ``"sha256:..."``, ``"md5:..."`` or ``"xxh128:..."`` as published; None where none is.
    package : tuple of str or None
        (import name, path inside it) for weights that come inside an installed package.
    url : str or None
        Where the file itself is fetched from, if not from `source`.
    hub : HubFile or None
        The file on the Hugging Face hub, which then comes before `url`. See `on_hub`.
    n_params : int or None
        How many values it holds, each of four bytes; for its size where none is published.
    """

    filename: str
    source: str
    n_bytes: int | None = None
    digest: str | None = None
    package: tuple[str, str] | None = None
    url: str | None = None
    hub: HubFile | None = None
    n_params: int | None = None

    @property
    def approx_bytes(self) -> int | None:
        """Its size in bytes as published, else as its values take; None if neither is known."""
        return self.n_bytes if self.n_bytes is not None or not self.n_params else 4 * self.n_params

    @property
    def place(self) -> PurePosixPath:
        """Where it lies in the weights folder: hub files share names, so each repo has a folder."""
        if self.hub is None:
            return PurePosixPath(self.filename)
        return PurePosixPath(self.hub.repo.replace("/", "--")) / self.hub.filename


def on_hub(
    repo: str,
    filename: str,
    revision: str = "main",
    *,
    n_bytes: int | None = None,
    digest: str | None = None,
    gated: bool = False,
    n_params: int | None = None,
) -> WeightsSpec:
    """The spec of a file on the Hugging Face hub."""
    hub = HubFile(repo, filename, revision, gated)
    name = PurePosixPath(filename).name
    return WeightsSpec(name, hub.page, n_bytes, digest, hub=hub, n_params=n_params)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a user has to accept once before a model's weights are fetched or imported.

    Attributes
    ----------
    text : str
        The terms in plain words: research use only, non-commercial, no licence stated ...
    url : str
        Where the full text stands.
    """

    text: str
    url: str


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
    architecture : str
        Which network of its family it is; empty where the family has one.
    blueprint : str
        ``"module:function"`` called as ``function(card, spec)``: the `Blueprint` of one of its
        files, or None for a file without a network. Empty for a model that gives none: then a file
        of unknown digest is not looked at before it is loaded.
    program : str
        ``"module:function"`` called as ``function(card, weights_path)``: the file that runs code
        when it is loaded, which the user has to trust. Empty for weights that are tensors alone.
    accepts : frozenset of prompt kinds
        Prompts the model was trained for; empty for other roles.
    corrects : bool
        Whether it was trained to be shown its answer before (`Prompt.previous`), which it then
        corrects; others see the prompts alone.
    input_size : int
        Side in pixels of the image the network sees.
    licence : str
        Of the weights, with the code's where it differs.
    citation : str
        The paper or repository behind it.
    weights : WeightsSpec or None
        The file handed to the loader; None for a model without weights.
    others : tuple of WeightsSpec
        Further files it needs (decoder, vocabulary), which the loader gets from
        `weights.companion`.
    terms : Terms or None
        What must be accepted first; None for licences that allow any use.
    licence_url : str
        Where the licence stands; empty where none does.
    mpp : float or None
        Microns a pixel the model works best at; None if it does not care.
    crop_px : int
        Side in level-0 pixels of the smallest square handed to the model around one object.
    max_fill : float
        Largest share of the field's side an object may take before a larger field is chosen.
    amp_dtype : str or None
        The type the encoder computes in on a CUDA device, where that changes its output by less
        than `HALF_ERROR`; None for float32 everywhere.
    cpu_amp_dtype : str or None
        The same on a processor that multiplies this type faster than float32, where that changes
        the output by less than twice as much.
    window_stride : int
        Pixels between the windows, `input_size` a side, that a cell segmenter cuts an image into
        from its corner on; three quarters of `input_size` if not given.
    needs : tuple of str or None
        (import name, what to ``pip install``) of a package that is not installed with this one.
    n_params : int or None
        How many values, each of four bytes, the weights hold that such a package brings.
    words : tuple of str
        All texts a text scorer knows, for models that know a fixed list; empty for any text.
    algorithm : int
        Raised when the same weights give other cells than before: counts do not go on then.
    memory_mib : int
        First guess of weights + peak activations, until it has been measured.
    description : str
        One sentence on strengths and limits.
    robustness : float or None
        Of an encoder, the robustness index of PathoROB (2025), 0 to 1; None where
        none is published.
    """

    id: str
    role: Role
    title: str
    loader: str
    architecture: str = ""
    blueprint: str = ""
    program: str = ""
    accepts: frozenset[PromptKind] = frozenset()
    corrects: bool = False
    input_size: int = 0
    licence: str = ""
    citation: str = ""
    weights: WeightsSpec | None = None
    others: tuple[WeightsSpec, ...] = ()
    terms: Terms | None = None
    licence_url: str = ""
    mpp: float | None = None
    crop_px: int = 256
    max_fill: float = 0.6
    amp_dtype: Literal["float16", "bfloat16"] | None = None
    cpu_amp_dtype: Literal["bfloat16"] | None = None
    window_stride: int = 0
    needs: tuple[str, str] | None = None
    n_params: int | None = None
    words: tuple[str, ...] = ()
    algorithm: int = 1
    memory_mib: int = 256
    description: str = ""
    robustness: float | None = None

    @property
    def robustness_text(self) -> str:
        """How far its features are of the tissue and not of the hospital; empty of no encoder."""
        if self.role != "encoder":
            return ""
        if self.robustness is None:
            return f"No robustness index is published. {_HOSPITAL}"
        return f"Robustness index {self.robustness:.3f} of 1 (PathoROB). {_HOSPITAL}"

    @property
    def files(self) -> tuple[WeightsSpec, ...]:
        """All files the model needs, the loader's first; empty for a model without weights."""
        return () if self.weights is None else (self.weights, *self.others)

    @property
    def short_title(self) -> str:
        """The title without what stands in brackets."""
        return self.title.partition(" (")[0]

    @property
    def n_bytes(self) -> int | None:
        """Published size of all files together; None if there is none or one is not known."""
        return _sum([spec.n_bytes for spec in self.files])

    @property
    def approx_bytes(self) -> int | None:
        """As `n_bytes`, with what the parameters take for files whose size is not published."""
        return (
            4 * self.n_params if self.n_params else _sum([spec.approx_bytes for spec in self.files])
        )

    @property
    def windows(self) -> tuple[int, int] | None:
        """(size, step) in pixels of the windows of a cell segmenter that has any.

        Two images whose corners differ by whole steps are cut into the same windows.
        """
        if self.role != "cells" or not self.input_size:
            return None
        return self.input_size, self.window_stride or self.input_size * 3 // 4

    @property
    def missing(self) -> str:
        """What to ``pip install`` before the model can be used; empty if nothing."""
        if self.needs is None or find_spec(self.needs[0]) is not None:
            return ""
        return self.needs[1]


def _sum(sizes: list[int | None]) -> int | None:
    """Of all; None if there are none or one is not known."""
    return sum(size for size in sizes if size) if sizes and None not in sizes else None
