"""What 100, 10,000 and 1,000,000 slides cost, from the measured figures.

    python benchmarks/scale_costs.py [--tissue 150] [--gigabytes 1.0] [--core-hour 0.04] ...

Prints the table of `docs/explain/scale.md`, which is filled with it when the documentation is
built. Prices and sizes of slides are no measurements: they are the arguments, with values that are
usual in 2026.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).with_name("results") / "scale.md"
_ROW = re.compile(r"^\| ([^|]+?) \| ([-\d.,]+)%? \|", re.MULTILINE)
SLIDES = (100, 10_000, 1_000_000)


@dataclass(frozen=True)
class Assumed:
    """What was not measured.

    Attributes
    ----------
    tissue : float
        mm² of a slide that are counted.
    gigabytes : float
        Of a slide's file.
    core_hour, terabyte_month, terabyte_out : float
        Prices, US dollars: an hour of a CPU core, a month of a terabyte on disk, a terabyte over
        the border of a data centre.
    cores : int
        That work at once.
    gigabit : float
        Per second, of the network that all of them share.
    """

    tissue: float = 150.0
    gigabytes: float = 1.0
    core_hour: float = 0.04
    terabyte_month: float = 23.0
    terabyte_out: float = 90.0
    cores: int = 64
    gigabit: float = 10.0


@dataclass(frozen=True)
class Cost:
    """Of a study.

    Attributes
    ----------
    slides : int
    core_hours, hours : float
        Of one core; of all of them together.
    results_tb, slides_tb : float
    network_hours : float
        To bring the slides to the workers once.
    dollars : float
        Cores, a month of slides and results on disk, nothing over the border.
    bottleneck : str
    """

    slides: int
    core_hours: float
    hours: float
    results_tb: float
    slides_tb: float
    network_hours: float
    dollars: float
    bottleneck: str


def measured(page: Path = RESULTS) -> dict[str, float]:
    """The figures of the results page, by their names."""
    found = _ROW.findall(page.read_text(encoding="utf-8"))
    return {name: float(value.replace(",", "")) for name, value in found}


def cost(slides: int, given: Assumed, figures: dict[str, float]) -> Cost:
    """What a study of so many slides costs."""
    per_mm2 = figures["CPU seconds per slide, two processes"] / figures["mm² of each slide"]
    scheduler = figures["CPU seconds of the scheduler per slide"]
    work = slides * (per_mm2 * given.tissue + scheduler) / 3600
    size = given.tissue * figures["bytes of labels, tables and outlines per mm²"]
    results = slides * (size + figures["bytes of the page and its pictures per slide"]) / 1e12
    files = slides * given.gigabytes / 1e3
    hours, network = work / given.cores, slides * given.gigabytes * 8 / given.gigabit / 3600
    planning = slides * scheduler / 3600
    longest = max((hours, "the processors"), (network, "the network"), (planning, "the scheduler"))
    dollars = work * given.core_hour + (files + results) * given.terabyte_month
    return Cost(slides, work, max(hours, network), results, files, network, dollars, longest[1])


def table(given: Assumed | None = None) -> str:
    """The costs as a table in Markdown, with what was assumed."""
    given = given or Assumed()
    figures = measured()
    head = (
        "| slides | core hours | hours | slides on disk | results on disk | hours of network | "
        "US dollars | bottleneck |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
    )
    rows = "".join(
        f"| {one.slides:,} | {one.core_hours:,.0f} | {one.hours:,.1f} | {one.slides_tb:,.1f} TB | "
        f"{one.results_tb:,.2f} TB | {one.network_hours:,.1f} | {one.dollars:,.0f} | "
        f"{one.bottleneck} |\n"
        for one in (cost(n, given, figures) for n in SLIDES)
    )
    return (
        f"{head}{rows}\nAssumed: {given.tissue:g} mm² of tissue and {given.gigabytes:g} GB per "
        f"slide, {given.cores} cores, a network of {given.gigabit:g} Gbit/s that they share, "
        f"{given.core_hour:g} $ per core hour, {given.terabyte_month:g} $ per TB and month. Slides "
        f"that leave a data centre cost another {given.terabyte_out:g} $ per TB."
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in vars(Assumed()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    sys.stdout.write(table(Assumed(**vars(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
