"""Unlike normal, scenes, tile classes and counts: how well, on tiles of cases never seen.

    python benchmarks/bench_explore.py [--data DIR] [--draws 5]

DIR holds `tiles/osteosarcoma` (60 H&E tiles of 1024 px at 10x: non-tumour, necrosis, viable tumour,
of four cases); each is cut into 16 squares. Counts and abstention are measured on simulated cells,
of which the truth is known. Writes benchmarks/results/explore.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import adjusted_rand_score, balanced_accuracy_score, roc_auc_score

from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.classes.abstention import coverage, cuts
from histoprompt.pipelines.classes.classifiers import Scaling
from histoprompt.pipelines.classes.few_shot import fit_model
from histoprompt.pipelines.classes.prevalence import class_counts
from histoprompt.pipelines.embedding.tiles import EmbedJob
from histoprompt.pipelines.explore.anomaly.find import find_unlike
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams
from histoprompt.pipelines.explore.anomaly.scores import SCORES
from histoprompt.pipelines.explore.scenes.clusters import k_means
from histoprompt.pipelines.explore.scenes.space import scene_space
from histoprompt.pipelines.explore.tile_set import TiledSlide, TileSet

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "explore.md"
SIDE, ACROSS = 256, 4
NORMAL, TUMOUR = "Non-Tumor", "Viable"
RATES = (0.01, 0.05, 0.1)


def case_of(name: str) -> str:
    part = name.split("___")[1]
    return "P9" if part.startswith("P9") else "-".join(part.split("-")[:2])


def read(data: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """All squares (n, 256, 256, 3), in the order of their images, and the images' names."""
    names, squares = [], []
    for path in sorted((data / "tiles" / "osteosarcoma").glob("*.jpg")):
        image = np.asarray(Image.open(path).convert("RGB"))[: SIDE * ACROSS, : SIDE * ACROSS]
        rows = image.reshape(ACROSS, SIDE, ACROSS, SIDE, 3).swapaxes(1, 2)
        squares.append(rows.reshape(-1, SIDE, SIDE, 3))
        names.append(path.name)
    return np.concatenate(squares), names


def colours(squares: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Histograms of 16 bins per colour, what an encoder must beat."""
    flat = squares.reshape(len(squares), -1, 3) // 16
    bins = [[np.bincount(one[:, c], minlength=16) for c in range(3)] for one in flat]
    return np.array(bins, np.float32).reshape(len(squares), -1) / flat.shape[1]


def tile_set(vectors: NDArray[np.float32], image: NDArray[np.intp], slide: list[str]) -> TileSet:
    """Images side by side on slides, 16 squares each."""
    names = sorted(set(slide))
    of = np.array([names.index(s) for s in slide], np.int32)
    within = np.arange(len(vectors)) % ACROSS**2
    places = np.stack([within // ACROSS, image * ACROSS + within % ACROSS], axis=1)
    boxes = np.concatenate([places, places + 1], axis=1).astype(np.int64) * SIDE
    slides = tuple(TiledSlide(n, n, mpp=1.0, shape=(10**6, 10**6), step=SIDE) for n in names)
    area = np.full(len(vectors), 0.0655)
    return TileSet(slides, of, boxes, places.astype(np.int32), vectors, area, "e", "d")


def unlike(vectors, image, kind, case) -> Iterator[str]:
    """Viable tumour against normal tissue of a case (or images) that the reference lacks."""
    yield "| reference | score | AUROC | false alarms at 1 % | at 5 % | at 10 % | hits at 5 % |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    normal, rng = kind == NORMAL, np.random.default_rng(0)
    images = np.unique(image[normal])
    setups: dict[str, list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]] = {}
    for away in np.unique(case[normal]):
        setups.setdefault("3 other cases", []).append(
            (normal & (case != away), normal & (case == away))
        )
        near = rng.choice([c for c in np.unique(case[normal]) if c != away])
        setups.setdefault("1 other case", []).append(
            (normal & (case == near), normal & (case == away))
        )
    for count in (2, 5, 13):
        for _ in range(4):
            shuffled = rng.permutation(images)
            seen = np.isin(image, shuffled[:count])
            left = normal & np.isin(image, shuffled[count:])
            setups.setdefault(f"{count} other images", []).append((seen, left))
    for name, draws in setups.items():
        rows = {score: [] for score in SCORES}
        for reference, new in draws:
            query = new | (kind == TUMOUR)
            slides = case if "case" in name else np.full(len(case), "one")
            tiles = tile_set(vectors[query], image[query], ["query"] * int(query.sum()))
            beyond = tile_set(
                vectors[reference], image[reference], [str(s) for s in slides[reference]]
            )
            found = find_unlike(
                tiles, np.zeros(len(tiles), bool), UnlikeParams(rate=0.05), Task(), beyond
            )
            truth = kind[query] == TUMOUR
            for score in SCORES:
                p = found.p_of(score)
                rows[score].append(
                    [
                        roc_auc_score(truth, found.score(score)),
                        *((p[~truth] <= rate).mean() for rate in RATES),
                        (p[truth] <= 0.05).mean(),
                    ]
                )
        for score in SCORES:
            auroc, *shares = np.mean(rows[score], axis=0)
            yield (
                f"| {name} | {score} | {auroc:.2f} | "
                + " | ".join(f"{v:.1%}" for v in shares)
                + " |"
            )


def tile_classes(features, image, kind, draws: int) -> Iterator[str]:
    """Balanced accuracy on images that no mark lies on; marks of few images."""
    yield "| features | method | marks per class | balanced accuracy |"
    yield "|---|---|---:|---:|"
    names, code = np.unique(kind, return_inverse=True)
    for label, values in features.items():
        scaled = Scaling.of(values, [f"e_{k}" for k in range(values.shape[1])]).apply(values)
        methods = ("discriminant", "logistic", "prototype", "forest")
        for method in methods if label == "EfficientNet-Lite0" else ("discriminant",):
            for marks in (1, 3, 10, 30):
                if marks == 1 and method in ("discriminant", "logistic"):
                    continue
                rng, right = np.random.default_rng(1), []
                for _ in range(draws if method != "forest" else 2):
                    rows = np.concatenate(
                        [_marks(rng, image, code == c, marks) for c in range(len(names))]
                    )
                    model = fit_model(
                        scaled[rows], code[rows].astype(np.int16), len(names), method, 10.0
                    ).model
                    new = ~np.isin(image, image[rows])
                    found = model.probabilities(scaled[new]).argmax(axis=1)
                    right.append(balanced_accuracy_score(code[new], found))
                yield f"| {label} | {method} | {marks} | {np.mean(right):.2f} |"
    yield f"| none | majority | | {1 / len(names):.2f} |"


def _marks(rng, image, mine, count: int) -> NDArray[np.intp]:
    """Marks of a class on half of its images."""
    images = rng.permutation(np.unique(image[mine]))
    rows = np.flatnonzero(mine & np.isin(image, images[: len(images) // 2]))
    return rng.choice(rows, count, replace=False)


def scenes(features, image, kind) -> Iterator[str]:
    """Agreement of three k-means clusters with the three classes, and of two seeds."""
    yield "| features | space | adjusted Rand index with the truth | of two halves |"
    yield "|---|---|---:|---:|"
    for label, values in features.items():
        tiles = tile_set(values, image, ["one"] * len(values))
        deviation = np.maximum(values.std(axis=0), 1e-6)
        plain = ((values - values.mean(axis=0)) / deviation).astype(np.float32)
        for name, space in (
            ("standardised", plain),
            ("main directions", scene_space(tiles, smooth=False)),
            ("main directions, with neighbours", scene_space(tiles, smooth=True)),
        ):
            code, _ = k_means(space, 3)
            halves = [k_means(space[s::2], 3)[1] for s in (0, 1)]
            one, two = ((space @ c.T - (c**2).sum(axis=1) / 2).argmax(axis=1) for c in halves)
            yield (
                f"| {label} | {name} | {adjusted_rand_score(kind, code):.2f} | "
                f"{adjusted_rand_score(one, two):.2f} |"
            )


def simulated(rng, counts, apart: float) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Probabilities, classes alike, of cells of two classes that are so many deviations apart."""
    code = np.repeat([0, 1], counts).astype(np.int16)
    x = rng.normal(0, 1, len(code)) + np.where(code == 0, apart, 0)
    p = 1 / (1 + np.exp(-(apart * x - apart**2 / 2)))
    return np.stack([p, 1 - p], axis=1).astype(np.float32), code


def prevalence(apart: float = 2.0, cells: int = 2000) -> Iterator[str]:
    """Bias of the share of a rare class by method; 50 examples per class."""
    yield "| true share | counted | adjusted | 95 % interval holds it | expected | audited |"
    yield "|---:|---:|---:|---:|---:|---:|"
    for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5):
        rows = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            held_out, code = simulated(rng, [50, 50], apart)
            rare = round(share * cells)
            probability, _ = simulated(rng, [rare, cells - rare], apart)
            found = class_counts(probability, held_out, code, ("rare", "usual"))
            audited = rng.hypergeometric(rare, cells - rare, 200) / 200
            rows.append(
                [
                    found.counted[0] / cells,
                    found.adjusted[0] / cells,
                    found.low[0] <= rare <= found.high[0],
                    found.expected[0] / cells,
                    audited,
                ]
            )
        counted, adjusted, held, expected, audit = np.mean(rows, axis=0)
        spread = np.std(rows, axis=0)
        yield (
            f"| {share:.0%} | {counted:.1%} | {adjusted:.1%} ± {spread[1]:.1%} | {held:.0%} | "
            f"{expected:.1%} ± {spread[3]:.1%} | {audit:.1%} ± {spread[4]:.1%} |"
        )


def abstention(apart: float = 2.0) -> Iterator[str]:
    """What a typed error rate per class comes to on 1,000 new cells of each; 60 examples each."""
    yield "| typed | true class ruled out | decided | wrong of those decided |"
    yield "|---:|---:|---:|---:|"
    for error in (0.02, 0.05, 0.1, 0.2):
        rows = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            cut = cuts(*simulated(rng, [60, 60], apart), error)
            new, true = simulated(rng, [1000, 1000], apart)
            found = coverage(new, true, ("a", "b"), cut)
            rows += [[1 - one.kept, one.decided, one.wrong] for one in found]
        out, decided, wrong = np.nanmean(rows, axis=0)
        yield f"| {error:.0%} | {out:.1%} | {decided:.0%} | {wrong:.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    squares, names = read(args.data)
    image = np.repeat(np.arange(len(names)), ACROSS**2)
    kind = np.array([n.split("___")[0] for n in names])[image]
    case = np.array([case_of(n) for n in names])[image]
    job = EmbedJob(ModelManager(device="cpu"), registry.card("efficientnet-lite0"))
    vectors = job.embed(Task(), squares)
    features = {"EfficientNet-Lite0": vectors, "colour histogram": colours(squares)}
    parts = {
        "Unlike normal: viable tumour against normal tissue": unlike(vectors, image, kind, case),
        "Tile classes: three tissues, other images": tile_classes(
            features, image, kind, args.draws
        ),
        "Scenes: three clusters against three tissues": scenes(features, image, kind),
        "Counts when classes are rarer than among the examples (simulated)": prevalence(),
        "Abstention at a typed error rate per class (simulated)": abstention(),
    }
    lines = [
        "# Unlike normal, scenes, tile classes, counts",
        "",
        f"`python benchmarks/bench_explore.py`: {len(vectors)} squares of {len(names)} "
        "osteosarcoma tiles (TCIA, CC BY 3.0) of four cases.",
        "False alarms are on normal tissue that the reference lacks. One image or one case does",
        "not show what normal tissue may be (here fat, muscle, bone, marrow, vessels): there the",
        "typed rate does not hold, and no score tells tumour from tissue that was never shown.",
        "Counts and abstention are simulated: probabilities are right there, which is the best",
        "case of the expectation.",
    ]
    for title, rows in parts.items():
        lines += ["", f"## {title}", "", *rows]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
