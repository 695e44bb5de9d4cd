"""All nuclei by the instance decoders of PathoSAM and micro-sam ("AIS").

The decoder turns SAM's embedding into three maps; seeds are where both distances are small, and a
watershed grows them. Recipe: computational-cell-analytics/micro-sam, ``instance_segmentation.py``,
with its published thresholds; tiles as patho-sam has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.measure import label
from skimage.segmentation import relabel_sequential, watershed

from histoprompt.models.blueprint import WRAPPERS, Blueprint
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.cells.windowed import Stepped, windows
from histoprompt.models.networks.fitting import InputFit, Prepare, bilinear_matrix
from histoprompt.models.zoo import sam
from histoprompt.models.zoo.family import check_image

if TYPE_CHECKING:
    from histoprompt.models.networks.unetr import InstanceDecoder

# Tiles, and the windows around them that the network sees: those of the card.
TILE, HALO = 384, 64
WINDOW = TILE + 2 * HALO
THRESHOLD = 0.5
FOREGROUND_SIGMA, DISTANCE_SIGMA = 1.0, 1.6
# Under which a file of a training run keeps the decoder beside SAM.
_IN_ONE_FILE = "decoder_state"


class DecodedCells(Stepped):
    """A `CellSegmenter` made of SAM's encoder and an instance decoder.

    Parameters
    ----------
    encoder, decoder : torch.nn.Module
        Image to embedding, embedding to three maps; in evaluation mode on `device`.
    side : int
        Of the encoder's input.
    device : str
    prepare : callable
        As for `SamFamily`.
    """

    def __init__(
        self, encoder: Any, decoder: Any, side: int, device: str, prepare: Prepare = sam.prepare
    ) -> None:
        super().__init__()
        self._encoder = encoder
        self._decoder = decoder
        self._side = side
        self._device = device
        self._prepare = prepare

    def segment(self, image: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Label the nuclei of an (h, w, 3) uint8 RGB image; see `CellSegmenter.segment`.

        Images larger than a tile are looked at tile by tile; the watershed sees all of it.

        Raises
        ------
        ModelError
            If the array is of another kind.
        """
        check_image(image)
        return grown(self.maps(image))

    def maps(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Foreground, distance to the centre and to the boundary, (3, h, w) in [0, 1]."""
        found = np.zeros((3, *image.shape[:2]), np.float32)
        for tile in windows(image.shape, WINDOW, TILE):
            self._before()
            part = self._look(np.ascontiguousarray(image[tile.outer.slices()]))
            inner = tile.inner.slices((tile.outer.r0, tile.outer.c0))
            found[:, *tile.inner.slices()] = part[:, *inner]
        self._before()
        return found

    def _look(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        array, fit = self._prepare(image, self._side)
        with torch.inference_mode():
            batch = torch.from_numpy(array)[None].to(self._device)
            maps = self._decoder(self._encoder(batch).float())[0].cpu().numpy()
        return np.stack([_onto_image(plane, fit) for plane in maps])


def _onto_image(plane: NDArray[np.float32], fit: InputFit) -> NDArray[np.float32]:
    """A square map on the image: padding cut off, resized bilinearly."""
    kept = plane[: fit.kept[0], : fit.kept[1]]
    rows, cols = (bilinear_matrix(n, m) for n, m in zip(kept.shape, fit.shape, strict=True))
    return np.asarray((cols @ (rows @ kept).T).T, np.float32)


def grown(maps: NDArray[np.float32]) -> NDArray[np.int32]:
    """Objects by a watershed from seeds in which both distances are small.

    Parameters
    ----------
    maps : (3, h, w) float32
        Foreground, distance to the centre and to the boundary; distances are 0 in the middle.

    Returns
    -------
    (h, w) int32
        Objects numbered from 1 without gaps.
    """
    front = ndi.gaussian_filter(maps[0], FOREGROUND_SIGMA) > THRESHOLD
    centre, rim = (ndi.gaussian_filter(plane, DISTANCE_SIGMA) for plane in maps[1:])
    seeds = label(front & (centre < THRESHOLD) & (rim < THRESHOLD))
    found = watershed(rim, markers=seeds, mask=front)
    return np.asarray(relabel_sequential(found)[0], np.int32)


def load(card: ModelCard, weights: Path, device: str) -> DecodedCells:
    """Encoder and decoder: from one file of a training run, or from the card's two files.

    Raises
    ------
    WeightsError
        If a file is missing or of another kind.
    """
    from histoprompt.models.weights import checkpoints, companion

    net = sam.built(card, weights, device)
    if checkpoints.holds(weights, _IN_ONE_FILE):
        decoder_file = weights
    else:
        decoder_file = companion(card, card.others[0].filename, beside=weights)
    decoder = load_decoder(decoder_file, f"instance decoder of {card.title}").to(device)
    return DecodedCells(net.image_encoder, decoder, net.image_encoder.img_size, device)


def blueprint(card: ModelCard, spec: WeightsSpec) -> Blueprint | None:
    """What the file of SAM has to hold; which of two decoders the other holds, only it tells."""
    return sam.blueprint(card, spec) if spec == card.weights else None


def load_decoder(path: Path, title: str, **size: Any) -> InstanceDecoder:
    """The decoder in a file, of the kind the file holds.

    Parameters
    ----------
    path : Path
        A decoder alone, or a training run's file with a decoder in it.
    title : str
        The model's name in error messages.
    **size
        Of a smaller decoder of the same structure.

    Raises
    ------
    WeightsError
        If the file holds no such decoder.
    """
    from histoprompt.models.networks.unetr import InstanceDecoder, Resampled, Transposed
    from histoprompt.models.weights.checkpoints import load_weights, read_shapes

    under = (_IN_ONE_FILE, *WRAPPERS)
    transposed = "decoder.samplers.0.block.weight" in read_shapes(path, under)
    net = InstanceDecoder(Transposed if transposed else Resampled, **size)
    found: InstanceDecoder = load_weights(Blueprint(net, _without_encoder, under), path, title)
    return found


def _without_encoder(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if not key.startswith("encoder.")}


def _card(
    prompts: str, title: str, size: str, files: tuple[WeightsSpec, ...], **more: Any
) -> ModelCard:
    return ModelCard(
        id=f"{prompts}-cells",
        role="cells",
        title=title,
        loader="histoprompt.models.zoo.ais:load",
        architecture=f"vit_{size}",
        blueprint="histoprompt.models.zoo.ais:blueprint",
        input_size=WINDOW,
        window_stride=TILE,
        algorithm=2,
        weights=files[0],
        others=files[1:],
        memory_mib=sam.MEMORY_MIB[size],
        **more,
    )


def _pathosam(size: str, share: str, xxh128: str) -> ModelCard:
    return _card(
        f"pathosam-vit-{size}",
        f"PathoSAM ViT-{size.upper()} (all nuclei)",
        size,
        (sam.PATHOSAM_FILES[size], sam.pathosam_file(size, share, xxh128, "_decoder")),
        mpp=0.25,
        licence=sam.UNSTATED,
        terms=sam.PATHOSAM_TERMS,
        citation="Griebel et al., Segment Anything for Histopathology, MIDL 2025",
        description="Finds all nuclei of H&E with PathoSAM's instance decoder.",
    )


def _microsam(size: str, record: str, xxh128: str) -> ModelCard:
    return _card(
        f"microsam-vit-{size}-lm",
        f"micro-sam LM ViT-{size.upper()} (all cells)",
        size,
        (sam.MICROSAM_FILES[size], sam.microsam_file(size, record, xxh128, "_decoder")),
        licence="as on its page of bioimage.io",
        citation="Archit et al., Nature Methods 22 (2025)",
        description="Finds cells or nuclei in light microscopy, hardly any of it H&E.",
    )


CARDS = (
    _pathosam("b", "KO9AWqynI7SFOBj", "6a66194dcb6e36199cbee2214ecf7213"),
    _pathosam("l", "oIs6VSmkOp7XrKF", "46aab7765d4400e039772d5a50b55c04"),
    _pathosam("h", "1qAKxy5H0jgwZvM", "3ed9f87e46ad5e16935bd8d722c8dc47"),
    _microsam("t", "faithful-chicken/1.1", "3e914a5f397b0312cdd36813031f8823"),
    _microsam("b", "diplomatic-bug/1.2", "708b15ac620e235f90bb38612c4929ba"),
    _microsam("l", "idealistic-rat/1.2", "2faeafa03819dfe03e7c46a44aaac64a"),
)
