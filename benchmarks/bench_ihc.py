"""Positive cells by DAB on two scanners, and nuclei found in H&E that was recoloured as H-DAB.

    python benchmarks/bench_ihc.py [--data DIR]

DIR holds `slides/OS-2-ndpi.ome.tif` and `OS-2-vsi.ome.tif`, and `nuclei/tnbc`. No immunostain with
outlines is at hand: tiles of the patients that are kept from training are recoloured as training
recolours others, so that their outlines are known. Writes benchmarks/results/ihc.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.data import immunohistochemistry

from histoprompt.core.classical.detection import find_nuclei
from histoprompt.core.metrics import agreement
from histoprompt.core.readers.open import open_slide
from histoprompt.core.stain.fit import StainMatrix, fit_dyes
from histoprompt.core.stain.ihc import DAB_MEAN, ihc_score
from histoprompt.models.zoo import histoprompt_lite as lite
from histoprompt.pipelines.cells.features import FEATURE_NAMES, measure
from histoprompt.training.recolour import BROWN, with_dab
from histoprompt.training.sets import SetConfig, members, parted

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


def recoloured(data: Path) -> list[str]:
    """Nuclei found in tiles of kept patients, by where the brown is."""
    config = SetConfig(data / "nuclei" / "tnbc", 0.25, "patient", ("07", "08"))
    tiles = [item.read() for item in parted(members(config), config.held_out)[1]]
    cells = lite.load_cells(lite.CELLS, None, "cpu")
    finders = {"histoprompt-cells": cells.segment, "classical": lambda x: find_nuclei(x, 0.25)}
    lines = ["| brown | model | F1@.5 | PQ | AJI | bias |", "|---|---|---:|---:|---:|---:|"]
    for kind, where in [(None, "none: H&E"), *enumerate(BROWN)]:
        rng = np.random.default_rng(0)
        shown = [i if kind is None else with_dab(i, t, rng, kind) for i, t in tiles]
        for name, find in finders.items():
            a = agreement([t for _, t in tiles], [find(i) for i in shown])
            lines.append(
                f"| {where} | {name} | {a.f1:.3f} | {a.pq:.3f} | {a.aji:.3f} | {a.bias:+.2f} |"
            )
            print(lines[-1], flush=True)
    return lines


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
    more = (
        "Nuclei found in 7 H&E tiles of patients kept from training (TNBC 07 and 08, 1,000 "
        "nuclei), recoloured as haematoxylin and DAB in the way training recolours others: real "
        "stains differ more."
    )
    parts = [text, "\n".join(lines), more, "\n".join(recoloured(args.data))]
    out = "# Immunostains\n\n" + "\n\n".join(parts) + "\n"
    (ROOT / "benchmarks" / "results" / "ihc.md").write_text(out)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
