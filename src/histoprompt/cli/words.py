"""`histoprompt words`: phrases understood, and wordings of tags drafted."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.options import add_device, add_mpp, add_trust_size, keep_inputs
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import ParameterError, PromptError
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.tags.tag_file import Tag, add_tag
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
    three = actions.add_parser("choose", help="wordings of a text, by tiles marked yes and no")
    three.add_argument("slide", metavar="SLIDE")
    three.add_argument("--text", required=True, metavar="WORDS", help="a|b|c; the first stays")
    three.add_argument("--marks", required=True, type=Path, metavar="CSV", help="row,col,mark")
    three.add_argument("--model", default=registry.DEFAULT_WORDS, metavar="ID")
    three.add_argument("--out", type=Path, metavar="TOML", help="tags to add the text to")
    add_device(three)
    add_mpp(three)
    add_trust_size(three)
    three.set_defaults(run=_choose)


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


def _choose(args: argparse.Namespace) -> None:
    from histoprompt.core.readers.open import open_slide
    from histoprompt.pipelines.embedding.score_job import ScoreJob
    from histoprompt.pipelines.text.choosing_wordings import (
        choose_wordings,
        kept_text,
        wordings_of,
    )
    from histoprompt.pipelines.text.score import score
    from histoprompt.pipelines.text.text_embedding import ScoreParams
    from histoprompt.pipelines.text.tile_label_file import read_marks

    if args.out is not None:
        keep_inputs(args.out, args.marks)
    name = wordings_of(args.text)[0]
    params = ScoreParams(texts=(name,))
    job = ScoreJob(ModelManager(device=args.device), registry.card(args.model))
    with open_slide(args.slide, args.mpp, trust_size=args.trust_size) as slide:
        scores, seen = score(slide, params, job, args.task)
    marks = read_marks(args.marks, scores)[scores.texts[0]]
    found = choose_wordings(seen, args.text, marks, (params, job), args.task)
    for one in found:
        tell(one.told)
    tell(f"kept: {kept_text(found)}")
    if args.out is not None:
        kept = tuple(one.text for one in found if one.kept)
        left = tuple(one.text for one in found if not one.kept)
        add_tag(args.out, Tag(name, kept, drafted=left))


def _write(out: Path, found: Draft, ticked: Draft) -> None:
    """Add a class to a file of tags; what was not ticked is kept beside, and not used."""
    left = tuple(word for word in found.wordings if word not in ticked.wordings)
    add_tag(out, Tag(found.name, ticked.wordings, found.attributes, found.is_not, left))


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
