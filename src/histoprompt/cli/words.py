"""`histoprompt words`: phrases understood, and wordings of tags drafted."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.options import keep_inputs
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import ParameterError, PromptError
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.tags.tag_file import Tag, read_tags, write_tags
from histoprompt.pipelines.text.drafting import Draft, draft, draft_from_file
from histoprompt.pipelines.text.phrases import Phrases, Understood, understood_all


def add(words: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = words.add_subparsers(metavar="ACTION", required=True)
    one = actions.add_parser("understand", help="what free phrases are understood as")
    one.add_argument("phrases", nargs="+", metavar="PHRASE")
    one.add_argument("--model", default=registry.DEFAULT_WORDS, metavar="ID")
    one.set_defaults(run=_understand)
    two = actions.add_parser(
        "draft", help="wordings of a class, by a language model here or a file"
    )
    two.add_argument("name", metavar="CLASS")
    two.add_argument("--endpoint", metavar="URL", help="of this machine: http://127.0.0.1:11434/v1")
    two.add_argument("--llm", default="llama3", metavar="NAME", help="default: %(default)s")
    two.add_argument("--file", type=Path, metavar="FILE", help="a wording per line, or JSON")
    two.add_argument("--tick", metavar="1,3|all", help="which wordings to use; none if not given")
    two.add_argument("--out", type=Path, metavar="TOML", help="tags to add the class to")
    two.set_defaults(run=_draft)


def _understand(args: argparse.Namespace) -> int:
    card, manager, status = registry.card(args.model), ModelManager(device="cpu"), 0
    for phrase in args.phrases:
        try:
            _, told = understood_all((phrase,), card, manager, args.task or Task())
        except PromptError as error:
            say(f"{phrase!r} is refused: {error.fact}")
            status = 1
            continue
        tell(told[0].told if told else _known(phrase, card.words))
    return status


def _known(phrase: str, words: tuple[str, ...]) -> str:
    found = Phrases(words).understand(phrase)
    if isinstance(found, Understood):
        return f"'{phrase}' is a name of {found.word}"
    return f"'{phrase}' is taken as it is: this model reads any text"


def _draft(args: argparse.Namespace) -> None:
    if (args.endpoint is None) == (args.file is None):
        raise ParameterError("Name either --endpoint of a language model here, or --file.")
    if args.file is not None and args.out is not None:
        keep_inputs(args.out, args.file)
    found = (
        draft_from_file(args.name, args.file)
        if args.endpoint is None
        else draft(args.name, args.endpoint, args.llm)
    )
    for number, word in enumerate(found.wordings, 1):
        tell(f"{number}. {word}")
    for key, words in found.attributes.items():
        tell(f"{key}: {', '.join(words)}")
    if found.is_not:
        tell(f"not: {', '.join(found.is_not)}")
    if args.out is not None:
        ticked = found.ticked(_numbers(args.tick, len(found.wordings)))
        _write(args.out, found, ticked)
        tell(f"{len(ticked.wordings)} of {len(found.wordings)} wordings ticked -> {args.out}")


def _write(out: Path, found: Draft, ticked: Draft) -> None:
    """Add a class to a file of tags; what was not ticked is kept beside, and not used."""
    before = [
        tag for tag in (read_tags(out, least=0) if out.exists() else ()) if tag.name != found.name
    ]
    left = tuple(word for word in found.wordings if word not in ticked.wordings)
    tag = Tag(found.name, ticked.wordings, found.attributes, found.is_not, left)
    write_tags(out, [*before, tag])


def _numbers(text: str | None, count: int) -> list[int]:
    if text is None:
        return []
    if text.strip().lower() == "all":
        return list(range(1, count + 1))
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ParameterError(
            f"--tick {text!r} must be numbers with commas between, or all."
        ) from error
