"""Damage for documents, tables and bytes, drawn from a seeded generator."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

# What no place of a document expects, whatever it expects.
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 2**31, 2**32, 2**63, 2**64, 10**40,
    10**400, "", "x", "0", "-1", "NaN", "\u00e9\0", "\ud800", "../../up", "=1+1", "a" * 3000, [],
    {}, [[]], [None], [[[]]], {"a": 1}, [1, 2], ["a"], [{}], [float("nan")] * 4, [2**70, 2**70],
    [-1e9, -1e9, 1e9, 1e9], [0, 0, 0, 0], [10**400] * 4,
)  # fmt: skip
CELLS = (
    "", " ", "nan", "inf", "1e400", "-1", "0", "1.5", "9" * 5000, "9" * 25, "4294967296", "abc",
    "=cmd|' /C calc'!A0", '"', '""', 'a"b', '"a,b"', '"a\nb"', "\0", "\u00e9", "\ufeff", "'",
    "\uff11", "\u0663", "yes", "None", "x" * 200_000, "#zzzzzz", "0x10", "1_000", "+1", "1 ", "NA",
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a document can be changed."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:12]) if isinstance(
        value, list
    ) else ()  # fmt: skip
    return [path, *(p for key, item in inner for p in places(item, (*path, key)))]


def changed(rng: random.Random, document: Any) -> Any:
    """A document with one or two places made wrong."""
    found = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 2])):
        path = rng.choice(places(found))
        if not path:
            found = copy.deepcopy(rng.choice(ODD))
            continue
        parent = found
        for key in path[:-1]:
            parent = parent[key]
        key, how = path[-1], rng.choice(["set", "set", "set", "drop", "nest", "many"])
        if how == "set":
            parent[key] = copy.deepcopy(rng.choice(ODD))
        elif how == "drop":
            parent.pop(key)
        elif how == "nest":
            parent[key] = [parent[key]]
        elif isinstance(parent[key], list):
            parent[key] = parent[key] * 40
    return found


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes with some lost, turned, doubled or put in between."""
    raw = bytearray(data)
    at = rng.randrange(len(raw) + 1)
    how = rng.choice(["cut", "flip", "zero", "delete", "repeat", "random", "empty"])
    if how == "cut":
        del raw[at:]
    elif how == "flip":
        for _ in range(rng.choice([1, 3, 30])):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    elif how == "zero":
        raw[at : at + 16] = bytes(len(raw[at : at + 16]))
    elif how == "delete":
        del raw[at : at + rng.choice([1, 16, 300])]
    elif how == "repeat":
        raw[at:at] = raw[at : at + 50]
    elif how == "random":
        raw[at : at + 16] = rng.randbytes(16)
    else:
        return rng.choice([b"", b" ", b"\0", b"null", b"[]", b"{}", b"0", b'""'])
    return bytes(raw)


def damaged_json(rng: random.Random, document: Any) -> bytes:
    """A JSON text that is damaged in what it says or in how it says it."""
    how = rng.choice(["tree"] * 6 + ["bytes", "bytes", "deep", "utf16", "digits", "bom"])
    if how == "tree":
        return json.dumps(changed(rng, document)).encode("utf-8", "surrogatepass")
    text = json.dumps(document).encode()
    if how == "deep":
        n = rng.choice([65, 900, 5000, 200_000])
        return rng.choice([b"[" * n + b"]" * n, b'{"a":' * n + b"1" + b"}" * n])
    if how == "utf16":
        return json.dumps(document).encode("utf-16")
    if how == "digits":
        at = [i for i, c in enumerate(text) if 48 <= c < 58]
        i = rng.choice(at) if at else 0
        return text[:i] + b"9" * 5000 + text[i:]
    return b"\xef\xbb\xbf" + text if how == "bom" else damaged_bytes(rng, text)


def damaged_csv(rng: random.Random, text: str) -> bytes:
    """A table that is damaged in a cell, a row, a column or as a text."""
    rows = [line.split(",") for line in text.strip().split("\n")]
    how = rng.choice(
        ["cell"] * 6
        + ["head", "drop row", "double", "drop column", "add column", "short", "long", "bytes",
           "bom", "utf16", "cr", "semicolons", "blank", "quote", "nul", "head alone"]
    )  # fmt: skip
    i, j = rng.randrange(1, len(rows)), rng.randrange(len(rows[0]))
    if how == "cell":
        rows[i][j] = rng.choice(CELLS)
    elif how == "head":
        rows[0][j] = rng.choice([*CELLS, "id", "class"])
    elif how == "drop row":
        del rows[i]
    elif how == "double":
        rows.insert(i, rows[i])
    elif how == "drop column":
        rows = [row[:j] + row[j + 1 :] for row in rows]
    elif how == "add column":
        rows = [[*row, "7"] for row in rows]
    elif how == "short":
        rows[i] = rows[i][:j]
    elif how == "long":
        rows[i] = [*rows[i], "1", "2"]
    raw = ("\n".join(map(",".join, rows)) + "\n").encode("utf-8", "surrogatepass")
    at = rng.randrange(len(raw))
    return {
        "bytes": lambda: damaged_bytes(rng, raw),
        "bom": lambda: b"\xef\xbb\xbf" + raw,
        "utf16": lambda: raw.decode(errors="replace").encode("utf-16"),
        "cr": lambda: raw.replace(b"\n", b"\r"),
        "semicolons": lambda: raw.replace(b",", b";"),
        "blank": lambda: raw.replace(b"\n", b"\n\n,,\n"),
        "quote": lambda: raw[:at] + b'"' + raw[at:],
        "nul": lambda: raw + bytes(50),
        "head alone": lambda: raw.split(b"\n")[0],
    }.get(how, lambda: raw)()
