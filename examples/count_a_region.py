"""Count the nuclei of a region of an H&E slide, and read what was written."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq

import histoprompt as hp
from histoprompt.core.slides.sample import SLIDE, sample_file

out = Path(sys.argv[1])

slide = hp.open_slide(sample_file(SLIDE))
params = hp.CountChoice(segmenter="classical-cells")
counted = hp.count(slide, out / "count", params, region=hp.Box(0, 0, 512, 512))
for line in counted.tally.lines:
    print(f"{line.region}: {line.count} {line.name or 'cells'}")

cells = pq.read_table(counted.folder / "cells.parquet")
areas = cells["area_um2"].to_numpy()
print(f"{len(areas)} cells, median {sorted(areas)[len(areas) // 2]:.0f} µm²; {counted.folder}")
