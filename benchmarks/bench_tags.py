"""Tags of words on NuCLS: raw, filtered, reviewed, and the detector learnt from them.

    python benchmarks/bench_tags.py [--data DIR]

DIR holds `nuclei/nucls-points` (see its README). The frozen set is the points of some tiles, chosen
 by their names; people are simulated who are right in 80, 90 and 100 % of their answers and
answer what the gallery shows, in its order. Writes benchmarks/results/tags.md.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from histoprompt.core.readers.open import open_slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.tags.compare import compared
from histoprompt.pipelines.tags.detector import DetectParams, labels_of, predicted, rounds_of
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.records import TagRow
from histoprompt.pipelines.tags.review import Said, reviewed
from histoprompt.pipelines.tags.run import SlideToTag, tag_slides
from histoprompt.pipelines.tags.truth import truth_of_points
from histoprompt.pipelines.tags.work import Work

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CLASSES = ("tumour", "stroma", "lymphocyte", "other")
MPP = 0.25
TAGS = """
[[tags]]
name = "tumour"
wordings = ["tumour", "carcinoma"]
not = ["necrosis"]
[[tags]]
name = "lymphocyte"
wordings = ["lymphocyte", "lymphoid tissue"]
[[tags]]
name = "stroma"
wordings = ["stroma", "fibrous tissue"]
"""


def slides_of(folder: Path, truth: Path) -> list[SlideToTag]:
    """The tiles, each a patient of its own, and all points of theirs in one table."""
    found, points = [], [("slide", "row", "col", "tag")]
    for path in sorted(folder.glob("*/images/*.png")):
        labels = path.parents[1] / "labels" / f"{path.stem}.csv"
        with labels.open(newline="") as file:
            points += [(path.stem, r, c, CLASSES[int(k)]) for c, r, k in csv.reader(file)]
        found.append(
            SlideToTag(path.stem, str(path), lambda p=path: open_slide(str(p), MPP), path.stem)
        )
    with truth.open("w", newline="") as file:
        csv.writer(file).writerows(points)
    return found


def person(work: Work, real: np.ndarray, right: float, most: int, seed: int) -> list[Said]:
    """Answers of somebody who is right so often, to the first of what is shown."""
    rng, k, said = np.random.default_rng(seed), len(work.names), []
    for i in work.shown.tolist()[:most]:
        true = int(real[i]) if real[i] >= 0 else k
        answer = true if rng.random() < right else int((true + rng.integers(1, k + 1)) % (k + 1))
        if answer == k:
            said.append(Said(i + 1, "reject"))
        elif answer == work.code[i]:
            said.append(Said(i + 1, "accept"))
        else:
            said.append(Said(i + 1, "fix", work.names[answer]))
    return said


def unfiltered(rows: tuple[TagRow, ...]) -> tuple[TagRow, ...]:
    """As if nothing had been dropped."""
    return tuple(replace(row, kept=bool(row.tag), reason="") for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        (here / "tags.toml").write_text(TAGS)
        slides = slides_of(args.data / "nuclei" / "nucls-points", here / "truth.csv")
        done = tag_slides(
            slides, TagParams(tags=here / "tags.toml"), ModelManager(device="cpu"), here / "out",
            Task(),
        )  # fmt: skip
        truth = truth_of_points(done.work, here / "truth.csv")
    work, rows = done.work, done.rows
    proposed = dict(zip((row.id for row in rows), work.proposed, strict=True))
    settings = [("nobody", 0.0, 0, True), ("nobody, no filter", 0.0, 0, False)]
    settings += [(f"right in {r:.0%}", r, n, True) for r in (0.8, 0.9, 1.0) for n in (100, 10**6)]
    settings += [("right in 90%, no filter", 0.9, 10**6, False)]
    head = "| reviewer | clicks | raw | filtered | reviewed | trained | rounds |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|"]
    for told, right, most, filters in settings:
        start = rows if filters else unfiltered(rows)
        said = person(work, truth.code, right, most, 1) if most else []
        after = reviewed(start, said, proposed) if said else start
        model, rounds = rounds_of(work, labels_of(work, after, truth.patients), DetectParams())
        figures = compared(work, after, truth, predicted(work, model)[0])
        f1 = [f"{line.f1:.3f}" for line in figures if line.tag == "all"]
        lines.append(f"| {told} | {len(said)} | {' | '.join(f1)} | {len(rounds)} |")
        print(lines[-1], flush=True)
    n = sum(line.n for line in figures if line.tag != "all" and line.stage == "raw")
    text = (
        "# Tags of words on NuCLS\n\n"
        f"`python benchmarks/bench_tags.py`: NuCLS points (CC0), {len(slides)} tiles, each taken "
        f"as a patient; {len(rows)} cells, {sum(row.kept for row in rows)} kept by the filter "
        f"({', '.join(f'{v} {k}' for k, v in done.dropped.items())}). Mean F1 over three tags on "
        f"{n} points of {', '.join(truth.patients)}, of which nothing is learnt. Words: the list "
        "without weights. People are simulated; they answer what the gallery shows, those that "
        "disagree first, then a sample of what was dropped.\n\n"
    )
    (RESULTS / "tags.md").write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
