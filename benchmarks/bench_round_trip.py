"""What a trip through each format costs the objects of the sample slide.

Every format that is written and read here writes the sample's labels, and what is read back is held
against them: pixels, areas, ids, classes.

    python benchmarks/bench_round_trip.py [--out benchmarks/results/round-trip.md]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi

from histoprompt.core.labels.classes import read_classes
from histoprompt.core.labels.sources import extent
from histoprompt.core.labels.tiff import read_labels
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import LABELS, SLIDE, sample_file
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams, export
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.exchange.params import ImportParams
from histoprompt.pipelines.formats.catalogue import FORMATS, FileFormat


def trip(slide: Slide, kind: FileFormat, simplify: float) -> dict[str, float]:
    """Shares and errors of one format."""
    given, classes = read_labels(sample_file(LABELS)), read_classes(sample_file("classes.csv"))
    before = given.read(slide.box)
    with tempfile.TemporaryDirectory() as folder:
        params = ExportParams(format=kind.name, val_share=0, test_share=0, simplify=simplify)
        report = export(slide, given, Path(folder) / "x", params, Task(), classes=classes)
        path = report.paths[0] if len(report.paths) <= 2 and not kind.tiled else report.folder
        found = read_incoming(slide, path, Task(), ImportParams(format=kind.name))
        after = np.zeros(slide.shape, np.uint32)
        place = extent(found.labels)
        after[place.slices()] = found.labels.read(place)
    ids, old = np.unique(before[before > 0], return_counts=True)
    found_ids, sizes = np.unique(after[after > 0], return_counts=True)
    size_of = dict(zip(found_ids.tolist(), sizes.tolist(), strict=True))
    both = (before > 0) & (after > 0)
    pairs, shared = np.unique(np.stack([before[both], after[both]]), axis=1, return_counts=True)
    best = {int(i): int(p) for i, p in pairs.T[np.argsort(shared, kind="stable")]}
    partner = [best.get(i, 0) for i in ids.tolist()]
    new = np.array([size_of.get(p, 0) for p in partner], float)
    wrong = (before > 0) != (after > 0)
    edge = ndi.distance_transform_edt(before > 0) + ndi.distance_transform_edt(before == 0)
    return {
        "area": float(np.abs(new - old).mean() / old.mean()),
        "farthest": float(edge[wrong].max(initial=0.0)),
        "ids": float(np.mean([p == i for p, i in zip(partner, ids.tolist(), strict=True)])),
        "classes": float(
            np.mean(
                [
                    found.classes.of(p) == classes.of(i)
                    for p, i in zip(partner, ids.tolist(), strict=True)
                ]
            )
        ),
    }


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = [
        "# Round trips",
        "",
        "The objects of the sample slide, written in each format and read back. *Area* is the mean "
        "error of an object's area; *farthest* the distance from the outline, in pixels, of the "
        "farthest pixel that changed hands between objects and background (1 is the pixel at the "
        "outline itself); *ids* and *classes* the share of objects that kept theirs.",
        "",
        "| format | outlines | area | farthest, px | ids | classes |",
        "|---|---|---|---|---|---|",
    ]
    with open_slide(sample_file(SLIDE)) as slide:
        for kind in (f for f in FORMATS if f.write and f.reads):
            choices = (0.0, 0.5) if "outlines" in kind.holds else (0.0,)
            for simplify in choices:
                how = f"simplified by {simplify:g} px" if simplify else "exact"
                t = trip(slide, kind, simplify)
                lines.append(
                    f"| {kind.name} | {how} | {t['area']:.2%} | {t['farthest']:.1f} | "
                    f"{t['ids']:.0%} | {t['classes']:.0%} |"
                )
                print(lines[-1], flush=True)
    lines += [
        "",
        "A line that strays by half a pixel passes no pixel's centre, so outlines simplified so "
        "far give the same pixels. CellViT's and DICOM's files have no place for ids, and boxes "
        "are no outlines.",
        "",
        "`python benchmarks/bench_round_trip.py`",
    ]
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
