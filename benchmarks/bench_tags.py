"""Tags of words: raw, filtered, reviewed, and the detector learnt from them.

    python benchmarks/bench_tags.py [--data DIR]

DIR holds `nuclei/nucls-points` (see its README); without it the sample slide alone is measured. The
frozen set is the points of some tiles, chosen by their names; people are simulated who are right
in 80, 90 and 100 % of their answers and answer what the gallery shows, in its order. Writes
benchmarks/results/tags.md.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import tifffile

from histoprompt.core.readers.open import open_slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.tags.choosing import DOUBTS, choose, cluster_tags
from histoprompt.pipelines.tags.compare import STAGES, compared
from histoprompt.pipelines.tags.detector import DetectParams, labels_of, predicted, rounds_of
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.records import TagRow
from histoprompt.pipelines.tags.review import ReviewAnswer, reviewed
from histoprompt.pipelines.tags.run import SlideToTag, Tagged, tag_slides
from histoprompt.pipelines.tags.scoring import Votes
from histoprompt.pipelines.tags.truth import Truth, truth_of_points
from histoprompt.pipelines.tags.work import TaggedCandidates

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SAMPLE = ROOT / "sample_data"
CLASSES = ("tumour", "stroma", "lymphocyte", "other")
MPP = 0.25
# Pixels a side of the parts of the sample slide, and what its classes are as tags.
PART = 600
KINDS = {"mitosis": "tumour", "fibroblast": "stroma", "endothelial": "stroma"}
ROUNDS = (1, 2, 3)
DRAWN = "drawn, not tissue"
EVERYTHING = 10**6
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
# Of the filter: share of lowest entropy, clusters per tag.
FILTERS = ((1.0, 1), (0.3, 1), (0.7, 1), (0.3, 4), (0.7, 4), (1.0, 4))
HEAD = ("reviewer", "clicks", *STAGES[:3], *(f"trained, {n} round{'s' * (n > 1)}" for n in ROUNDS))

Point = tuple[str, float, float, str]


@dataclass(frozen=True)
class Study:
    """Slides, each taken as a patient, and where everything lies."""

    title: str
    slides: list[SlideToTag]
    points: list[Point]


def nucls(folder: Path) -> Study:
    found: list[SlideToTag] = []
    points: list[Point] = []
    for path in sorted(folder.glob("*/images/*.png")):
        labels = path.parents[1] / "labels" / f"{path.stem}.csv"
        with labels.open(newline="") as file:
            points += [(path.stem, float(r), float(c), CLASSES[int(k)]) for c, r, k in
                       csv.reader(file)]  # fmt: skip
        found.append(_slide(path))
    return Study("NuCLS points (CC0), tiles of breast tissue", found, points)


def sample(folder: Path) -> Study:
    """Parts of the sample slide as files."""
    with open_slide(SAMPLE / "slide.ome.tif") as slide:
        pixels = np.asarray(slide.levels[0][:])
    labels = tifffile.imread(SAMPLE / "labels.tif")
    with (SAMPLE / "classes.csv").open() as file:
        kinds = {int(row["id"]): row["class"] for row in csv.DictReader(file)}
    found: list[SlideToTag] = []
    points: list[Point] = []
    for r, c in product(*(range(0, side, PART) for side in labels.shape)):
        path = folder / f"part_{r}_{c}.tif"
        tifffile.imwrite(path, pixels[r : r + PART, c : c + PART], photometric="rgb")
        found.append(_slide(path))
        part = labels[r : r + PART, c : c + PART]
        for label in np.unique(part)[1:].tolist():
            rows, cols = np.nonzero(part == label)
            name = KINDS.get(kinds[label], kinds[label])
            points.append((path.stem, float(rows.mean()), float(cols.mean()), name))
    return Study(f"the sample slide ({DRAWN}), its parts", found, points)


def _slide(path: Path) -> SlideToTag:
    return SlideToTag(path.stem, str(path), lambda: open_slide(str(path), MPP), path.stem)


def tagged(study: Study, folder: Path) -> tuple[Tagged, Truth]:
    (folder / "tags.toml").write_text(TAGS)
    with (folder / "truth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("slide", "row", "col", "tag"), *study.points])
    params = TagParams(tags=folder / "tags.toml", candidates=100)
    done = tag_slides(study.slides, params, ModelManager(device="cpu"), folder / "out", Task())
    return done, truth_of_points(done.work, folder / "truth.csv")


def person(
    work: TaggedCandidates, real: np.ndarray, right: float, most: int, seed: int
) -> list[ReviewAnswer]:
    """Answers of somebody who is right so often, to the first of what is shown."""
    rng, k, said = np.random.default_rng(seed), len(work.names), []
    for i in work.shown.tolist()[:most]:
        true = int(real[i]) if real[i] >= 0 else k
        answer = true if rng.random() < right else int((true + rng.integers(1, k + 1)) % (k + 1))
        if answer == k:
            said.append(ReviewAnswer(i + 1, "reject"))
        elif answer == work.code[i]:
            said.append(ReviewAnswer(i + 1, "accept"))
        else:
            said.append(ReviewAnswer(i + 1, "fix", work.names[answer]))
    return said


def unfiltered(rows: tuple[TagRow, ...]) -> tuple[TagRow, ...]:
    """As if nothing had been dropped."""
    return tuple(replace(row, kept=bool(row.tag), reason="") for row in rows)


def stages(done: Tagged, truth: Truth) -> Iterator[list[str]]:
    """A line per reviewer: F1 of each stage on the frozen set, the detector's by round."""
    work, rows = done.work, done.rows
    proposed = dict(zip((row.id for row in rows), work.proposed, strict=True))
    settings = [("nobody", 0.0, 0, True), ("nobody, no filter", 0.0, 0, False)]
    settings += [(f"right in {r:.0%}", r, n, True) for r in (0.8, 0.9, 1.0)
                 for n in (100, EVERYTHING)]  # fmt: skip
    settings += [("right in 90%, no filter", 0.9, EVERYTHING, False)]
    for told, right, most, filters in settings:
        start = rows if filters else unfiltered(rows)
        said = person(work, truth.code, right, most, 1) if most else []
        after = reviewed(start, said, proposed) if said else start
        labels = labels_of(work, after, truth.patients)
        found: list[str] = []
        for number in ROUNDS:
            model, made = rounds_of(work, labels, DetectParams(rounds=number))
            figures = compared(work, after, truth, predicted(work, model)[0])
            f1 = [f"{line.f1:.3f}" for line in figures if line.tag == "all"]
            found = found or f1[:3]
            found.append(f1[3] if len(made) == number else "")
        yield [told, str(len(said)), *found]


def filters(done: Tagged, truth: Truth) -> Iterator[list[str]]:
    """What filters keep and what is learnt from it, on patients that are not frozen."""
    work, rows = done.work, done.rows
    votes = Votes(
        work.vectors, work.counts, work.probability, work.counts,
        np.random.default_rng(0).integers(0, 255, (len(work), 64, 64, 3)).astype(np.uint8),
    )  # fmt: skip
    patients = np.array(work.patients)
    learnt = ~np.isin(patients, truth.patients) & (truth.code >= 0)
    names = sorted(set(patients[learnt].tolist()))
    for share, clusters in FILTERS:
        choice = choose(votes, work.of, replace(work.params, entropy_share=share,
                                                clusters=clusters, margin=0.0))  # fmt: skip
        after = tuple(replace(row, kept=bool(kept), reason=why) for row, kept, why in
                      zip(rows, choice.kept, choice.reason, strict=True))  # fmt: skip
        if clusters == 1 and share == 1.0:
            after = unfiltered(rows)
        kept = np.array([row.kept for row in after])
        found = np.full(len(work), len(work.names))
        for part in np.array_split(np.random.default_rng(0).permutation(names), 3):
            left = np.isin(patients, part)
            labels = labels_of(work, after, (*truth.patients, *part.tolist()))
            head, _ = rounds_of(work, labels, DetectParams(rounds=1))
            found[left] = predicted(work, head)[0][left]
        own = replace(truth, frozen=learnt, missed=np.zeros_like(truth.missed))
        known = [own.figures(np.where(kept, work.code, len(work.names))), own.figures(found)]
        precision, recall, f1 = np.nanmean([row[:3] for row in known[0]], axis=0)
        trained = np.nanmean([row[2] for row in known[1]])
        told = "none" if clusters == 1 and share == 1.0 else f"{share:g}, {clusters}"
        yield [told, str(int((kept & learnt).sum())), *(f"{v:.3f}" for v in
               (precision, recall, f1, trained))]  # fmt: skip


def recalls(done: Tagged, truth: Truth) -> Iterator[list[str]]:
    """What may be done with what a filter doubts: dropped, or given the tag of its cluster.

    On the frozen set; the precision beside it is that of as many raw tags, the likeliest first.
    """
    work, rows, k = done.work, done.rows, len(done.work.names)
    chance = np.concatenate([work.probability, np.zeros((len(work), 1))], axis=1)
    raw = work.code
    likely = np.where(raw < k, chance[np.arange(len(work)), raw], 0.0)
    dropped = np.array([row.reason in DOUBTS for row in rows])
    own = cluster_tags(work.vectors, raw, work.params.clusters)
    ways = {
        "raw": raw,
        "filtered": np.where(dropped, k, raw),
        "doubted ones by their cluster": np.where(dropped, own, raw),
        "all by their cluster": own,
    }
    for told, code in ways.items():
        given = int((code[truth.frozen] < k).sum())
        order = np.flatnonzero(truth.frozen)[np.argsort(-likely[truth.frozen], kind="stable")]
        few = np.full(len(work), k)
        few[order[:given]] = raw[order[:given]]
        figures = [truth.figures(one) for one in (code, few)]
        precision, recall, f1 = np.nanmean([row[:3] for row in figures[0]], axis=0)
        likeliest = np.nanmean([row[0] for row in figures[1]])
        after = tuple(
            replace(row, tag=work.names[c] if c < k else "", kept=bool(c < k), reason="")
            for row, c in zip(rows, code.tolist(), strict=True)
        )
        head, _ = rounds_of(work, labels_of(work, after, truth.patients), DetectParams(rounds=1))
        trained = truth.mean_f1(predicted(work, head)[0])
        yield [told, str(given), *(f"{v:.3f}" for v in (precision, likeliest, recall, f1, trained))]


def table(head: tuple[str, ...], rows: Iterator[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for row in rows:
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def chapter(study: Study) -> str:
    with tempfile.TemporaryDirectory() as name:
        done, truth = tagged(study, Path(name))
        n = int((truth.frozen & (truth.code < len(done.work.names))).sum() + truth.missed.sum())
        dropped = ", ".join(f"{v} {k}" for k, v in done.dropped.items())
        text = (
            f"## {study.title}\n\n{len(study.slides)} pieces, each taken as a patient; "
            f"{len(done.rows)} cells, {sum(row.kept for row in done.rows)} kept by the filter "
            f"({dropped}). Mean F1 over three tags on {n} points of {len(truth.patients)} frozen "
            f"pieces ({', '.join(truth.patients)}), of which nothing is learnt; empty where no "
            "further round gained.\n\n"
        )
        text += table(HEAD, stages(done, truth))
        text += (
            "\nThe filter (share of lowest entropy, clusters per tag), on the pieces that are not "
            "frozen, the detector on pieces left out in turn:\n\n"
        )
        head = ("filter", "kept", "precision", "recall", "F1 filtered", "F1 trained")
        text += table(head, filters(done, truth))
        return text + ("" if DRAWN in study.title else after_doubts(done, truth))


def after_doubts(done: Tagged, truth: Truth) -> str:
    head = ("tags", "given", "precision", "precision of as many, likeliest first", "recall", "F1",
            "F1 trained")  # fmt: skip
    return (
        "\nWhat is doubted, dropped or given the tag of its cluster, without people; on the frozen "
        "pieces:\n\n"
        + table(head, recalls(done, truth))
        + "\nF1 is against all points, so what is dropped counts as missed: a filter gains "
        "precision and loses recall. Given the tag of their cluster in place of being dropped, "
        "doubted candidates bring the recall back and the precision down again.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    args = parser.parse_args()
    points = args.data / "nuclei" / "nucls-points"
    with tempfile.TemporaryDirectory() as name:
        studies = [nucls(points)] if points.is_dir() else []
        chapters = [chapter(study) for study in (*studies, sample(Path(name)))]
    text = (
        "# Tags of words\n\n`python benchmarks/bench_tags.py`. Words: the list without weights. "
        "People are simulated; they answer what the gallery shows, those that disagree first, then "
        "a sample of what was dropped.\n\n"
    )
    (RESULTS / "tags.md").write_text(text + "\n".join(chapters), encoding="utf-8")


if __name__ == "__main__":
    main()
