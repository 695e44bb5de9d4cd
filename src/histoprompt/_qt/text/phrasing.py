"""What texts are put as: phrases that are understood, wordings that are drafted or chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from psygnal import Signal

from histoprompt._qt.shell.session import Session
from histoprompt._qt.text.understanding import Reading, UnderstoodRow, understand
from histoprompt._qt.text.words import WordsPanel
from histoprompt._qt.text.work import TextWork
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.text.choosing_wordings import Wording, choose_wordings, kept_text
from histoprompt.pipelines.text.text_embedding import ScoreParams


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
    said, failed : Signal(str)
    """

    changed = Signal()
    said, failed = Signal(str), Signal(str)

    def __init__(
        self, session: Session, words: WordsPanel, row: UnderstoodRow, card: Callable[[], ModelCard]
    ) -> None:
        self._session, self._words, self._row, self._card = session, words, row, card
        self._reading: tuple[str, ...] = ()  # typed, and being read

    # -- phrases -----------------------------------------------------------------------------

    def refused(self, text: str) -> None:
        """The model cannot know a word: see what it means, or let it be typed otherwise.

        Words that were typed while an earlier one is read are read together with it.
        """
        read = dict.fromkeys((*self._reading, self._words.fresh))
        self._reading = tuple(phrase for phrase in read if phrase in self._words.texts)
        card = self._card()
        if not self._reading or not card.words:
            self._on_not_understood(text)
            return
        self.said.emit(f"Looking up what {_quoted(self._reading)} means ...")
        self._session.jobs.submit(
            understand, self._reading, card, self._session.manager, lane="interactive",
            key="understanding a phrase", title="Reading the phrase",
            on_done=partial(self._on_understood, text), on_error=self._on_not_understood,
        )  # fmt: skip

    def not_meant(self, put: str, phrase: str) -> None:
        """What a phrase was understood as was not meant: it is looked for no more."""
        left = tuple(text for text in self._words.texts if text != put)
        self._put(left, f"{put} taken out")
        self.said.emit(f"{put} was taken out. Type another word for '{phrase}'.")

    def _on_understood(self, text: str, found: tuple[Reading, ...]) -> None:
        """Phrases were read: show as what, look for that, and give back what is refused."""
        self._reading = ()
        found = tuple(one for one in found if one.phrase in self._words.texts)
        put = [self._take(one) for one in found if one.told]
        why = [one.why for one in found if one.why]
        for one in found:
            if one.why:
                self._words.take_back(one.phrase)
        others = len(found) > len(why) and bool(why)  # known words that had to wait for these
        if any(put) or others:
            self.changed.emit()
        if why or not put:
            self.failed.emit(" ".join(why) or text)

    def _take(self, one: Reading) -> bool:
        """Put what was understood in place of a phrase; False if it is looked for already."""
        self._row.show_understood(one.put, one.phrase, "; ".join(told.told for told in one.told))
        before = tuple(text for text in self._words.texts if text != one.phrase)
        if not self._words.put(one.put, one.phrase):
            self.said.emit(f"{one.put} is looked for already.")
            return False
        self._step(before, self._words.texts, f"'{one.phrase}' understood as {one.put}")
        return True

    def _on_not_understood(self, text: str) -> None:
        self._reading = ()
        self.failed.emit(text)
        self._words.take_back()

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


def _quoted(phrases: Sequence[str]) -> str:
    """Phrases in a sentence."""
    return ", ".join(f"'{phrase}'" for phrase in phrases)
