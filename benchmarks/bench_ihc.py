"""Positive cells by DAB: the same tissue on two scanners, fitted dyes against published ones.

    python benchmarks/bench_ihc.py [--data DIR]

DIR holds `slides/OS-2-ndpi.ome.tif` and `OS-2-vsi.ome.tif`. Writes benchmarks/results/ihc.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.data import immunohistochemistry

from histoprompt.core.classical.detection import find_nuclei
from histoprompt.core.readers.open import open_slide
from histoprompt.core.stain.fit import StainMatrix, fit_dyes
from histoprompt.core.stain.ihc import DAB_MEAN, ihc_score
from histoprompt.pipelines.cells.features import FEATURE_NAMES, measure

ROOT = Path(__file__).resolve().parents[1]
MPP = 0.5


def rows(name: str, image: NDArray[np.uint8]) -> list[str]:
    labels = find_nuclei(image, MPP)
    found = []
    for how, dyes in (
        ("fitted", fit_dyes(image, "H-DAB")),
        ("published", StainMatrix.published("H-DAB")),
    ):
        density = measure(image, labels, MPP, dyes)[:, FEATURE_NAMES.index(DAB_MEAN)]
        score = ihc_score(density)
        grades = " / ".join(map(str, score.grades))
        found.append(
            f"| {name} | {how} | {score.cells} | {grades} | {score.positive_fraction:.1%} | "
            f"{score.h_score:.0f} |"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    args = parser.parse_args()
    lines = ["| image | dyes | nuclei | 0 / 1+ / 2+ / 3+ | positive | H-score |",
             "|---|---|---:|---:|---:|---:|"]  # fmt: skip
    for name in ("ndpi", "vsi"):
        with open_slide(args.data / "slides" / f"OS-2-{name}.ome.tif") as slide:
            rows_, cols = (round(n * (slide.mpp or MPP) / MPP) for n in slide.shape)
            image, _ = slide.read(slide.box, (rows_, cols))
        lines += rows(f"OS-2, Ki-67, scanner {name}", image)
    lines += rows("skimage, colon (pixel size guessed)", immunohistochemistry())
    text = (
        "`python benchmarks/bench_ihc.py`: nuclei of the classical finder at 0.5 um/px, graded by "
        "their mean optical density of DAB at QuPath's 0.2, 0.4, 0.6. The first two images are the "
        "same tissue."
    )
    out = "# Immunostains\n\n" + text + "\n\n" + "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "results" / "ihc.md").write_text(out)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
