"""Folders of counts as `histoprompt count` writes them, of cells put where a test wants them."""

import json

import numpy as np
import shapely

from histoprompt.core.cell_table import CellTable
from histoprompt.pipelines.count.files import CELLS_PARQUET, COUNTS_CSV, write_counts
from histoprompt.pipelines.count.result_folders import MADE
from histoprompt.pipelines.count.tally import class_lines
from histoprompt.pipelines.formats.cell_tables import write_cells_parquet

CLASSES = ("lymphocyte", "tumour")
# Level-0 pixels a side; at 0.5 µm per pixel it is half a millimetre.
SIDE, MPP = 1000, 0.5
REGIONS = {"left": (0, 0, 500, SIDE), "right": (500, 0, SIDE, SIDE)}  # x0, y0, x1, y1


def made_cells(rng, lymphocytes=60, tumour=120, near=0.0):
    """Cells at random; a share of the lymphocytes lies beside tumour cells."""
    at = rng.uniform(20, SIDE - 20, (lymphocytes + tumour, 2))
    beside = int(near * lymphocytes)
    chosen = rng.integers(lymphocytes, lymphocytes + tumour, beside)
    at[:beside] = np.clip(at[chosen] + rng.normal(0, 12, (beside, 2)), 0, SIDE - 1)
    code = np.repeat([0, 1], [lymphocytes, tumour]).astype(np.int16)
    area = rng.normal(40, 5, len(at)) + 20 * code
    return CellTable(np.arange(1, len(at) + 1), at[:, 0], at[:, 1], area, CLASSES, code)


def write_count(folder, cells, regions=True, complete=True, mpp=MPP):
    """The files of a count that are read back."""
    folder.mkdir(parents=True)
    drawn = REGIONS if regions else {}
    write_cells_parquet(folder / CELLS_PARQUET, iter([cells]))
    lines = []
    mm2 = (SIDE * MPP / 1000) ** 2
    for name, box in {"all": (0, 0, SIDE, SIDE), **drawn}.items():
        inside = shapely.contains_xy(shapely.box(*box), cells.col + 0.5, cells.row + 0.5)
        share = (box[2] - box[0]) / SIDE
        counts = np.bincount(cells.code[inside], minlength=2)
        lines += class_lines(name, CLASSES, counts, (mm2 * share, mm2 * share))
    write_counts(folder / COUNTS_CSV, tuple(lines), denominator="all", complete=complete)
    polygons = [[name, shapely.to_wkt(shapely.box(*box))] for name, box in drawn.items()]
    facts = {"mpp": mpp, "complete": complete, "polygons": polygons, "result": {"name": "made"}}
    (folder / MADE).write_text(json.dumps(facts))
