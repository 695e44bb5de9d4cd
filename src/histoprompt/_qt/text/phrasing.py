"""What texts are put as: phrases that are understood, wordings that are drafted or chosen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from psygnal import Signal

from histoprompt._qt.shell.session import Session
from histoprompt._qt.text.understanding import UnderstoodRow, understand
from histoprompt._qt.text.words import WordsPanel
from histoprompt._qt.text.work import TextWork
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.text.choosing_wordings import Wording, choose_wordings, kept_text
from histoprompt.pipelines.text.phrases import Understood
from histoprompt.pipelines.text.text_embedding import ScoreParams

_READING = "The model has no such word: reading what it means ..."


class Phrasing:
    """Puts other texts into the list of words, each time as a step that can be taken back.

    Parameters
    ----------
    session : Session
    words : WordsPanel
    row : UnderstoodRow
        Shows what a phrase was understood as.
    card : callable
        Gives the model that is asked.

    Attributes
    ----------
    changed : Signal
        There are other texts to look for.
    left : Signal
        Some texts were taken back: the others may still have to be looked for.
    said, failed : Signal(str)
    """

    changed, left = Signal(), Signal()
    said, failed = Signal(str), Signal(str)

    def __init__(
        self, session: Session, words: WordsPanel, row: UnderstoodRow, card: Callable[[], ModelCard]
    ) -> None:
        self._session, self._words, self._row, self._card = session, words, row, card

    # -- phrases -----------------------------------------------------------------------------

    def refused(self, why: str, names: tuple[str, ...]) -> None:
        """The model cannot know words: see what they mean, or let them be typed otherwise."""
        phrases, card = self._words.named(names), self._card()
        if not card.words or not phrases:
            self.failed.emit(why)
            self._take_back(phrases)
            return
        self.said.emit(_READING)
        for phrase in phrases:
            self._session.jobs.submit(
                understand, phrase, card, self._session.manager, lane="interactive",
                key=f"understanding {phrase}", title="Reading the phrase",
                on_done=partial(self._on_understood, phrase, why),
                on_error=partial(self._on_not_understood, phrase),
            )  # fmt: skip

    def not_meant(self, put: str, phrase: str) -> None:
        """What a phrase was understood as was not meant: it is looked for no more."""
        left = tuple(text for text in self._words.texts if text != put)
        self._put(left, f"{put} taken out")
        self.said.emit(f"{put} was taken out. Type another word for '{phrase}'.")

    def _on_understood(
        self, phrase: str, why: str, found: tuple[str, tuple[Understood, ...]] | str
    ) -> None:
        """A phrase was read: show as what, and look for that; one taken out meanwhile is past."""
        if isinstance(found, str):
            self._on_not_understood(phrase, found)
            return
        put, told = found
        if not told:  # the word is known: something else is wrong with it
            self._on_not_understood(phrase, why)
            return
        if phrase not in self._words.texts:
            return
        self._row.show_understood(put, phrase, "; ".join(one.told for one in told))
        before = tuple(text for text in self._words.texts if text != phrase)
        if self._words.put(put, phrase):
            self._step(before, self._words.texts, f"'{phrase}' understood as {put}")
            self.changed.emit()
        else:
            self.said.emit(f"{put} is looked for already.")
            self.left.emit()

    def _on_not_understood(self, phrase: str, why: str) -> None:
        if phrase in self._words.texts:
            self.failed.emit(why)
            self._take_back((phrase,))

    def _take_back(self, phrases: tuple[str, ...]) -> None:
        """Let refused texts be typed otherwise; the others are looked for."""
        for phrase in phrases:
            self._words.take_back(phrase)
        if phrases:
            self.left.emit()

    # -- wordings ----------------------------------------------------------------------------

    def add(self, text: str) -> None:
        """Look for a text that was put together, such as one with drafted wordings."""
        name = text.split("|", maxsplit=1)[0].strip()
        others = tuple(t for t in self._words.texts if t.split("|", maxsplit=1)[0].strip() != name)
        self._put((*others, text), f"wordings of {name}")

    def choose(self, work: TextWork, name: str, params: ScoreParams) -> None:
        """Let marked tiles choose among the wordings of a text."""
        whole = next((t for t in self._words.texts if t.split("|")[0].strip() == name), name)
        self._session.jobs.submit(
            choose_wordings, work.session.seen, whole, work.session.marks(name),
            (params, work.search.job), lane="interactive", key="choosing wordings",
            title="Choosing wordings", on_done=partial(self._on_chosen, whole),
            on_error=self.failed.emit,
        )  # fmt: skip

    def _on_chosen(self, whole: str, found: tuple[Wording, ...]) -> None:
        after = kept_text(found)
        texts = tuple(after if text == whole else text for text in self._words.texts)
        if texts != self._words.texts:
            self._put(texts, f"wordings of {found[0].text} chosen by marks")
        told = "; ".join(one.told for one in found)
        self.said.emit(f"Marked tiles tell yes from no by: {told}.")

    # -- steps -------------------------------------------------------------------------------

    def _put(self, texts: tuple[str, ...], title: str) -> None:
        self._step(self._words.texts, texts, title)
        self._set(texts)

    def _step(self, before: tuple[str, ...], after: tuple[str, ...], title: str) -> None:
        undo, redo = partial(self._set, before), partial(self._set, after)
        self._session.steps.push(title, undo, redo, self)

    def _set(self, texts: tuple[str, ...]) -> bool:
        self._words.set_value(texts, self._words.contrasts)
        self._row.setVisible(False)
        self.changed.emit()
        return True
