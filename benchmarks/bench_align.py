"""Vocabularies of one's own: captions made from the truth, and how often chance is kept.

    python benchmarks/bench_align.py [--data DIR] [--runs 200] [--images ID ...] [--texts KIND ...]

DIR holds `tiles/osteosarcoma` (see its README): 60 tiles of three tissues, split by case; each has
the caption of its tissue. Places of the sample slide have captions made from its truth: region and
cells; blocks of it stand for patients. Null runs have images and sentences that share nothing but
their patients. Writes benchmarks/results/align.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import tempfile
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import tifffile

from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.align.figures import Data, judged
from histoprompt.pipelines.align.pairs import Pair
from histoprompt.pipelines.align.params import AlignParams
from histoprompt.pipelines.align.run import ALIGN_CSV, align
from histoprompt.pipelines.align.texts import SentenceVectors

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CAPTIONS = {
    "Non-Tumor": "normal tissue, no tumour",
    "Non-Viable-Tumor": "necrosis, dead tumour",
    "Viable": "viable malignant cells",
}
SAMPLE = ROOT / "sample_data"
# Level-0 pixels a side of a place and of a block, and cells from which a kind is mentioned.
PLACE, BLOCK, FEW = 200, 600, 4
# Microns a pixel of the tiles, taken at 10x.
MPP = 1.0
MEASURES = ("match", "recall@1 image to text", "recall@1 text to image", "auroc seen words",
            "auroc held-out words", "p of match")  # fmt: skip


def pairs_of(folder: Path) -> list[Pair]:
    found = []
    for line, path in enumerate(sorted(folder.glob("*.jpg")), 2):
        kind, rest = path.name.split("___")
        case = re.match(r"Case-\d+|P\d+", rest)
        patient = case.group(0) if case else rest
        found.append(Pair(str(path), None, "", patient, "", (CAPTIONS[kind],), line, MPP))
    return found


def sample_pairs() -> list[Pair]:
    """Places of the sample slide with captions from its truth; its blocks stand for patients."""
    regions, labels = (tifffile.imread(SAMPLE / f"{n}.tif") for n in ("regions", "labels"))
    names = json.loads((SAMPLE / "regions.json").read_text())["regions"]
    tissue = {number: name for name, number in names.items()}
    with (SAMPLE / "classes.csv").open() as file:
        kinds = {int(row["id"]): row["class"] for row in csv.DictReader(file)}
    found = []
    for r, c in product(range(0, regions.shape[0], PLACE), range(0, regions.shape[1], PLACE)):
        part = np.s_[r : r + PLACE, c : c + PLACE]
        region = tissue[int(np.bincount(regions[part].ravel()).argmax())]
        cells = Counter(kinds[i] for i in np.unique(labels[part])[1:].tolist())
        if region in ("glass", "pen") or not cells:
            continue
        many = " and ".join(name for name, n in cells.most_common(2) if n >= FEW)
        text = f"{region} with {many} cells" if many else f"{region}, few cells"
        patient = f"{r // BLOCK}-{c // BLOCK}"
        box = Box(r, c, min(r + PLACE, regions.shape[0]), min(c + PLACE, regions.shape[1]))
        slide = str(SAMPLE / "slide.ome.tif")
        found.append(Pair(slide, box, "", patient, "", (text,), len(found) + 2))
    return found


def null(seed: int, patients: int = 8, places: int = 6) -> Data:
    """Images and sentences of patients that differ, and that have nothing else in common."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), places)
    n = len(patient)
    images = rng.normal(size=(n, 20)) + 2 * rng.normal(size=(patients, 20))[patient]
    kinds = rng.integers(0, 4, patients)[patient]
    said = np.where(rng.random(n) < 0.6, kinds, rng.integers(0, 4, n))
    texts = rng.normal(size=(4, 8))[said]
    words = SentenceVectors(texts, said, (), np.zeros((0, 8)), np.zeros((n, 0), bool))
    return Data(images, words, patient, np.zeros(n, int), np.zeros((n, n)), np.zeros((n, 0)))


def aligned(
    pairs: list[Pair], params: AlignParams, manager: ModelManager
) -> tuple[str, list[list[str]]]:
    """Whether a vocabulary was kept, and its table."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "own.safetensors"
        kept = "kept"
        try:
            align(
                pairs, params, out, opened=lambda pair: open_slide(pair.slide, pair.mpp),
                manager=manager, task=Task(),
            )  # fmt: skip
        except LabelError:
            kept = "refused"
        return kept, [r.split(",") for r in (out.parent / ALIGN_CSV).read_text().splitlines()[1:]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--images", nargs="+", default=["efficientnet-lite0", "vocabulary"])
    parser.add_argument("--texts", nargs="+", default=["minilm", "tfidf"])
    args = parser.parse_args()
    tiles = args.data / "tiles" / "osteosarcoma"
    studies = {"osteosarcoma": pairs_of(tiles)} if tiles.is_dir() else {}
    studies["sample slide"] = sample_pairs()
    head = ("of", "images", "texts", "measure", "value", "plain", "shuffled")
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|---:|---:|---:|"]
    manager = ModelManager(device="cpu")
    for (name, pairs), image, text in product(studies.items(), args.images, args.texts):
        kept, rows = aligned(pairs, AlignParams(image=image, text=text), manager)
        for split, measure, *figures in rows:
            if split == "patients" and measure in MEASURES:
                told = (name, image, f"{text} ({kept})", measure, *figures)
                lines.append(f"| {' | '.join(told)} |")
                print(lines[-1], flush=True)
    params = AlignParams(shuffles=19)
    runs = [judged(null(seed), None, params, Task())[1] <= 0.05 for seed in range(args.runs)]
    share = float(np.mean(runs)) if runs else float("nan")
    print(f"null: {sum(runs)} of {len(runs)} kept", flush=True)
    counts = ", ".join(
        f"{len(pairs)} pairs of the {name} ({len({pair.patient for pair in pairs})} patients, "
        f"{len({pair.sentences for pair in pairs})} captions)"
        for name, pairs in studies.items()
    )
    text = (
        "# Vocabularies of one's own\n\n"
        f"`python benchmarks/bench_align.py --runs {args.runs}`: {counts}; ridge regression, folds "
        "by patient. Osteosarcoma (TCIA, CC BY 3.0): the caption of its tissue each, cases as "
        "patients. Of the sample slide, which is a drawing, blocks stand for patients; captions "
        "tell the region and the commonest cells. *Plain* is the word list; of held-out words no "
        "sentence was learnt from.\n\n"
    )
    tail = (
        f"\n\nOf {len(runs)} null runs (8 patients, 6 places each, images and sentences alike "
        f"within a patient, nothing in common between them) {sum(runs)} were kept: {share:.1%}; "
        "5 % may be.\n"
    )
    (RESULTS / "align.md").write_text(text + "\n".join(lines) + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
