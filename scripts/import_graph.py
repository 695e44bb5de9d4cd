"""Count the import arrows between the subjects of the package, and refuse more than are meant.

    python scripts/import_graph.py

Prints a line for each hall: its rooms, the arrows between them and their circles. Ends with 1 if
there is a circle, or more arrows than `MOST` allows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import grimp

# hall -> most arrows between its rooms
MOST = {"": 25, "pipelines": 15, "_qt": 32, "core": 45, "models": 35}


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


def circles(pairs: set[tuple[str, str]]) -> Iterator[str]:
    """Rooms that reach themselves."""
    following: dict[str, set[str]] = {}
    for start, end in pairs:
        following.setdefault(start, set()).add(end)
    for room in sorted(following):
        seen, waiting = set(), set(following[room])
        while waiting:
            here = waiting.pop()
            seen.add(here)
            waiting |= following.get(here, set()) - seen
        if room in seen:
            yield room


def main() -> int:
    """Print the figures; 1 if one is over its limit."""
    graph = grimp.build_graph("histoprompt")
    status = 0
    for hall, most in MOST.items():
        pairs = arrows(graph, hall)
        turning = list(circles(pairs))
        rooms = {room for pair in pairs for room in pair}
        line = f"{hall or 'histoprompt'}: {len(rooms)} rooms, {len(pairs)} arrows (most {most})"
        sys.stdout.write(f"{line}, circles: {', '.join(turning) or 'none'}\n")
        status |= bool(turning) or len(pairs) > most
    return int(status)


def _room(module: str, base: str, depth: int) -> str:
    parts = module.split(".")
    if not module.startswith(base + ".") or len(parts) <= depth:
        return ""
    return parts[depth]


if __name__ == "__main__":
    sys.exit(main())
