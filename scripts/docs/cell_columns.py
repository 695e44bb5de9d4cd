"""The columns of a table of cells, as the code declares them."""

from __future__ import annotations

from histoprompt.core.cell_schema import COLUMNS


def table() -> str:
    """All of them as a table, in the order of files."""
    lines = ["| column | unit | says | in QuPath |", "| --- | --- | --- | --- |"]
    for column in COLUMNS:
        measured = f"`{column.measurement}`" if column.measurement else ""
        lines.append(f"| `{column.name}` | {column.unit} | {column.help} | {measured} |")
    return "\n".join(lines)
