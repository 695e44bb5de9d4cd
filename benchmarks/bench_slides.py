"""Opening and reading a slide of 100,000 x 80,000 pixels, against tiffslide on the same regions.

    python benchmarks/bench_slides.py [--folder DIR] [--out benchmarks/results/slides.md]

Makes a pyramidal JPEG TIFF once (about 1.5 GB; tiles of real tissue repeated), then measures each
reader in a process of its own, several times in turn, and prints a table. The file is kept in
--folder; by default it goes to a temporary folder and is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROWS, COLS, TILE, LEVELS = 80_000, 100_000, 256, 6
RUNS, REGIONS = 3, 30
# (label, level, side of the region in that level's pixels, side of the result)
CASES = (
    ("256 px, level 0", 0, 256, 256),
    ("1024 px, level 0", 0, 1024, 1024),
    ("2048 px, level 0", 0, 2048, 2048),
    ("1024 px, level 2 (4x)", 2, 1024, 1024),
    ("1024 px, level 5 (32x)", 5, 1024, 1024),
)
RESAMPLED = ("1024 px of level 0 shown as 683", 0, 1024, 683)


def make_slide(path: Path) -> None:
    """Write the slide: 16 different tiles of tissue, encoded once each and repeated."""
    import imagecodecs
    import tifffile
    from skimage.data import immunohistochemistry

    tissue = np.pad(immunohistochemistry(), ((0, 512), (0, 512), (0, 0)), mode="reflect")
    variants = [
        imagecodecs.jpeg8_encode(tissue[r : r + TILE, c : c + TILE], level=85)
        for r in range(0, 1024, TILE)
        for c in range(0, 1024, TILE)
    ]
    part = path.with_suffix(".part")
    with tifffile.TiffWriter(part, bigtiff=True) as tiff:
        for level in range(LEVELS):
            shape = (ROWS >> level, COLS >> level, 3)
            tiff.write(
                _tiles(shape, variants),
                shape=shape,
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                subifds=LEVELS - 1 if level == 0 else None,
                subfiletype=1 if level else 0,
                resolution=(40_000, 40_000),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    os.replace(part, path)


def _tiles(shape: tuple[int, ...], variants: list[bytes]) -> Iterator[bytes]:
    down, across = -(-shape[0] // TILE), -(-shape[1] // TILE)
    for i in range(down):
        for j in range(across):
            yield variants[(i * 7 + j) % len(variants)]


def measure(reader: str, path: Path) -> dict[str, float]:
    """Time one reader in this process; milliseconds, and peak MiB."""
    if reader == "histoprompt":
        import histoprompt.core.readers.tiff  # noqa: F401 - imports are not what is measured
        from histoprompt.core.geometry import Box
        from histoprompt.core.readers.open import open_slide

        def opened():
            slide = open_slide(path)

            def read(row: int, col: int, level: int, side: int, size: int) -> np.ndarray:
                box = Box(row, col, row + (side << level), col + (side << level))
                return slide.read(box, (size, size))[0]

            return read

    else:
        from PIL import Image
        from tiffslide import TiffSlide

        def opened():
            slide = TiffSlide(path)

            def read(row: int, col: int, level: int, side: int, size: int) -> np.ndarray:
                image = slide.read_region((col, row), level, (side, side), as_array=True)
                if size == side:
                    return image
                shrunk = Image.fromarray(image).resize((size, size), Image.Resampling.HAMMING)
                return np.asarray(shrunk)

            return read

    before = _peak_mib()
    start = time.perf_counter()
    read = opened()
    read(ROWS // 2, COLS // 2, 0, 1024, 1024)
    times = {"open to first 1024 x 1024 pixels": 1e3 * (time.perf_counter() - start)}
    for label, level, side, size in (*CASES, RESAMPLED):
        times[label] = _median(read, level, side, size)
    return times | {"peak memory": _peak_mib(), "of it imports": before}


def _median(read, level: int, side: int, size: int) -> float:
    rng = np.random.default_rng(level * 10_000 + side)
    taken = []
    for _ in range(REGIONS):
        # a multiple of the downsample, so that both readers mean the same pixels
        row = int(rng.integers(0, (ROWS >> level) - side)) << level
        col = int(rng.integers(0, (COLS >> level) - side)) << level
        start = time.perf_counter()
        image = read(row, col, level, side, size)
        taken.append(1e3 * (time.perf_counter() - start))
        assert image.shape[:2] == (size, size)
    return statistics.median(taken)


def _peak_mib() -> float:
    """The peak of this process alone (Linux; `ru_maxrss` would count the parent's too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def same_pixels(path: Path) -> bool:
    """Whether both readers give the same pixels of a region at levels 0 and 2."""
    from tiffslide import TiffSlide

    from histoprompt.core.geometry import Box
    from histoprompt.core.readers.open import open_slide

    theirs, ours = TiffSlide(path), open_slide(path)
    return all(
        np.array_equal(
            theirs.read_region((8000, 4000), level, (700, 500), as_array=True),
            ours.read(Box(4000, 8000, 4000 + 500 * d, 8000 + 700 * d), (500, 700))[0],
        )
        for level, d in ((0, 1), (2, 4))
    )


def compare(path: Path) -> str:
    """Measure both readers in turn, each run in a new process, and make the table."""
    found: dict[str, list[dict[str, float]]] = {"histoprompt": [], "tiffslide": []}
    for _ in range(RUNS):
        for reader, runs in found.items():
            command = [sys.executable, __file__, "--measure", reader, "--file", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            runs.append(json.loads(done.stdout))
    lines = ["| | histoprompt | tiffslide | ratio |", "|---|---|---|---|"]
    for label in found["histoprompt"][0]:
        ours, theirs = (statistics.median(r[label] for r in runs) for runs in found.values())
        unit = "MiB" if label in ("peak memory", "of it imports") else "ms"
        lines.append(f"| {label} | {ours:.1f} {unit} | {theirs:.1f} {unit} | {ours / theirs:.2f} |")
    return "\n".join(lines)


def report(path: Path, out: Path | None) -> None:
    size = path.stat().st_size / 1e9
    load = os.getloadavg()[0]
    text = (
        f"# Slides\n\n`python benchmarks/bench_slides.py`: a made pyramidal JPEG TIFF of "
        f"{COLS:,} x {ROWS:,} pixels ({size:.2f} GB, {LEVELS} levels, tiles of {TILE}), "
        f"{os.cpu_count()} cores"
        f" (load average {load:.0f} before). "
        f"Median of {REGIONS} random regions, median of {RUNS} processes; "
        f"the two readers give the same pixels: {same_pixels(path)}.\n\n{compare(path)}\n"
    )
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the made slide is kept")
    parser.add_argument("--out", type=Path, help="also write the table here")
    parser.add_argument("--measure", choices=("histoprompt", "tiffslide"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.file)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"bench_{COLS}x{ROWS}.tif"
        if not path.exists():
            make_slide(path)
        report(path, args.out)


if __name__ == "__main__":
    main()
