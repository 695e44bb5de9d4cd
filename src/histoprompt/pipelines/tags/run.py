"""Slides and tags in; proposals, filtered, with a gallery and a training set, out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import Cancelled, HistopromptError, ParameterError, SlideError
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import known_mpp
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.recipes.beside import placed
from histoprompt.pipelines.tags.candidates import Candidates, find_candidates, together
from histoprompt.pipelines.tags.choosing import REASONS, Choice, choose
from histoprompt.pipelines.tags.gallery import write_gallery
from histoprompt.pipelines.tags.headers import contradictions, facts_of, headers, places
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.records import TAGS_CSV, TagRow, read_rows, write_rows
from histoprompt.pipelines.tags.review import (
    Precision,
    ReviewAnswer,
    keep_answers,
    precisions,
    reviewed,
)
from histoprompt.pipelines.tags.scoring import Votes, WordingVectors, read_words, vote
from histoprompt.pipelines.tags.tag_file import read_tags, write_tags
from histoprompt.pipelines.tags.training_set import Opener, check_place, write_training_set
from histoprompt.pipelines.tags.work import (
    TaggedCandidates,
    TaggedSlide,
    frozen_patients,
    read_work,
    write_work,
)

# Dropped candidates that are shown beside those that are kept, so that the filter can be checked.
CHECKED = 60
_SEED = 7
# The tags as they were, with the wordings that were ticked and those that were only drafted.
USED = "tags_used.toml"


@dataclass(frozen=True)
class SlideToTag:
    """A slide that is to be tagged.

    Attributes
    ----------
    id : str
    path : str
    open : callable
        Opens it.
    patient : str
        Empty where nobody said whose it is.
    """

    id: str
    path: str
    open: Callable[[], AbstractContextManager[Slide]]
    patient: str = ""


@dataclass(frozen=True, eq=False)
class Tagged:
    """What came of tagging, or of a review.

    Attributes
    ----------
    folder : Path
    work : TaggedCandidates
    rows : tuple of TagRow
    precisions : tuple of Precision
    labels : int
        In the training set.
    dropped : dict of str to int
    notes : tuple of str
        Slides that were left out, and why.
    """

    folder: Path
    work: TaggedCandidates
    rows: tuple[TagRow, ...]
    precisions: tuple[Precision, ...]
    labels: int
    dropped: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> list[str]:
        """What a person is told, a line each."""
        kept = sum(row.kept for row in self.rows)
        lines = [
            f"{len(self.rows)} candidates, {kept} kept, {self.labels:,} labels -> {self.folder}"
        ]
        if self.dropped:
            lines.append("dropped: " + ", ".join(f"{n} {why}" for why, n in self.dropped.items()))
        for one in self.precisions:
            share = f"{one.share:.2f} ({one.low:.2f} to {one.high:.2f})" if one.looked else "-"
            aim = one.hint(self.work.params.aim)
            lines.append(f"{one.tag}: {one.right} of {one.looked} right, precision {share}; {aim}")
        return lines


@dataclass(frozen=True, eq=False)
class _Seen:
    """One slide with its candidates and their votes."""

    slide: TaggedSlide
    found: Candidates
    votes: Votes
    places: list[str]


def tag_slides(
    slides: Sequence[SlideToTag], params: TagParams, manager: ModelManager, out: Path, task: Task
) -> Tagged:
    """Propose tags for the cells or tiles of slides, filter them, and write all files.

    Parameters
    ----------
    slides : sequence of SlideToTag
        One that cannot be used is left out, and told of.
    params : TagParams
    manager : ModelManager
    out : Path
        Folder of the results.
    task : Task

    Raises
    ------
    PromptError
        If the tags cannot be read, or the model does not know a word of theirs.
    ExportError
        If something else lies where the training set goes.
    HistopromptError
        What is wrong with the slide where there is one only, or with the last where all fail.
    """
    if params.tags is None:
        raise ParameterError("Tags are not given; name a file of tags.")
    check_place(out)
    tags = read_tags(params.tags)
    job = ScoreJob(manager, registry.card(params.model), params.weights)
    words = read_words(tags, params, job, task)
    seen, notes = _look_at_all(slides, words, params, job, task)
    write_tags(out / USED, tags)
    of = np.repeat(np.arange(len(seen)), [len(one.votes) for one in seen])
    votes = _joined([one.votes for one in seen])
    choice = choose(votes, of, params)
    work, rows = _made(seen, (votes, choice, of), params, words)
    return _write(
        out, work, rows, dropped=choice.dropped, opened=_opener(slides), task=task,
        notes=tuple(notes),
    )  # fmt: skip


def review(
    out: Path,
    said: Sequence[ReviewAnswer],
    task: Task,
    opened: Opener | None = None,
    *,
    keep: bool = True,
) -> Tagged:
    """Take answers into the results of a folder, and write all files anew.

    Raises
    ------
    RecordError
        If the folder holds no tagging, or an answer cannot be taken in.
    SlideError
        If a slide is not where it was.
    """
    work, rows = read_work(out), read_rows(out / TAGS_CSV)
    proposed = dict(zip((row.id for row in rows), work.proposed, strict=True))
    after = reviewed(rows, said, proposed)
    done = _write(out, work, after, dropped=_dropped(after), opened=opened or reopened, task=task)
    if keep:
        keep_answers(out, work.names, said)
    return done


def read_tagged(out: Path) -> Tagged:
    """The results of a folder as they are; raises `RecordError`."""
    work, rows = read_work(out), read_rows(out / TAGS_CSV)
    if len(rows) != len(work):
        raise SlideError(f"{out / TAGS_CSV} has {len(rows):,} lines of {len(work)}. Tag anew.")
    labels = sum(bool(row.label) for row in rows)
    return Tagged(out, work, rows, _precisions(work, rows), labels, _dropped(rows))


def _look_at_all(
    slides: Sequence[SlideToTag],
    words: WordingVectors,
    params: TagParams,
    job: ScoreJob,
    task: Task,
) -> tuple[list[_Seen], list[str]]:
    seen: list[_Seen] = []
    notes: list[str] = []
    fault: HistopromptError | None = None
    for number, one in enumerate(slides):
        part = task.part(number / len(slides), (number + 1) / len(slides))
        try:
            with one.open() as slide:
                seen.append(_look(one, slide, (words, params), job, part))
        except Cancelled:
            raise
        except HistopromptError as error:
            fault = error
            notes.append(f"{one.id} is left out: {error}")
    if not seen:
        raise fault or SlideError("There are no slides to tag.")
    return seen, notes


def _look(
    one: SlideToTag,
    slide: Slide,
    asked: tuple[WordingVectors, TagParams],
    job: ScoreJob,
    task: Task,
) -> _Seen:
    words, params = asked
    found = find_candidates(slide, params, job.manager, task)
    squares = found.squares(known_mpp(slide), params.kind)
    votes = vote(slide, squares, words, job, task)
    around = places(slide, found.centres, job, task)
    tagged = TaggedSlide(
        one.id, one.path, known_mpp(slide), one.patient or one.id, slide.key, found.found
    )
    return _Seen(tagged, found, votes, around)


def _joined(votes: Sequence[Votes]) -> Votes:
    columns = [
        [getattr(one, name) for one in votes]
        for name in ("vectors", "counts", "probability", "wording", "pictures")
    ]
    return Votes(*(np.concatenate(column) for column in columns))


def _made(
    seen: Sequence[_Seen],
    told: tuple[Votes, Choice, NDArray[np.int64]],
    params: TagParams,
    words: WordingVectors,
) -> tuple[TaggedCandidates, tuple[TagRow, ...]]:
    votes, choice, of = told
    noun = "nucleus" if params.kind == "cells" else "tissue"
    found = together([one.found for one in seen])
    assert found is not None  # a slide without candidates is left out
    facts = [fact for one in seen for fact in facts_of(one.found, one.places)]
    code, tags = votes.code, words.tags
    best = [tags[c] if c < len(tags) else None for c in code.tolist()]
    fits = [int(votes.wording[i, c]) if c < len(tags) else 0 for i, c in enumerate(code.tolist())]
    lines = tuple(headers(*row, noun) for row in zip(best, fits, facts, strict=True))
    doubts = tuple(contradictions(tag, fact) for tag, fact in zip(best, facts, strict=True))
    rows = tuple(
        TagRow(
            id=i + 1, slide=seen[int(of[i])].slide.id,
            row=float(found.centres[i, 0]), col=float(found.centres[i, 1]),
            tag=tag.name if tag else "", wording=tag.wordings[fits[i]] if tag else "",
            votes=int(votes.counts[i, code[i]]), entropy=float(votes.entropy[i]),
            cluster_agrees=bool(choice.cluster_agrees[i]),
            score=float(votes.probability[i, code[i]]) if tag else 0.0,
            kept=bool(choice.kept[i]), reason=choice.reason[i], header=lines[i][0],
        )
        for i, tag in enumerate(best)
    )  # fmt: skip
    shown = _shown(votes, choice, doubts)
    slides = tuple(one.slide for one in seen)
    work = TaggedCandidates(
        tags, params, slides, frozen_patients([s.patient for s in slides]), of, found,
        votes.vectors, code, votes.counts, votes.probability, lines, doubts, shown,
        votes.pictures[shown],
    )  # fmt: skip
    return work, rows


def _shown(votes: Votes, choice: Choice, doubts: Sequence[tuple[str, ...]]) -> NDArray[np.int64]:
    """Kept candidates, those that disagree first; then some that were dropped, at random."""
    against = np.array([len(one) for one in doubts], float)
    doubt = votes.entropy + (1 - votes.margin) + 0.5 * against
    kept = np.flatnonzero(choice.kept)
    kept = kept[np.argsort(-doubt[kept], kind="stable")]
    dropped = np.flatnonzero(~choice.kept)
    order = np.random.default_rng(_SEED).permutation(len(dropped))[:CHECKED]
    return np.concatenate([kept, dropped[order]]).astype(np.int64)


def _write(
    out: Path, work: TaggedCandidates, rows: tuple[TagRow, ...], *, dropped: dict[str, int],
    opened: Opener, task: Task, notes: tuple[str, ...] = (),
) -> Tagged:  # fmt: skip
    labels = write_training_set(out, work, rows, opened, task)
    found = _precisions(work, rows)
    write_work(out, work)
    write_gallery(out, work, rows, found, dropped)
    write_rows(out / TAGS_CSV, rows)
    return Tagged(out, work, rows, found, labels, dropped, notes)


def _precisions(work: TaggedCandidates, rows: Sequence[TagRow]) -> tuple[Precision, ...]:
    proposed = dict(zip((row.id for row in rows), work.proposed, strict=True))
    return precisions(rows, proposed, work.names)


def _dropped(rows: Sequence[TagRow]) -> dict[str, int]:
    found = Counter(row.reason for row in rows)
    return {reason: found[reason] for reason in REASONS if found[reason]}


def _opener(slides: Sequence[SlideToTag]) -> Opener:
    known = {one.id: one for one in slides}
    return lambda tagged: known[tagged.id].open()


def reopened(tagged: TaggedSlide) -> AbstractContextManager[Slide]:
    """A slide where it was; refused if another lies there now."""
    slide = open_slide(tagged.path, tagged.mpp)
    if slide.key != tagged.key:
        slide.close()
        raise SlideError(f"{tagged.path} is another slide than the one that was tagged.")
    return slide


def kept_params(params: TagParams) -> TagParams:
    """The parameters for a recipe beside the results, which hold the tags that were used."""
    return replace(placed(params, ("tags",)), tags=Path(USED))
