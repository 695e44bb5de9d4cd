"""What a call came to: its result, or a text for people. The last stop of what nobody foresaw."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal

import psutil

from histoprompt._qt.shell.messages import told
from histoprompt.core.errors import Cancelled, HistopromptError
from histoprompt.models.devices import MIB, is_out_of_memory

Outcome = Literal["done", "error", "cancel", "partial"]

_log = logging.getLogger(__name__)


def attempt(
    title: str, call: Callable[[], Any], quiet: Callable[[], bool] = lambda: False
) -> tuple[Outcome, Any]:
    """Call, and turn whatever happens into an outcome: the result, or a text for people."""
    try:
        return "done", call()
    except Cancelled:
        return "cancel", None
    except HistopromptError as error:
        return "error", told(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the last stop before the user
        return ("cancel", None) if quiet() else ("error", _explain(title, error))


def _explain(title: str, error: BaseException) -> str:
    """A text for an error nobody foresaw; the traceback goes to the log."""
    _log.error("%s failed", title, exc_info=error)
    if is_out_of_memory(error):
        memory = psutil.virtual_memory()
        return (
            f"{title} ran out of memory: {memory.available / MIB:.0f} of {memory.total / MIB:.0f} "
            "MiB of the machine are free. Close other programs, or choose a smaller region or "
            f"model. ({str(error)[:200]})"
        )
    return (
        f"{title} stopped on an unexpected {type(error).__name__}: {str(error)[:300]} "
        "The details are in the log; please report them."
    )
