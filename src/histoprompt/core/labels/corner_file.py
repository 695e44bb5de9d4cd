"""Corners of outlines in a file without a name, which goes when nobody needs it."""

from __future__ import annotations

import tempfile
import threading
import weakref

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.labels.edges import ranges

_IN_MEMORY = 1 << 24
# Outlines nearer to each other in the file are read at once, with what lies between.
_GAP = 1 << 12
_WIDTHS = tuple(np.dtype([("near", f"<f{n}", 2), ("last", "?")]) for n in (4, 8))


class CornerFile:
    """Corners, some 16 MB of them in memory, the rest on the disk for temporary files."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._end = 0
        self._lock = threading.Lock()

    @staticmethod
    def size(wide: bool) -> int:
        """Bytes of a corner."""
        return _WIDTHS[wide].itemsize

    def add(self, near: NDArray[np.float64], last: NDArray[np.bool_], wide: bool) -> int:
        """Keep corners.

        Parameters
        ----------
        near : (n, 2) float64
        last : (n,) bool
            Whether a ring ends there.
        wide : bool
            Whether they are kept in full, not in half the memory.

        Returns
        -------
        int
            Byte of the first.

        Raises
        ------
        LabelError
            If the disk does not take them.
        """
        rows = np.empty(len(near), _WIDTHS[wide])
        rows["near"], rows["last"] = near, last
        with self._lock:
            at = self._end
            try:
                self._file.seek(at)
                self._file.write(rows.tobytes())
            except OSError as error:
                raise LabelError(
                    f"The folder for temporary files, {tempfile.gettempdir()}, does not take the "
                    f"outlines ({error.strerror}). Make room there, or name another with TMPDIR."
                ) from error
            self._end += rows.nbytes
        return at

    def read(
        self, at: NDArray[np.int64], counts: NDArray[np.int32], wide: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The corners of outlines, one after the other, (m, 2) float64 and (m,) bool.

        Parameters
        ----------
        at, counts, wide : (n,)
            Byte of each one's first corner, ascending; corners; whether they are kept in full.
        """
        near = np.empty((int(counts.sum(dtype=np.int64)), 2))
        last = np.empty(len(near), bool)
        sizes = np.array([dtype.itemsize for dtype in _WIDTHS])[wide.astype(np.intp)]
        ends = at + counts * sizes
        # a run: outlines of one width that lie next to each other
        new = (at[1:] - ends[:-1] > _GAP) | (wide[1:] != wide[:-1])
        new |= (at[1:] - ends[:-1]) % sizes[:-1] != 0
        begin = np.flatnonzero(np.append(True, new))
        row = 0
        for first, stop in zip(begin.tolist(), [*begin[1:].tolist(), len(at)], strict=True):
            found = self._run(int(at[first]), int(ends[stop - 1]), bool(wide[first]))
            offset = (at[first:stop] - at[first]) // sizes[first]
            if stop - first > 1:
                found = found[ranges(offset, counts[first:stop].astype(np.int64))[0]]
            near[row : row + len(found)], last[row : row + len(found)] = (
                found["near"],
                found["last"],
            )
            row += len(found)
        return near, last

    def _run(self, start: int, stop: int, wide: bool) -> NDArray[np.void]:
        with self._lock:
            self._file.seek(start)
            data = self._file.read(stop - start)
        return np.frombuffer(data, _WIDTHS[wide])
