"""A run as a script for an engine that is there already: Snakemake, or an array of Slurm jobs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from histoprompt.core.files.atomic import replace_file
from histoprompt.pipelines.recipes.recipe import RECIPE
from histoprompt.pipelines.recipes.unit import Unit

Engine = Literal["snakemake", "slurm"]
_LIST, _SNAKEFILE, _SBATCH = "slides.tsv", "Snakefile", "run.sbatch"


def emit(engine: Engine, units: Sequence[Unit], out: Path) -> Path:
    """Write the script and the list of slides beside the recipe.

    Each job runs ``histoprompt run recipe.toml SLIDE --out FOLDER``, so that a job that is done
    again goes on where it stopped.

    Parameters
    ----------
    engine : {"snakemake", "slurm"}
    units : sequence of Unit
    out : Path
        Holds ``recipe.toml``.

    Returns
    -------
    Path
        The script.
    """
    rows = ["name\tpath\tmpp\tfolder"]
    rows += [f"{u.name}\t{u.path}\t{u.mpp or '-'}\t{u.folder}" for u in units]
    replace_file(out / _LIST, "\n".join(rows) + "\n")
    text, name = (
        (_snakefile(), _SNAKEFILE) if engine == "snakemake" else (_sbatch(len(units), out), _SBATCH)
    )
    replace_file(out / name, text)
    return out / name


def _snakefile() -> str:
    return f'''# snakemake --cores 4 -s {_SNAKEFILE}
import csv

with open("{_LIST}", encoding="utf-8") as file:
    SLIDES = {{row["name"]: row for row in csv.DictReader(file, delimiter="\\t")}}


rule all:
    input: [f"done/{{n}}.txt" for n in range(len(SLIDES))]


rule slide:
    output: "done/{{n}}.txt"
    params:
        row=lambda wildcards: list(SLIDES.values())[int(wildcards.n)],
    retries: 1
    run:
        import subprocess

        row = params.row
        size = ["--mpp", row["mpp"]] if row["mpp"] != "-" else []
        command = ["histoprompt", "run", "{RECIPE}", row["path"], "--into", row["folder"], *size]
        subprocess.run(command, check=True)
        with open(output[0], "w") as file:
            file.write("done\\n")
'''


def _sbatch(count: int, out: Path) -> str:
    place = shlex.quote(str(out.absolute()))
    return f"""#!/bin/bash
# sbatch {_SBATCH}; add your partition and account
#SBATCH --job-name=histoprompt
#SBATCH --array=1-{max(1, count)}
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail
cd {place}
IFS=$'\\t' read -r name path mpp folder < <(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {_LIST})
size=()
if [ "$mpp" != "-" ]; then size=(--mpp "$mpp"); fi
histoprompt run {RECIPE} "$path" --into "$folder" "${{size[@]}}"
"""
