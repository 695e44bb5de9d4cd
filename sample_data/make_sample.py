"""Make the sample slide: a small H&E-like pyramid with its ground truth, from a seed alone.

Run ``python sample_data/make_sample.py`` to write the files beside this script.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from making import files
from making.layout import lay_out
from making.nuclei import paint_nuclei
from making.optics import photograph
from making.tissue import paint_tissue

HERE = Path(__file__).resolve().parent
SEED = 7
# Their random numbers, arithmetic and codecs decide the bytes.
LIBRARIES = ("numpy", "scipy", "tifffile", "imagecodecs")


def make(folder: Path, seed: int = SEED) -> None:
    """Write all files of the sample into a folder."""
    rng = np.random.default_rng(seed)
    layout = lay_out(rng)
    canvas = paint_tissue(rng, layout)
    nuclei = paint_nuclei(rng, layout, canvas)
    image = photograph(rng, layout, canvas)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_slide(folder / "slide.ome.tif", image)
    files.write_labels(folder / "labels.tif", nuclei.labels, "nuclei")
    files.write_labels(folder / "regions.tif", layout.regions(), "regions")
    files.write_classes(folder / "classes.csv", nuclei.classes)
    files.write_region_names(folder / "regions.json", seed)
    made_with = {name: version(name) for name in LIBRARIES}
    (folder / "made_with.json").write_text(json.dumps(made_with, indent=2) + "\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Run from a terminal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR")
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args(argv)
    make(args.out, args.seed)


if __name__ == "__main__":
    main()
