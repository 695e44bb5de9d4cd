"""Teach two classes of nuclei from a few of each, and apply them to all cells of a region."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import histoprompt as hp
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.pipelines.formats.cell_files import read_cells

out = Path(sys.argv[1])

slide = hp.open_slide(sample_file(SLIDE))
params = hp.CountChoice(segmenter="classical-cells")
counted = hp.count(slide, out / "count", params, region=hp.Box(0, 0, 512, 512))
cells = read_cells(counted.folder / "cells.csv")

# A person would point at some cells of each class; here the largest and the smallest stand in.
order = np.argsort(cells.area_um2)
labels = {int(cells.id[i]): "small" for i in order[:5]}
labels |= {int(cells.id[i]): "large" for i in order[-5:]}

fit = hp.classify(cells, labels)
for name, number in fit.cells.counts().items():
    print(f"{number} {name}")
