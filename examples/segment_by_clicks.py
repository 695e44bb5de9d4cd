"""Clicks and a box to masks; keep them in the label store; export them as training data."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import histoprompt as hp
from histoprompt.core.slides.sample import SLIDE, sample_file

out = Path(sys.argv[1])

slide = hp.open_slide(sample_file(SLIDE))
cells = hp.find_cells(slide, hp.Box(256, 256, 384, 384), model="classical-cells")
middle = cells[0]

by_click = hp.Prompt(points=np.array([[middle.row, middle.col]]), labels=np.array([True]))
by_box = hp.Prompt(box=cells[-1].mask.frame.box)
clicked, boxed = hp.segment(slide, [by_click, by_box], model="classical")
print(f"click: {clicked.masks[0].array.sum()} px; box: {boxed.masks[0].array.sum()} px")

with hp.open_store(slide, name="example") as store:
    for found in (clicked, boxed):
        number = store.commit(found.masks[0], rule="overwrite")
        store.set_class([number], "nucleus")
    report = hp.export(slide, store, out / "training", hp.ExportParams(format="coco"))
    print(report)
