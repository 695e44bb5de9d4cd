"""The chunk files of a count's labels: seen through to the disk, and looked at when it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from histoprompt.annotations import codec
from histoprompt.annotations.sums import Sum, sum_of
from histoprompt.core.files.durable import sync_all
from histoprompt.pipelines.count.tile_log import Done

CHUNK = 512


class DrawnChunks:
    """The chunks of a zarr array of labels, by names such as ``3/4``.

    Parameters
    ----------
    array : Path
        Of the array.
    """

    def __init__(self, array: Path) -> None:
        self._array = array

    def sync(self, rows: slice, cols: slice) -> dict[str, Sum | None]:
        """See the chunks under some pixels through to the disk, and tell their checksums.

        Raises
        ------
        OSError
            If the disk does not take them.
        """
        numbers = [range(s.start // CHUNK, (s.stop - 1) // CHUNK + 1) for s in (rows, cols)]
        paths = {f"{r}/{c}": self._path(f"{r}/{c}") for r in numbers[0] for c in numbers[1]}
        files = [path for path in paths.values() if path.is_file()]
        above = (self._array / "c", self._array) if files else ()
        sync_all(files, [*sorted({path.parent for path in files}), *above])
        return {n: sum_of(p.read_bytes()) if p.is_file() else None for n, p in paths.items()}

    def whole(self, done: Sequence[Done]) -> list[Done]:
        """The finished tiles before the first of which labels are lost or damaged.

        Chunks that are damaged are removed: all that is in them is drawn again.
        """
        last: dict[str, Sum | None] = dict.fromkeys(self._on_disk())
        last |= {name: there for line in done for name, there in (line.chunks or {}).items()}
        bad = {name for name, there in last.items() if not self._is_whole(name, there)}
        for name in bad:
            self._path(name).unlink(missing_ok=True)
        fine = [not bad & (line.chunks or {}).keys() for line in done]
        return list(done[: fine.index(False)] if False in fine else done)

    def _on_disk(self) -> list[str]:
        files = (self._array / "c").glob("*/*")
        names = [(path.parent.name, path.name) for path in files]
        return [f"{row}/{col}" for row, col in names if row.isdecimal() and col.isdecimal()]

    def _is_whole(self, name: str, wanted: Sum | None) -> bool:
        """Whether a chunk is as it was, or was drawn on since by a tile that was not finished."""
        path = self._path(name)
        data = path.read_bytes() if path.is_file() else None
        return sum_of(data) == wanted or (data is not None and _holds_labels(data))

    def _path(self, name: str) -> Path:
        row, col = name.split("/")
        return self._array / "c" / str(int(row)) / str(int(col))


def _holds_labels(data: bytes) -> bool:
    try:
        codec.decode(data, (CHUNK, CHUNK))
    except ValueError:
        return False
    return True
