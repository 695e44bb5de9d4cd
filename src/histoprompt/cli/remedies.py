"""What a message of the program asks for, as options and commands of the terminal."""

from __future__ import annotations

from histoprompt.core.errors import HistopromptError, Remedy

WAYS: dict[Remedy, str] = {
    Remedy.PIXEL_SIZE: "--mpp 0.25, or what is true",
    Remedy.TRUST_SIZE: "--trust-size",
    Remedy.INSTALL: "`histoprompt models install {}`, --weights FILE",
    Remedy.WEIGHTS_FILE: "--weights FILE",
    Remedy.ACCEPT_TERMS: "`histoprompt models install {} --accept-licence`",
    Remedy.TRUST_ANEW: "`histoprompt models remove {} --forget`",
    Remedy.TRUST_PROGRAM: "--trust-program",
    Remedy.MODELS: "`histoprompt models list`",
    Remedy.CHECK_UP: "`histoprompt doctor`",
    Remedy.REGION: "--region R0,C0,R1,C1",
    Remedy.DRAW_FIELDS: "`histoprompt audit draw`",
    Remedy.SET_ASIDE: "--set-aside",
}


def way(remedy: Remedy, about: str = "") -> str:
    """A remedy in words that hold anywhere, and how it is written at the terminal."""
    return f"{remedy.value} ({WAYS[remedy].replace('{}', about)})"


def told(error: HistopromptError) -> str:
    """An error as one line for the terminal."""
    ways = {remedy: way(remedy, error.about) for remedy in Remedy}
    return " ".join(error.told(ways).split())
