"""One search from slides and examples to answers: the whole of `histoprompt search`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError, PromptError, Remedy
from histoprompt.core.parameters import Parameter, check, fields_of
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.addresses import is_address
from histoprompt.core.task import Task
from histoprompt.pipelines.embedding.tiles import EmbedJob
from histoprompt.pipelines.embedding.words import TEMPLATES, Query, ensemble
from histoprompt.pipelines.explore.cells import CellIndexParams
from histoprompt.pipelines.explore.exact import Bank
from histoprompt.pipelines.explore.examples import Example, look_at_box, look_at_picture
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.like import (
    Answers,
    LikeParams,
    LikeQuery,
    one_vector,
    search,
    stacked,
)

_TEMPLATES = "conch"


@dataclass(frozen=True)
class SearchParams(CellIndexParams, LikeParams):
    """What is looked for, with which encoder, and how answers are chosen.

    Attributes
    ----------
    like, unlike : tuple of str
        Pictures, or boxes ``r0,c0,r1,c1`` on the first slide or ``SLIDE:r0,c0,r1,c1``.
    texts : tuple of str
        Words, for encoders that know any.
    """

    like: Annotated[
        tuple[str, ...], Parameter("Like", "A picture, or a box r0,c0,r1,c1 of a slide.")
    ] = ()
    unlike: Annotated[tuple[str, ...], Parameter("Unlike", "The same, of what is not meant.")] = ()
    texts: Annotated[
        tuple[str, ...],
        Parameter("Words", "What is looked for in words, a|b: synonyms.", option="text"),
    ] = ()

    def __post_init__(self) -> None:
        check(self)

    @property
    def question(self) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        """The examples and the counter-examples.

        Raises
        ------
        PromptError
            If one cannot be read, or nothing says what is looked for.
        """
        if not self.like and not self.texts:
            raise PromptError("Nothing says what to look for: give an example, or words.")
        return tuple(map(Example.parse, self.like)), tuple(map(Example.parse, self.unlike))


def search_chosen(
    index: IndexParams,
    liking: LikeParams,
    examples: tuple[Sequence[Example], Sequence[Example]],
    words: Sequence[str],
    here: str,
) -> SearchParams:
    """What a person chose in a window as parameters that a recipe holds.

    Parameters
    ----------
    index : IndexParams
    liking : LikeParams
    examples : (sequence, sequence) of Example
        What is meant, and what is not.
    words : sequence of str
    here : str
        The place of the slide that is worked on: boxes on it name no slide.
    """
    plain = {one.name: getattr(index, one.name) for one in fields_of(IndexParams)}
    plain |= {one.name: getattr(liking, one.name) for one in fields_of(LikeParams)}
    like, unlike = (tuple(_told(one, here) for one in side) for side in examples)
    return SearchParams(**plain, like=like, unlike=unlike, texts=tuple(words))


def _told(one: Example, here: str) -> str:
    """An example as `Example.parse` reads it."""
    if one.box is None:
        return str(Path(one.place).absolute())
    return str(replace(one, place="" if one.place == here else one.place))


@dataclass(frozen=True, eq=False)
class Asker:
    """Turns examples and words into questions about a bank.

    Attributes
    ----------
    bank : Bank
    job : EmbedJob or None
        Of the encoder that the bank was made with; None where it holds what a count left of cells.
    open_slide : callable
        Opens the slide of a name or path; it is closed when a question is ready.
    open_picture : callable
        Opens a picture; the pixel size it is taken to have is given to it.
    texts : dict
        Vectors of words that were asked before.
    """

    bank: Bank
    job: EmbedJob | None
    open_slide: Callable[[str], AbstractContextManager[Slide]]
    open_picture: Callable[[str, float | None], Slide]
    texts: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = self.bank.index.slides[0]
        if self.job is None:
            return
        if (first.encoder, first.digest) != (self.job.card.id, self.job.digest):
            raise ModelError(
                f"{first.name} was indexed with {first.encoder} ({first.digest[:23]}), and the "
                f"examples are for {self.job.card.id} ({self.job.digest[:23]}). Index it again, or "
                "choose that encoder."
            )

    def ask(
        self,
        like: Iterable[Example],
        unlike: Iterable[Example],
        texts: Sequence[str],
        task: Task,
    ) -> LikeQuery:
        """A question of examples and words.

        Raises
        ------
        PromptError
            If an example names a slide that there is not, or words mean nothing to the encoder.
        RegionError
            If a box lies outside its slide.
        ModelError
            If there are words and the encoder knows none.
        """
        words = self._words(texts, task)
        like, unlike = tuple(like), tuple(unlike)
        own: list[int] = []
        with ExitStack() as opened:
            slides: dict[str, Slide] = {}
            sides = [
                [self._vector(one, slides, opened, own, task) for one in side]
                for side in (like, unlike)
            ]
        width = self.bank.width
        return LikeQuery(
            stacked(sides[0], width),
            stacked(sides[1], width),
            words,
            np.unique(np.array(own, np.int32)),
            self._rows_at(unlike),
        )

    def _rows_at(self, examples: Iterable[Example]) -> NDArray[np.intp]:
        """Rows of the bank that lie in boxes, or that a box of less than a row lies in."""
        index, found = self.bank.index, [np.zeros(0, np.intp)]
        for one in examples:
            place = None if one.box is None else self._position(one.place)
            if place is None or one.box is None:
                continue
            boxes, (r0, c0, r1, c1) = index.slides[place].boxes, astuple(one.box)
            rows, cols = boxes[:, ::2].mean(axis=1), boxes[:, 1::2].mean(axis=1)
            inside = (rows >= r0) & (rows < r1) & (cols >= c0) & (cols < c1)
            row, col = (r0 + r1) / 2, (c0 + c1) / 2
            around = (boxes[:, 0] <= row) & (row < boxes[:, 2])
            around &= (boxes[:, 1] <= col) & (col < boxes[:, 3])
            found.append(np.flatnonzero(inside | around) + int(index.starts[place]))
        return np.unique(np.concatenate(found))

    def _vector(
        self,
        example: Example,
        slides: dict[str, Slide],
        opened: ExitStack,
        own: list[int],
        task: Task,
    ) -> NDArray[np.float32]:
        """The unit vector of one example."""
        task.step(0, 0, f"Looking at the example {example}")
        index = self.bank.index
        if self.job is None:
            return self._of_cells(example, own)
        if example.box is None:
            first = index.slides[0]
            picture = opened.enter_context(self.open_picture(example.place, first.mpp))
            seen = look_at_picture(picture, first, self.job, task)
            return one_vector(self.bank.space.unit(seen))
        place = self._position(example.place)
        part = index.slides[place or 0]
        if example.place not in slides:
            slides[example.place] = opened.enter_context(self.open_slide(example.place))
        seen = look_at_box(example.box, slides[example.place], part, self.job, task)
        if place is not None:
            own.append(place)
        return one_vector(self.bank.space.unit(seen))

    def _of_cells(self, example: Example, own: list[int]) -> NDArray[np.float32]:
        """The unit vector of the counted cells in a box."""
        place = None if example.box is None else self._position(example.place)
        if place is None or example.box is None:
            raise PromptError(
                f"The example {example} is no place on a counted slide, and what a count left of "
                "its cells can be compared with its own cells only. Give a box around some."
            )
        part, box = self.bank.index.slides[place], example.box
        rows, cols = part.boxes[:, ::2].mean(axis=1), part.boxes[:, 1::2].mean(axis=1)
        inside = (rows >= box.r0) & (rows <= box.r1) & (cols >= box.c0) & (cols <= box.c1)
        here = np.flatnonzero(inside)
        if not len(here):
            raise PromptError(f"There is no counted cell in the example {example}.")
        own.append(place)
        return one_vector(self.bank.space.unit(part.vectors.take(here)))

    def _position(self, name: str) -> int | None:
        """Which slide of the index an example lies on; None if it is another slide's file."""
        slides = self.bank.index.slides
        found = [k for k, s in enumerate(slides) if name in ("", s.name, s.path, s.slide)]
        if found:
            return found[0]
        if is_address(name) or Path(name).expanduser().exists():
            return None
        known = ", ".join(s.name for s in slides[:5]) + (" ..." if len(slides) > 5 else "")
        raise PromptError(f"An example lies on {name}, which is none of the slides: {known}.")

    def _words(self, texts: Sequence[str], task: Task) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.bank.width), np.float32)
        card = None if self.job is None else self.job.card
        if self.job is None or card is None or card.role != "text":
            title = "What a count left of cells" if card is None else card.title
            raise ModelError(
                f"{title} knows no words: leave them out, or take an encoder that compares "
                "pictures with words.",
                remedy=Remedy.MODELS,
            )
        new = [text for text in texts if text not in self.texts]
        if new:
            with self.job.manager.lease(card, task, self.job.weights) as model:
                for text in new:
                    self.texts[text] = ensemble(model, Query.parse(text), TEMPLATES[_TEMPLATES])
        return np.stack([self.texts[text] for text in texts])


def like_params(params: SearchParams) -> LikeParams:
    """How answers are chosen, by itself."""
    return LikeParams(
        params.top, params.diversity, params.per_slide, params.against, params.word_weight
    )


def index_params(params: SearchParams) -> CellIndexParams:
    """What looks at the tiles or cells, by itself."""
    return CellIndexParams(params.encoder, params.weights, params.mpp, params.overlap, params.cells)


def answered(asker: Asker, params: SearchParams, task: Task) -> Answers:
    """Ask all that parameters say; raises as `Asker.ask` and `search` do."""
    like, unlike = params.question
    question = asker.ask(like, unlike, params.texts, task)
    return search(asker.bank, question, like_params(params))
