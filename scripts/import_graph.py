"""Count the import arrows between the subjects of the package, and refuse more than are meant.

    python scripts/import_graph.py

Prints a line for each hall: its rooms and the arrows between them, and the same of its subjects
alone. Ends with 1 if there are more than `MOST` allows. That no two rooms stand on each other is a
rule of import-linter, and so is that the shared rooms know no subject.
"""

from __future__ import annotations

import sys

import grimp

# hall -> most arrows between its rooms
MOST = {"": 22, "pipelines": 54, "_qt": 52, "core": 50, "models": 35}
# hall -> rooms that every subject may stand on and that know none, most arrows between the others
SHARED = {
    "pipelines": ({"embedding", "formats", "project", "prompts", "recipes"}, 15),
    "_qt": ({"layers", "shell", "widgets"}, 15),
}


def arrows(graph: grimp.ImportGraph, hall: str) -> set[tuple[str, str]]:
    """The pairs of rooms of which the first imports the second."""
    base = f"histoprompt.{hall}" if hall else "histoprompt"
    depth = base.count(".") + 1
    found = set()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            rooms = tuple(_room(m, base, depth) for m in (importer, imported))
            if all(rooms) and rooms[0] != rooms[1]:
                found.add((rooms[0], rooms[1]))
    return found


def main() -> int:
    """Print the figures; 1 if one is over its limit."""
    graph = grimp.build_graph("histoprompt")
    status = 0
    for hall, most in MOST.items():
        pairs = arrows(graph, hall)
        rooms = {room for pair in pairs for room in pair}
        name = hall or "histoprompt"
        sys.stdout.write(f"{name}: {len(rooms)} rooms, {len(pairs)} arrows (most {most})\n")
        status |= len(pairs) > most
        if hall in SHARED:
            shared, fewer = SHARED[hall]
            pairs = {pair for pair in pairs if not shared & set(pair)}
            rooms -= shared
            sys.stdout.write(f"  {len(rooms)} subjects, {len(pairs)} arrows (most {fewer})\n")
            status |= len(pairs) > fewer
    return int(status)


def _room(module: str, base: str, depth: int) -> str:
    parts = module.split(".")
    if not module.startswith(base + ".") or len(parts) <= depth:
        return ""
    return parts[depth]


if __name__ == "__main__":
    sys.exit(main())
