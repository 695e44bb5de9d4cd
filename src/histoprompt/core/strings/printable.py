"""Text of files and names made harmless for a terminal, a window and one line of a message."""

from __future__ import annotations

import unicodedata

# Cc: escapes, line breaks, bells. Cf: marks that turn the writing direction. Cs: bytes of a file
# name that are no UTF-8. Zl, Zp: line breaks. None of them may reach a terminal as it is.
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    """The text with every character that is not to be seen spelt out as a backslash code.

    Umlauts, CJK and emoji stay as they are; a tab becomes a blank.
    """
    text = text.replace("\t", " ")
    if text.isascii() and text.isprintable():
        return text
    return "".join(spelt(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def one_line(text: str, most: int = 200) -> str:
    """The text on one line of at most `most` characters, for the middle of a sentence."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def reason_of(error: BaseException) -> str:
    """What an error says, or else its kind, without a full stop at the end."""
    if isinstance(error, KeyError):
        return f"{one_line(str(error))} is missing from it"
    if isinstance(error, MemoryError):
        return "there is not enough memory for what it asks for"
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return one_line(str(error)).rstrip(".") or type(error).__name__


def spelt(character: str) -> str:
    """A character as a backslash code."""
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )
