"""An unfinished count on disk: what is damaged is counted again, what is not its own stays."""

from __future__ import annotations

import json

import numpy as np
import pytest

from histoprompt.core.errors import ExportError
from histoprompt.core.geometry import Box
from histoprompt.pipelines.count.result_folders import free_folder
from histoprompt.pipelines.count.store import CountStore, TileLogHeader
from histoprompt.pipelines.count.store_files import record_type

REGION, SETTINGS = Box(0, 0, 128, 128), {"tile": 64}
HEAD = TileLogHeader(("f",), ("", "x"))


def records(first: int, n: int) -> np.ndarray:
    made = np.zeros(n, record_type(1))
    made["id"] = first + np.arange(n)
    return made


@pytest.fixture
def folder(tmp_path):
    """Three finished tiles of 0, 2 and 1 cells."""
    with CountStore(tmp_path / "c", REGION, SETTINGS) as store:
        store.append((0, 0), records(1, 0), TileLogHeader(), None)
        store.append((0, 1), records(1, 2), HEAD, Box(0, 64, 20, 90))
        store.append((1, 0), records(3, 1), HEAD, Box(64, 0, 70, 9))
    return tmp_path / "c"


def opened(folder) -> CountStore:
    with CountStore(folder, REGION, SETTINGS) as store:
        return store  # what is there can still be read


def test_a_sound_journal_is_taken_as_it_is(folder):
    store = opened(folder)
    assert ([d.place for d in store.done], len(store)) == ([(0, 0), (0, 1), (1, 0)], 3)
    assert store.head == HEAD


@pytest.mark.parametrize(
    ("line", "damage", "tiles", "cells"),
    [
        (2, '{"tile": [1, 0], "cells": 99999999, "box": null}', 2, 2),
        (2, '{"tile": [1, 0], "cells": -5, "box": null}', 2, 2),
        (2, '{"tile": [1, 0], "cells": 1, "box": null}', 2, 2),
        (2, '{"tile": [1, 0]}', 2, 2),
        (2, "[]", 2, 2),
        (2, "x", 2, 2),
        (2, '{"tile": ["a", 0], "cells": 3, "box": null}', 2, 2),
        (2, '{"tile": [1, 0], "cells": 3, "box": [0, 0, 500, 1]}', 2, 2),
        (1, '{"tile": [0, 1], "cells": 2, "box": null}', 1, 0),
        (1, '{"tile": [0, 1], "cells": 2, "box": null, "head": [["a"], ["b"], []]}', 1, 0),
        (0, '{"tile": [0, 0], "cells": 99999999, "box": null}', 0, 0),
        (0, "[" * 100_000, 0, 0),
    ],
)
def test_what_follows_a_damaged_line_is_counted_again(folder, line, damage, tiles, cells):
    path = folder / "tiles.jsonl"
    lines = path.read_text().splitlines()
    lines[line] = damage
    path.write_text("\n".join(lines) + "\n")
    store = opened(folder)
    assert (len(store.done), len(store)) == (tiles, cells)
    size = record_type(len(store.head.names)).itemsize
    assert (folder / "cells.bin").stat().st_size == cells * size
    assert len(opened(folder)) == cells  # and stays so


def test_cells_that_are_lost_take_their_tile_with_them(folder):
    path = folder / "cells.bin"
    path.write_bytes(path.read_bytes()[:-1])
    store = opened(folder)
    assert ([d.place for d in store.done], len(store)) == ([(0, 0), (0, 1)], 2)


def test_cells_that_are_not_the_next_ones_are_not_believed(folder):
    path = folder / "cells.bin"
    raw = bytearray(path.read_bytes())
    raw[record_type(1).itemsize] ^= 0x40  # of the id of the second cell
    path.write_bytes(bytes(raw))
    assert ([d.place for d in opened(folder).done]) == [(0, 0)]


def test_files_of_other_people_outlive_the_work_folder(folder):
    (folder / "precious.txt").write_text("mine")
    with CountStore(folder, REGION, {"tile": 32}):
        assert (folder / "precious.txt").read_text() == "mine"
    CountStore(folder, REGION, {"tile": 32}).remove()
    assert [p.name for p in folder.iterdir()] == ["precious.txt"]
    (folder / "precious.txt").unlink()
    CountStore(folder, REGION, SETTINGS).remove()
    assert not folder.exists()


def test_a_link_to_another_folder_is_not_written_through(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(ExportError, match="is a link to"):
        CountStore(tmp_path / "link", REGION, SETTINGS)
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("found", [[], 5, {"slide": 3}, {}, None])
def test_a_damaged_result_does_not_say_whose_the_folder_is(tmp_path, found):
    """The slide is counted there anew, and the notes of the count say so."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "count.json").write_text(json.dumps(found))
    assert free_folder(tmp_path, "a", "key") == tmp_path / "a"
