"""Which tiles of a slide go with a feature or a word, by what an encoder saw of them.

A direction among tiles is learnt from the means of patients, each without the patient whose tiles
are chosen, within sites; a tile goes most with it that lies farthest along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.task import Task
from histoprompt.pipelines.explore.index import TISSUE, SlideIndex
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.space import Space
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.relate.of_index import open_indexes, tiles_in, tissue_of
from histoprompt.pipelines.relate.params import FEWEST
from histoprompt.pipelines.relate.permute import centred
from histoprompt.pipelines.relate.ridge import best_strengths, eigen
from histoprompt.pipelines.relate.study import Study

Floats = NDArray[np.float64]
# Of a tile that is shown.
_LEAST_TISSUE = 0.5
# Tiles by which a word is told to stand out, and by how many spreads it does.
_SAMPLE, _STANDS_OUT = 2000, 1.0


@dataclass(frozen=True, eq=False)
class TileSight:
    """The tiles of a study's slides.

    Attributes
    ----------
    study : Study
    parts : dict of str to SlideIndex
        By slide.
    space : Space
    means : (patients, d) float64
        Of the tiles of each patient, weighted by tissue; nan of patients without.
    """

    study: Study
    parts: dict[str, SlideIndex]
    space: Space
    means: Floats

    @classmethod
    def of(cls, project: Project, study: Study, encoder: str, task: Task) -> TileSight | None:
        """None where fewer than 20 patients have an indexed slide."""
        names, found, _ = open_indexes(project, encoder, task)
        parts = dict(zip(names, found, strict=True))
        seen = [[parts[s] for s in slides if s in parts] for slides in study.slides]
        if sum(bool(of) for of in seen) < FEWEST:
            return None
        space = Space.of(ProjectIndex(tuple(found)))
        means = np.full((len(study), found[0].width), np.nan)
        for i, of in enumerate(seen):
            task.repeat()
            if of:
                weights = [tissue_of(p) for p in of]
                sums = sum(w @ tiles_in(p, space) for w, p in zip(weights, of, strict=True))
                means[i] = sums / sum(float(w.sum()) for w in weights)
        return cls(study, parts, space, means)

    def direction(self, values: Floats, without: int = -1) -> Floats | None:
        """Where tiles go with higher values of patients (d,); None where it cannot be learnt.

        Parameters
        ----------
        values : (patients,) float64
        without : int
            A patient that is not learnt from.
        """
        rows = np.isfinite(values) & np.isfinite(self.means[:, 0])
        rows[without] &= without < 0
        if rows.sum() < FEWEST - 1:
            return None
        sites = self.study.site[rows]
        x, y = centred(self.means[rows], sites), centred(values[rows, None], sites)
        if np.abs(y).max() < 1e-12:
            return None
        eigenvalues, vectors = eigen(x @ x.T)
        strength = float(best_strengths(eigenvalues, vectors, y)[0])
        weights = vectors @ ((vectors.T @ y[:, 0]) / (eigenvalues + strength))
        return np.asarray(x.T @ weights)

    def best(
        self, patient: int, values: Floats, *, highest: bool
    ) -> tuple[str, Box, Floats] | None:
        """The slide and tile of a patient that goes most, or least, with values; and its vector."""
        along = self.direction(values, patient)
        if along is None:
            return None
        found: tuple[float, str, int] | None = None
        for slide in (s for s in self.study.slides[patient] if s in self.parts):
            part = self.parts[slide]
            score = tiles_in(part, self.space) @ along * (1 if highest else -1)
            full = part.flags[TISSUE] >= min(_LEAST_TISSUE, float(part.flags[TISSUE].max()))
            row = int(np.where(full, score, -np.inf).argmax())
            if found is None or score[row] > found[0]:
                found = (float(score[row]), slide, row)
        if found is None:
            return None
        _, slide, row = found
        part = self.parts[slide]
        vector = (part.vectors.take(np.array([row]))[0] - self.space.mean) * self.space.scale
        return slide, Box(*part.boxes[row].tolist()), np.asarray(vector, np.float64)

    def words(self, affirmed: Sequence[tuple[str, Floats]]) -> tuple[TileWord, ...]:
        """Words as they are seen in tiles; those of which nothing can be learnt are left out.

        Parameters
        ----------
        affirmed : sequence of (str, (patients,) float64)
            Words, and which patients' reports affirm them.
        """
        whole = ProjectIndex(tuple(self.parts.values()))
        rows = np.unique(np.linspace(0, len(whole) - 1, min(len(whole), _SAMPLE)).astype(int))
        sample = (whole.take(rows) - self.space.mean) * self.space.scale
        found = []
        for word, values in affirmed:
            along = self.direction(values)
            if along is not None:
                scores = np.asarray(sample, np.float64) @ along
                spread = max(float(scores.std()), 1e-12)
                found.append(TileWord(word, along, float(scores.mean()), spread))
        return tuple(found)


@dataclass(frozen=True, eq=False)
class TileWord:
    """A word of reports, and where tiles go with it.

    Attributes
    ----------
    word : str
    along : (d,) float64
    mean, spread : float
        Of how far a sample of all tiles lies along.
    """

    word: str
    along: Floats
    mean: float
    spread: float


def standing_out(vector: Floats, words: Sequence[TileWord]) -> tuple[str, ...]:
    """The words that stand out in a tile, the most telling first: from a region to its words.

    Parameters
    ----------
    vector : (d,) float64
        Of `TileSight.best`.
    words : sequence of TileWord
    """
    told = [(-(float(vector @ one.along) - one.mean) / one.spread, one.word) for one in words]
    return tuple(word for far, word in sorted(told) if -far >= _STANDS_OUT)
