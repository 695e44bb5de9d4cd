"""The keys and gestures of the plugin, as the code serves them."""

from __future__ import annotations


def table() -> str:
    """All of them as a table, by the layer they work on."""
    from histoprompt._qt.shell.keys import TABLE

    lines = ["| key or gesture | on | does |", "| --- | --- | --- |"]
    for gesture in TABLE:
        keys = "+".join(f"<kbd>{part}</kbd>" for part in gesture.title.split("+"))
        lines.append(f"| {keys} | {gesture.where} | {gesture.does} |")
    return "\n".join(lines)
