"""Wordings and attributes of a class, drafted by a language model on this machine or from a file.

Any endpoint that speaks OpenAI's chat completions will do (Ollama, llama.cpp), on a loopback
address only: nothing leaves the machine. What it answers is a proposal: it is shown, and nothing is
used that a person has not ticked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from histoprompt.core.errors import PromptError
from histoprompt.core.files.documents import parse_json, read_text
from histoprompt.core.strings.names import tidy

ATTRIBUTES: Final = ("shape", "colour", "size", "place")
_MOST, _LONGEST = 20, 80
_SECONDS: Final = 120.0
_MOST_BYTES: Final = 1 << 20
_ASK: Final = (
    "You help a pathologist to describe a class of cells or tissue in H&E. Answer with JSON only: "
    '{"wordings": [...], "shape": [...], "colour": [...], "size": [...], "place": [...], '
    '"not": [...]}. Each list holds short English phrases: wordings are other names of the class, '
    "not is what it is mistaken for. The class: "
)


@dataclass(frozen=True)
class Draft:
    """What was proposed for a class.

    Attributes
    ----------
    name : str
    wordings : tuple of str
    attributes : dict of str to tuple of str
    is_not : tuple of str
    source : str
        The endpoint with its model, or the file.
    """

    name: str
    wordings: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]
    is_not: tuple[str, ...]
    source: str

    def ticked(self, numbers: Sequence[int]) -> Draft:
        """Only some of the wordings, by their numbers from 1.

        Raises
        ------
        PromptError
            If a number is none of theirs.
        """
        wrong = [n for n in numbers if not 1 <= n <= len(self.wordings)]
        if wrong:
            raise PromptError(f"There are {len(self.wordings)} wordings; {wrong[0]} is none.")
        return replace(self, wordings=tuple(self.wordings[n - 1] for n in numbers))


def draft(name: str, endpoint: str, model: str, *, seconds: float = _SECONDS) -> Draft:
    """Ask a language model on this machine.

    Parameters
    ----------
    name : str
        Of the class.
    endpoint : str
        Such as ``http://127.0.0.1:11434/v1``.
    model : str
        As the endpoint knows it.
    seconds : float
        How long to wait.

    Raises
    ------
    PromptError
        If the address is not of this machine, nobody answers there, or the answer is no draft; then
        it is shown, and nothing is taken over.
    """
    import requests

    url = _checked(endpoint)
    asked: Any = {
        "model": model,
        "messages": [{"role": "user", "content": _ASK + name}],
        "temperature": 0,
        "stream": False,
    }
    session = requests.Session()
    session.trust_env = False  # no proxy: it would take the question elsewhere
    try:
        with session.post(
            f"{url}/chat/completions", json=asked, timeout=seconds, allow_redirects=False,
            stream=True,
        ) as answer:  # fmt: skip
            body = answer.raw.read(_MOST_BYTES + 1, decode_content=True)
            status = answer.status_code
    except (requests.RequestException, OSError) as error:
        raise PromptError(
            f"Nobody answers at {url}: {type(error).__name__}. Start the language model there, or "
            "give wordings in a file."
        ) from error
    if status != 200 or len(body) > _MOST_BYTES:
        raise PromptError(
            f"{url} answered with status {status}: {_shown(body)}. Nothing was taken over. Is the "
            f"model {model!r} there?"
        )
    return _draft(name, _content(body, url), f"{url} {model}")


def draft_from_file(name: str, path: Path) -> Draft:
    """Wordings from a file: a line each, or JSON as an endpoint would answer.

    Raises
    ------
    PromptError
        If it cannot be read or holds none.
    """
    text = read_text(path, PromptError)
    if text.lstrip().startswith("{"):
        return _draft(name, text, str(path))
    lines = [tidy(line.strip(" -*\t")) for line in text.splitlines()]
    wordings = _phrases([line for line in lines if line and not line.startswith("#")])
    if not wordings:
        raise PromptError(f"{path} holds no wordings: write one on each line.")
    return Draft(name, wordings, {}, (), str(path))


def _checked(endpoint: str) -> str:
    """An address of this machine.

    Raises
    ------
    PromptError
        If it is none: sentences about patients must not leave the machine.
    """
    parts = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
    host = parts.hostname or ""
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    if not here or parts.scheme not in ("http", "https"):
        raise PromptError(
            f"{endpoint} is not on this machine. A language model is asked on a loopback address "
            "only, such as http://127.0.0.1:11434/v1."
        )
    return parts.geturl().rstrip("/")


def _content(body: bytes, url: str) -> str:
    """The text of an answer."""
    try:
        data = parse_json(body, url, PromptError)
        found = data["choices"][0]["message"]["content"]
    except (PromptError, KeyError, IndexError, TypeError):
        found = None
    if not isinstance(found, str):
        raise PromptError(
            f"{url} does not answer as a language model: {_shown(body)}. Nothing was taken over."
        )
    return found


def _draft(name: str, text: str, source: str) -> Draft:
    start, stop = text.find("{"), text.rfind("}")
    data: Any = None
    if 0 <= start < stop:
        try:
            data = parse_json(text[start : stop + 1], source, PromptError)
        except PromptError:
            data = None
    wordings = _phrases(data.get("wordings")) if isinstance(data, dict) else ()
    if not isinstance(data, dict) or not wordings:
        raise PromptError(
            f"The answer of {source} is no list of wordings: {_shown(text.encode())}. Nothing was "
            "taken over."
        )
    attributes = {key: found for key in ATTRIBUTES if (found := _phrases(data.get(key)))}
    return Draft(name, wordings, attributes, _phrases(data.get("not")), source)


def _phrases(value: Any) -> tuple[str, ...]:
    """Short texts of a list, each once; what is no text is left out."""
    if not isinstance(value, list):
        return ()
    texts = [" ".join(tidy(one).split()) for one in value if isinstance(one, str)]
    return tuple(dict.fromkeys(t for t in texts if 0 < len(t) <= _LONGEST))[:_MOST]


def _shown(body: bytes) -> str:
    text = tidy(body[:300].decode("utf-8", "replace"))
    return repr(text[:120] + (" ..." if len(text) > 120 else "")) if text else "nothing"
