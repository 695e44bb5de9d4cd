"""What a dock would do now, kept for elsewhere: saved as a recipe, or copied as a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtWidgets import QApplication, QFileDialog, QMenu, QPushButton

from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt.core.errors import HistopromptError
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.recipes.beside import Needs, save_recipe
from histoprompt.pipelines.recipes.command import (
    PROGRAM,
    CommandPlace,
    own_command,
    recipe_command,
    shell_line,
)
from histoprompt.pipelines.recipes.recipe import RecipeStep

Made = Callable[[Needs], Sequence[RecipeStep]]
"""From where files may be put that a recipe needs to the steps that a dock would do now."""
Words = Callable[[CommandPlace], Sequence[str]]
"""From the slide to the arguments of a command that no recipe stands for."""
Where = Callable[[], CommandPlace | None]
"""On what a command works; None for the open slide."""

_FILTER = "Recipes (*.toml)"
_COPIED = "The command is copied: paste it into a terminal."


class RecipeMenu(QPushButton):
    """A button with *Save recipe...* and *Copy as command*.

    Parameters
    ----------
    session : Session
        Whose slide is meant.
    say : callable
        Tells a person what came of it.
    made : callable, optional
        `Made`; it may raise a `HistopromptError`.
    words : callable, optional
        `Words`, in place of `made`: then there is nothing to save.
    where : callable, optional
        `Where`, of a dock that may work on a project.
    """

    def __init__(
        self,
        session: Session,
        say: Callable[[str], object],
        made: Made | None = None,
        words: Words | None = None,
        where: Where | None = None,
    ) -> None:
        super().__init__("Recipe" if made else "Command")
        self.setToolTip("Do the same with other slides, or from a terminal")
        self._session, self._say = session, say
        self._made, self._words, self._where = made, words, where
        menu = QMenu(self)
        self.saving = menu.addAction("Save recipe...")
        self.copying = menu.addAction("Copy as command")
        self.saving.setVisible(made is not None)
        self.setMenu(menu)
        self.saving.triggered.connect(self._on_save)
        self.copying.triggered.connect(self.copy)

    def save(self, path: Path) -> None:
        """Write the recipe in the background."""
        if self._made is None:
            return
        try:
            steps, slide = self._made(Needs.of(path)), self._session.slide.slide
        except HistopromptError as error:
            self._say(told(error))
            return
        self._session.jobs.submit(
            _save, path, tuple(steps), slide, lane="files", title="Saving the recipe",
            on_done=self._on_saved, on_error=self._say, aside=True,
        )  # fmt: skip

    def copy(self) -> None:
        """Put the command on the clipboard."""
        try:
            place = self._place()
            if self._words is not None:
                self._put([PROGRAM, *self._words(place)])
            if self._made is not None:
                self._copy(self._made, place)
        except HistopromptError as error:
            self._say(told(error))

    def _copy(self, made: Made, place: CommandPlace) -> None:
        needs = Needs.kept()
        steps = tuple(made(needs))
        words = own_command(steps, place)
        if words is not None:
            self._put(words)
            return
        path = needs.file("toml")
        words = recipe_command(path, place)
        self._session.jobs.submit(
            _save, path, steps, self._session.slide.slide, lane="files",
            title="Saving the recipe", on_done=lambda _: self._put(words), on_error=self._say,
            aside=True,
        )  # fmt: skip

    def _place(self) -> CommandPlace:
        """On what the command works."""
        if self._where is not None and (place := self._where()) is not None:
            return place
        current = self._session.slide
        if current.slide is None or current.image is None:
            return CommandPlace("SLIDE")
        return CommandPlace.of(current.slide, trust_size=current.trusted)

    def _put(self, words: Sequence[str]) -> None:
        QApplication.clipboard().setText(shell_line(words))
        self._say(_COPIED)

    def _on_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save recipe", "recipe.toml", _FILTER)
        if name:
            self.save(Path(name))

    def _on_saved(self, path: Path) -> None:
        self._say(f"The recipe is in {path}. The Project dock runs it on many slides.")


def _save(path: Path, steps: Sequence[RecipeStep], slide: Slide | None, *, task: Task) -> Path:
    return save_recipe(path, steps, slide)
