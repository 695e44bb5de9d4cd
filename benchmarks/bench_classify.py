"""Few-shot classes of nuclei: how right, with how many labels, how quickly.

    python benchmarks/bench_classify.py [--data DIR] [--draws 20] [--only few-shot review retrain]

DIR holds `nuclei/nucls-points` (see its README): H&E tiles with nucleus centres and classes.
Training nuclei are drawn from the 10 train tiles; everything is measured on the 5 test tiles,
which are of other patients. Writes benchmarks/results/{few-shot,review,retrain}.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

import nucls
from histoprompt.core.cell_table import CellTable
from histoprompt.pipelines.classes.active_learning import Review, next_cell
from histoprompt.pipelines.classes.train import TrainedClassifier, Trainer
from histoprompt.pipelines.classes.train_params import TrainParams

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = np.array(nucls.CLASSES)
SHOTS = (1, 3, 10, 30)
# Every cell gets a class: what is unsure would make the figures incomparable.
FORCED = TrainParams(margin=0.0, percentile=100.0)
MILESTONES = (8, 16, 24, 40, 60)


def table_of(features: NDArray[np.float32], names: Sequence[str]) -> CellTable:
    n = len(features)
    zero = np.zeros(n)
    return CellTable(
        np.arange(1, n + 1), zero, zero, zero, features=features, feature_names=tuple(names)
    )


def kinds(nuclei: nucls.Nuclei) -> dict[str, CellTable]:
    both = np.hstack([nuclei.made, nuclei.seen])
    return {
        "hand-made": table_of(nuclei.made, nuclei.made_names),
        "embedding": table_of(nuclei.seen, nuclei.seen_names),
        "both": table_of(both, nuclei.made_names + nuclei.seen_names),
        "crops": table_of(nuclei.around, nuclei.around_names),
        "hand-made and crops": table_of(
            np.hstack([nuclei.made, nuclei.around]), nuclei.made_names + nuclei.around_names
        ),
        "all": table_of(
            np.hstack([both, nuclei.around]),
            nuclei.made_names + nuclei.seen_names + nuclei.around_names,
        ),
    }


def draw(code: NDArray[np.intp], each: int, seed: int) -> dict[int, str]:
    rng = np.random.default_rng(seed)
    labels: dict[int, str] = {}
    for c, name in enumerate(NAMES):
        rows = rng.permutation(np.flatnonzero(code == c))[:each]
        labels |= {int(r) + 1: str(name) for r in rows}
    return labels


def scores(found: NDArray[np.str_], code: NDArray[np.intp]) -> tuple[float, float]:
    true = NAMES[code]
    return float((found == true).mean()), float(f1_score(true, found, average="macro"))


def likeliest(fit: TrainedClassifier, cells: CellTable) -> NDArray[np.str_]:
    scaled = fit.classifier.scaling.apply(cells.features)
    probability, _ = fit.classifier.judge(scaled)
    return np.array(fit.classifier.classes)[probability.argmax(axis=1)]


def few_shot(train: nucls.Nuclei, test: nucls.Nuclei, draws: int) -> str:
    lines = [
        "| features | labels a class | accuracy | macro F1 | sure | right when sure |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind in kinds(train):
        cells, others = kinds(train)[kind], kinds(test)[kind]
        trainer = Trainer(cells)
        for each in SHOTS:
            found = [
                _one(trainer.fit(draw(train.code, each, s)), others, test.code)
                for s in range(draws)
            ]
            mean, spread = np.nanmean(found, axis=0), np.nanstd(found, axis=0)
            cell = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True)]
            lines.append(f"| {kind} | {each} | {' | '.join(cell)} |")
            print(lines[-1], flush=True)
    most = int(np.bincount(train.code).argmax())
    accuracy, f1 = scores(np.full(len(test.code), NAMES[most]), test.code)
    lines.append(f"| none: always {NAMES[most]} | | {accuracy:.3f} | {f1:.3f} | | |")
    counts = [", ".join(f"{k} {n}" for n, k in zip(NAMES, np.bincount(half.code), strict=True))
              for half in (train, test)]  # fmt: skip
    text = (
        f"`python benchmarks/bench_classify.py --only few-shot --draws {draws}`: NuCLS points "
        "(CC0), labels drawn from the train "
        f"tiles ({counts[0]}), measured on the test tiles of other patients ({counts[1]}); "
        f"mean ± standard deviation over {draws} draws. Masks: what `histoprompt-cells` finds "
        f"at the point ({train.found:.0%} and {test.found:.0%} of them), else a disc of 3 um. "
        f"Hand-made: {train.made.shape[1]} features; embedding: {train.seen.shape[1]} "
        f"channels under the mask; crops: {train.around.shape[1]} numbers of EfficientNet-Lite0 "
        "around the point (32 um). Accuracy and F1 without `unsure`; the last two columns with it: "
        "share of cells that are sure, and how many of those are right. The strength of the "
        "regularisation was chosen on these figures. A crop shows the neighbours and the stain of "
        "its slide more than the cell: on other patients crops alone are worst, and beside others "
        "they help with few labels at most. On one's own slide *Compare features* tells."
    )
    return "# Few-shot classes\n\n" + text + "\n\n" + "\n".join(lines) + "\n"


def _one(fit: TrainedClassifier, others: CellTable, code: NDArray[np.intp]) -> tuple[float, ...]:
    classes, given, _ = fit.classifier.classify(others.features, others.feature_names)
    names = np.array(classes)[given]
    sure = given < len(classes) - 1
    right = float((names == NAMES[code])[sure].mean()) if sure.any() else float("nan")
    return (*scores(likeliest(fit, others), code), float(sure.mean()), right)


def labelling(
    cells: CellTable, code: NDArray[np.intp], seed: int, *, by_queue: bool
) -> list[float]:
    """Macro F1 on the cells that are not labelled, at each milestone."""
    trainer, rng = Trainer(cells, FORCED), np.random.default_rng(seed)
    review = Review(labels=draw(code, 1, seed))
    order, found = iter(rng.permutation(len(code)).tolist()), []
    while len(found) < len(MILESTONES):
        fit = trainer.fit(review.labels)
        if len(review.labels) == MILESTONES[len(found)]:
            left = ~np.isin(cells.id, list(review.labels))
            found.append(scores(likeliest(fit, cells[left]), code[left])[1])
        if by_queue:
            cell = next_cell(fit, review).id
        else:
            cell = next(i + 1 for i in order if i + 1 not in review.labels)
        review = review.labelled(cell, str(NAMES[code[cell - 1]]))
    return found


def review_queue(train: nucls.Nuclei, draws: int) -> str:
    cells = kinds(train)["hand-made"]
    curves = {
        by_queue: np.array(
            [labelling(cells, train.code, s, by_queue=by_queue) for s in range(draws)]
        )
        for by_queue in (False, True)
    }
    heads = " | ".join(f"{m} labels" for m in MILESTONES)
    lines = [f"| picked | {heads} |", "|---|" + "---:|" * len(MILESTONES)]
    for by_queue, curve in curves.items():
        mean, spread = curve.mean(axis=0), curve.std(axis=0)
        row = " | ".join(f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True))
        lines.append(f"| {'by the queue' if by_queue else 'at random'} | {row} |")
    goal = float(curves[False].mean(axis=0)[-1])
    needed = _needed(curves[True].mean(axis=0), goal)
    text = (
        "`python benchmarks/bench_classify.py`: macro F1 on the nuclei of the train tiles that are "
        f"not labelled (the same slides, as in a real session), hand-made features, starting from "
        f"one label a class, answers from the truth; mean ± standard deviation over {draws} draws. "
        f"What random picking reaches with {MILESTONES[-1]} labels ({goal:.3f}) the queue reaches "
        f"with {needed}."
    )
    return "# Review queue\n\n" + text + "\n\n" + "\n".join(lines) + "\n"


def _needed(curve: NDArray[np.float64], goal: float) -> str:
    if curve.max() < goal:
        return f"more than {MILESTONES[-1]}"
    after = int((curve >= goal).argmax())
    if after == 0:
        return f"at most {MILESTONES[0]}"
    near = slice(after - 1, after + 1)
    return f"about {np.interp(goal, curve[near], MILESTONES[near]):.0f}"


def retrain(train: nucls.Nuclei, cells: int = 50_000) -> str:
    """Time from a changed label to all classes, on copies of the nuclei with noise."""
    base = kinds(train)["both"]
    rows = np.resize(np.arange(len(base)), cells)
    noise = np.random.default_rng(0).normal(0, 0.05, (cells, base.features.shape[1]))
    features = base.features[rows] + noise.astype(np.float32) * np.nanstd(base.features, axis=0)
    table = table_of(features.astype(np.float32), base.feature_names)
    spent, trainer = _timed(lambda: Trainer(table), 3)
    lines = [
        "| step | labels | median ms | CPU ms |",
        "|---|---:|---:|---:|",
        f"| once a table | | {spent[0]:.0f} | {spent[1]:.0f} |",
    ]
    for method in ("auto", "prototype", "forest"):
        trainer.params = TrainParams(method=method)
        for each in (30,) if method == "forest" else (3, 10, 30):
            labels = draw(train.code, each, 0)
            spent, _ = _timed(lambda x=labels: trainer.fit(x), 3)
            name = f"train ({method}) and classify all"
            lines.append(f"| {name} | {len(labels)} | {spent[0]:.0f} | {spent[1]:.0f} |")
            print(lines[-1], flush=True)
    text = (
        f"`python benchmarks/bench_classify.py`: {cells:,} cells with {len(base.feature_names)} "
        f"features, 4 classes, {platform.system()}, threads: "
        f"{os.environ.get('OMP_NUM_THREADS', 'all')}, load average {os.getloadavg()[0]:.1f}. "
        "Includes cross-validation. Aim: under 300 ms."
    )
    return "# Retraining\n\n" + text + "\n\n" + "\n".join(lines) + "\n"


def _timed(call: Callable[[], Any], times: int) -> tuple[tuple[float, float], Any]:
    out = call()
    wall, cpu = [], []
    for _ in range(times):
        start, busy = time.perf_counter(), time.process_time()
        out = call()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    return (1000 * float(np.median(wall)), 1000 * float(np.median(cpu))), out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--draws", type=int, default=20)
    parts = ("few-shot", "review", "retrain")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    args = parser.parse_args()
    folder = args.data / "nuclei" / "nucls-points"
    if not folder.is_dir():
        raise SystemExit(f"{folder} is not there; --data says where the data set lies.")
    train, test = nucls.read(folder / "train"), nucls.read(folder / "test")
    if "few-shot" in args.only:
        (RESULTS / "few-shot.md").write_text(few_shot(train, test, args.draws))
    if "review" in args.only:
        (RESULTS / "review.md").write_text(review_queue(train, args.draws))
    if "retrain" in args.only:
        (RESULTS / "retrain.md").write_text(retrain(train))


if __name__ == "__main__":
    main()
