"""A made cohort: small slides of patients of several sites, with a clinical table and reports.

What is planted: responders have more lymphocytes, at every site. What is a trap: sites stain in
their own way, and one site has most of the high grades, so that colour seems to tell the grade.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SIDE, MPP = 448, 0.5
_TILE, _QUALITY = 224, 70
# Optical densities of the dyes, by site a little different.
_HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
_EOSIN = np.array([0.07, 0.99, 0.11])
_STRENGTH = ((1.0, 0.55), (0.8, 0.85), (1.25, 0.4))
# A nucleus: mean radius in pixels and its spread, and how dark it is.
_KINDS = {"tumour": (8.0, 1.2, 0.75), "lymphocyte": (4.5, 0.4, 1.1)}


@dataclass(frozen=True)
class Patient:
    """What is true of a patient.

    Attributes
    ----------
    name, site : str
    number : int
        Of the site.
    responds : bool
    grade : int
        1 to 3.
    age : int
    months : float
    died, necrosis : bool
    """

    name: str
    site: str
    number: int
    responds: bool
    grade: int
    age: int
    months: float
    died: bool
    necrosis: bool


def patients(rng: np.random.Generator, many: int, sites: int) -> list[Patient]:
    """Patients, as many of each site."""
    found = []
    for i in range(many):
        site, responds = i % sites, bool((i // sites) % 2)
        # the last site has most of the high grades
        grade = int(rng.choice([1, 2, 3], p=[0.1, 0.3, 0.6] if site == sites - 1 else
                               [0.5, 0.4, 0.1]))  # fmt: skip
        months = float(rng.exponential(30 if responds else 14))
        seen = float(rng.uniform(12, 48))
        found.append(Patient(
            f"P{i + 1:02d}", f"Hospital {'ABCDEFGH'[site]}", site, responds, grade,
            int(rng.integers(41, 84)), round(min(months, seen), 1), months < seen,
            bool(rng.random() < 0.45),
        ))  # fmt: skip
    return found


def slide(rng: np.random.Generator, patient: Patient) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """A picture of a patient's tissue (SIDE, SIDE, 3), and how many cells of each kind it has."""
    dyes = np.zeros((2, SIDE, SIDE))
    dyes[1] = 0.35 + 0.12 * gaussian_filter(rng.normal(size=(SIDE, SIDE)), 6) * 12
    if patient.necrosis:
        row, col = rng.uniform(0.25, 0.75, 2) * SIDE
        rows, cols = np.ogrid[:SIDE, :SIDE]
        dyes[1] += 0.5 * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * 55**2))
    counts = {
        "tumour": int(rng.poisson(70 + 12 * patient.grade)),
        "lymphocyte": int(rng.poisson(95 if patient.responds else 35)),
    }
    taken = np.zeros((SIDE, SIDE), bool)
    for kind, many in counts.items():
        counts[kind] = sum(_nucleus(rng, dyes[0], taken, _KINDS[kind]) for _ in range(many))
    blue, red = _STRENGTH[patient.number % len(_STRENGTH)]
    density = np.tensordot(np.clip(dyes, 0, None).transpose(1, 2, 0) * (blue, red),
                           np.stack([_HAEMATOXYLIN, _EOSIN]), 1)  # fmt: skip
    light = 242 * 10 ** (-gaussian_filter(density, (0.7, 0.7, 0)))
    return np.clip(light + rng.normal(0, 1.5, light.shape), 0, 255).astype(np.uint8), counts


def _nucleus(
    rng: np.random.Generator, dye: NDArray[np.float64], taken: NDArray[np.bool_],
    kind: tuple[float, float, float],
) -> bool:  # fmt: skip
    """Draw an ellipse where there is room; whether there was."""
    mean, spread, dark = kind
    for _ in range(20):
        a = max(2.5, rng.normal(mean, spread))
        b = a * rng.uniform(0.75, 1.0)
        row, col = rng.uniform(a + 1, SIDE - a - 1, 2)
        r0, r1, c0, c1 = int(row - a - 1), int(row + a + 2), int(col - a - 1), int(col + a + 2)
        y, x = np.mgrid[r0:r1, c0:c1]
        turn = rng.uniform(0, np.pi)
        u = (x - col) * np.cos(turn) + (y - row) * np.sin(turn)
        v = (y - row) * np.cos(turn) - (x - col) * np.sin(turn)
        inside = (u / a) ** 2 + (v / b) ** 2 <= 1
        if not taken[r0:r1, c0:c1][inside].any():
            taken[r0:r1, c0:c1] |= inside
            grain = 1 + 0.15 * rng.normal(size=inside.shape)
            dye[r0:r1, c0:c1][inside] += (dark * grain)[inside]
            return True
    return False


def report(rng: np.random.Generator, patient: Patient) -> str:
    """What a pathologist would write: denials too."""
    said = [f"Invasive carcinoma, grade {patient.grade}."]
    few = ["Sparse inflammation.", "No significant inflammation."]
    said.append("Dense lymphocytic infiltrate." if patient.responds else str(rng.choice(few)))
    there = ["Central necrosis is present.", "Focal necrosis."]
    absent = ["No necrosis.", "Necrosis is not seen.", ""]
    said.append(str(rng.choice(there if patient.necrosis else absent)))
    said.append(str(rng.choice(["Margins are clear.", "No vascular invasion.", ""])))
    return " ".join(s for s in said if s)


def write(folder: Path, seed: int, many: int, sites: int, each: int) -> None:
    """Write a project: slides, its tables, reports and features."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = []
    features: list[dict[str, Any]] = []
    reports: list[dict[str, Any]] = []
    for patient in patients(rng, many, sites):
        for n in range(each):
            name = patient.name if each == 1 else f"{patient.name}-{n + 1}"
            picture, counts = slide(rng, patient)
            write_slide(folder / "images" / f"{name}.tif", picture)
            lines.append({
                "id": name, "path": f"images/{name}.tif", "mpp": MPP, "patient": patient.name,
                "site": patient.site, "scanner": f"scanner {patient.number % 2 + 1}", "split": "",
                "response": "yes" if patient.responds else "no", "grade": patient.grade,
                "age": patient.age, "os_months": patient.months, "os_event": int(patient.died),
            })  # fmt: skip
            features.append(_features(name, picture, counts))
        reports.append({"patient": patient.name, "text": report(rng, patient)})
    for file, rows in (("slides", lines), ("features", features), ("reports", reports)):
        with (folder / f"{file}.csv").open("w", newline="", encoding="utf-8") as out:
            table = csv.DictWriter(out, rows[0], lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
    (folder / "project.toml").write_text('format = 1\nname = "made cohort"\n', encoding="utf-8")
    (folder / "fields.toml").write_text(
        'necrosis = ["necro*"]\ninflammation = ["/lymphocytic infiltrate/", "inflammation"]\n',
        encoding="utf-8",
    )


def _features(name: str, picture: NDArray[np.uint8], counts: dict[str, int]) -> dict[str, Any]:
    """The truth of a slide, and its colour."""
    mm2 = (SIDE * MPP / 1000) ** 2
    red, green, blue = picture.reshape(-1, 3).mean(axis=0) / 255
    return {
        "slide": name, "area_mm2": f"{mm2:.4f}",
        **{f"{kind} per mm2": f"{n / mm2:.1f}" for kind, n in counts.items()},
        "mean red": f"{red:.4f}", "mean green": f"{green:.4f}", "mean blue": f"{blue:.4f}",
        "texture": f"{picture.std() / 255:.4f}",
    }  # fmt: skip


def write_slide(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a tiled TIFF of JPEG tiles with its pixel size; the same bytes each time."""
    per_cm = 1e4 / MPP
    tiles = [
        imagecodecs.jpeg8_encode(picture[r : r + _TILE, c : c + _TILE], level=_QUALITY,
                                 colorspace="rgb", outcolorspace="ycbcr")
        for r in range(0, SIDE, _TILE) for c in range(0, SIDE, _TILE)
    ]  # fmt: skip
    tifffile.imwrite(
        path, iter(tiles), shape=picture.shape, dtype=np.uint8, tile=(_TILE, _TILE),
        photometric="ycbcr", compression="jpeg", subsampling=(2, 2),
        resolution=(per_cm, per_cm), resolutionunit="CENTIMETER", metadata=None, software=False,
    )  # fmt: skip
