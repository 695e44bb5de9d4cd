"""`tags.toml`: what is looked for, in several wordings, with attributes and what it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import tomli_w

from histoprompt.core.cell_table import UNSURE
from histoprompt.core.errors import PromptError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import read_toml
from histoprompt.core.strings.names import tidy
from histoprompt.core.tissue.words import normal

ATTRIBUTES: Final = ("shape", "colour", "size", "place")
# What is called otherwise by hands that write American, or shorter.
_ALIKE: Final = {"color": "colour", "words": "wordings", "is_not": "not", "is not": "not"}
_KEYS: Final = ("name", "wordings", "not", "attributes", "drafted")
FEWEST: Final = 2
# What a dropped candidate is called; no tag may be.
NO_TAG: Final = "none"


@dataclass(frozen=True)
class Tag:
    """A class that words propose.

    Attributes
    ----------
    name : str
    wordings : tuple of str
        Two or more ways to say it: each has its votes.
    attributes : mapping of str to tuple of str
        What is expected of it: shape, colour, size, place.
    is_not : tuple of str
        Words for what it is mistaken for; a candidate they win has no tag.
    drafted : tuple of str
        Wordings that somebody proposed and nobody ticked: they are not used.
    """

    name: str
    wordings: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_not: tuple[str, ...] = ()
    drafted: tuple[str, ...] = ()


def read_tags(path: Path, least: int = FEWEST) -> tuple[Tag, ...]:
    """Read a file of tags.

    Parameters
    ----------
    path : Path
        ``[[tags]]`` with name, wordings, attributes and not; or a table ``[tags.NAME]`` each.
    least : int
        Wordings that each must have.

    Raises
    ------
    PromptError
        If it cannot be read, holds no tag, a key is unknown, a name comes twice, or a tag has
        fewer than two wordings; the message names the tag.
    """
    data = read_toml(path, PromptError)
    found = data.pop("tags", data.pop("tag", None))
    data.pop("format", None)
    if data:
        raise PromptError(
            f"{path} has {', '.join(sorted(data))}, which is unknown there. It holds a list of "
            "tags: [[tags]] with name, wordings, attributes and not."
        )
    if not found:
        raise PromptError(
            f"{path} holds no tags. Write at least one: [[tags]] with a name and two wordings."
        )
    tags = tuple(_tag(one, f"{path}, {where}", least) for where, one in _listed(found, path))
    _check_names(tags, path)
    return tags


def tags_text(tags: Sequence[Tag]) -> str:
    """Tags as the file holds them."""
    rows = []
    for tag in tags:
        row: dict[str, Any] = {"name": tag.name, "wordings": list(tag.wordings)}
        row |= {"not": list(tag.is_not)} if tag.is_not else {}
        row |= {"drafted": list(tag.drafted)} if tag.drafted else {}
        if tag.attributes:
            row["attributes"] = {key: list(words) for key, words in tag.attributes.items()}
        rows.append(row)
    return tomli_w.dumps({"tags": rows})


def write_tags(path: Path, tags: Sequence[Tag]) -> None:
    """Write a file of tags; raises `ExportError` if it cannot be written."""
    replace_file(path, tags_text(tags))


def add_tag(path: Path, tag: Tag) -> None:
    """Put a tag into a file of tags, in place of one of its name; raises as reading and writing.

    What the new one does not say of attributes, and of what it is not, stays as it was.
    """
    before = read_tags(path, least=0) if path.exists() else ()
    for one in before:
        if one.name == tag.name:
            said = tag.attributes or one.attributes, tag.is_not or one.is_not
            tag = replace(tag, attributes=said[0], is_not=said[1])
    write_tags(path, [*(one for one in before if one.name != tag.name), tag])


def _listed(found: Any, path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Each tag with what it is called in messages."""
    if isinstance(found, dict) and all(isinstance(one, dict) for one in found.values()):
        return [(name, {"name": name, **one}) for name, one in found.items()]
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return [(str(one.get("name") or f"tag {n}"), one) for n, one in enumerate(found, 1)]
    raise PromptError(f"{path}: tags must be a list of tables: [[tags]] before each of them.")


def _tag(one: dict[str, Any], where: str, least: int) -> Tag:
    row = {_ALIKE.get(key, key): value for key, value in one.items()}
    unknown = sorted(set(row) - {*_KEYS, *ATTRIBUTES})
    if unknown:
        raise PromptError(
            f"{where}: {', '.join(unknown)} is unknown. A tag has name, wordings, not, and the "
            f"attributes {', '.join(ATTRIBUTES)}."
        )
    name = tidy(row["name"]) if isinstance(row.get("name"), str) else ""
    if not name or normal(name) in ("", NO_TAG, UNSURE):
        raise PromptError(f"{where}: the name is {row.get('name')!r}; give it one of its own.")
    wordings = _words(row.get("wordings", []), f"{where}: wordings")
    drafted = _words(row.get("drafted", []), f"{where}: drafted")
    if len(wordings) < least:
        ticked = f" {len(drafted)} drafted ones are not ticked yet." if drafted else ""
        raise PromptError(
            f"{where} has {len(wordings)} wording{'' if len(wordings) == 1 else 's'}; it needs "
            f"{least} or more, as votes of several wordings are compared.{ticked}"
        )
    return Tag(name, wordings, _attributes(row, where), _words(row.get("not", []), where), drafted)


def _attributes(row: dict[str, Any], where: str) -> dict[str, tuple[str, ...]]:
    given = row.get("attributes", {})
    if not isinstance(given, dict):
        raise PromptError(f"{where}: attributes must be a table, such as shape = ['round'].")
    told = {**{k: row[k] for k in ATTRIBUTES if k in row}, **given}
    told = {_ALIKE.get(key, key): value for key, value in told.items()}
    unknown = sorted(set(told) - set(ATTRIBUTES))
    if unknown:
        raise PromptError(
            f"{where}: the attribute {', '.join(unknown)} is unknown; there are "
            f"{', '.join(ATTRIBUTES)}."
        )
    return {key: _words(words, f"{where}: {key}") for key, words in told.items() if words}


def _words(value: Any, where: str) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(word, str) for word in listed):
        raise PromptError(f"{where} must be a list of texts, not {value!r}.")
    words = [tidy(word) for word in listed]
    if not all(words):
        raise PromptError(f"{where} holds an empty text. Take it out.")
    return tuple(dict.fromkeys(words))


def _check_names(tags: Sequence[Tag], path: Path) -> None:
    names = [normal(tag.name) for tag in tags]
    for tag, name in zip(tags, names, strict=True):
        if names.count(name) > 1:
            raise PromptError(f"{path} has the tag {tag.name} twice. Give each a name of its own.")
    said: dict[str, str] = {}
    for tag in tags:
        for word in tag.wordings:
            other = said.setdefault(normal(word), tag.name)
            if other != tag.name:
                raise PromptError(
                    f"{path}: {word!r} is a wording of {other} and of {tag.name}. It can vote for "
                    "one of them only."
                )
