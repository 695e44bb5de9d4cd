"""What is kept of very many objects says the same as plain dictionaries would."""

from __future__ import annotations

import json
import random
import zlib

import numpy as np
import pytest

from histoprompt.annotations import chunk_index, long_record, packed
from histoprompt.annotations.chunk_index import ChunkIndex
from histoprompt.annotations.journal import Journal, Record
from histoprompt.annotations.long_record import Body, packed_json
from histoprompt.annotations.packed import Meta, MetaMap


@pytest.fixture(params=[3, 1 << 14], ids=["folded often", "folded never"])
def often(request, monkeypatch):
    monkeypatch.setattr(packed, "FOLD_AT", request.param)
    monkeypatch.setattr(chunk_index, "FOLD_AT", request.param)


def test_a_map_is_a_dictionary(often):
    chance, plain, made = random.Random(1), {}, MetaMap()
    for n in range(600):
        label = chance.randint(1, 40)
        if chance.random() < 0.3:
            assert made.pop(label, None) == plain.pop(label, None)
        else:
            meta = None if chance.random() < 0.1 else Meta(chance.choice("abc"), n, n % 3)
            made[label] = plain[label] = meta
        assert len(made) == len(plain)
        assert (label in made) == (label in plain)
        assert made.get(label) == plain.get(label)
    assert dict(made) == plain
    assert list(made) == sorted(plain)
    assert dict(made.copy()) == plain
    of_a = [i for i, meta in sorted(plain.items()) if meta and meta.class_name == "a"]
    assert made.of_classes(["a", "z"]).tolist() == of_a
    assert made.first_of_classes()["a"] == of_a[0]


@pytest.mark.parametrize("few", [0, 256])
def test_changes_are_what_is_not_the_same(monkeypatch, few):
    monkeypatch.setattr(packed, "FEW", few)
    old = {1: Meta("a", 1, 0), 2: None, 3: Meta("b", 2, 0), 4: Meta("a", 1, 0), 5: None}
    now = {1: Meta("a", 1, 0), 2: Meta("c", 9, 1), 3: Meta("c", 2, 0), 9: Meta("a", 1, 0)}
    ids, before, after = MetaMap(old).changes(MetaMap(now))
    assert ids.tolist() == [2, 3, 4]
    assert list(before) == [None, Meta("b", 2, 0), Meta("a", 1, 0)]
    assert list(after) == [Meta("c", 9, 1), Meta("c", 2, 0), None]


def test_an_index_knows_the_chunks_of_each_object(often):
    chance, plain, made = random.Random(2), {}, ChunkIndex(1)
    for _ in range(600):
        key, label = (1, chance.randint(0, 3), chance.randint(0, 3)), chance.randint(1, 20)
        keys = plain.setdefault(label, set())
        if key in keys:
            keys.discard(key)
            made.discard([label], key)
        else:
            keys.add(key)
            made.add([label], key)
        assert made.of(label) == keys
        assert (label in made) == bool(keys)
        assert len(made) == sum(map(bool, plain.values()))
    assert made.ids().tolist() == sorted(i for i, keys in plain.items() if keys)


def test_json_in_pieces_is_the_same_json(monkeypatch):
    monkeypatch.setattr(long_record, "_MANY", 4)
    told = {
        "kind": "edit",
        "objects": {"ids": np.arange(11, dtype=np.uint32), "after": ()},
        "steps": [["import", {"by": np.float32(2), "text": "é"}]] * 9,
        "none": [],
        "who": "x",
    }  # fmt: skip
    assert json.loads(zlib.decompress(packed_json(told))) == {
        "kind": "edit",
        "objects": {"ids": list(range(11)), "after": []},
        "steps": [["import", {"by": 2.0, "text": "é"}]] * 9,
        "none": [],
        "who": "x",
    }


def test_a_body_that_does_not_fit_into_memory_is_written_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(long_record, "_IN_MEMORY", 100)
    monkeypatch.setattr(long_record, "_PIECE", 64)
    journal, body, parts = Journal(tmp_path / "j"), Body(tmp_path), [b"a" * 90, b"b" * 500, b""]
    for part in parts:
        body.add(part)
    first = journal.append(Record({"n": 1}, long=body))
    second = journal.append(Record({"n": 2}, b"short"))
    assert journal.read(first).body == b"".join(parts)
    assert journal.read(second).body == b"short"
    journal.close()
