"""Tensors with facts: one file for one content, whatever order the package writes them in."""

import numpy as np
from safetensors import deserialize, safe_open
from safetensors.numpy import save

from histoprompt.core.files.tensors import ordered

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(3, np.int8)}
FACTS = {name: f'{name} \N{GREEK SMALL LETTER MU}\n\t\x01"\\/' for name in "zyxwvu"}


def test_the_same_content_is_the_same_file(tmp_path):
    raw = {save(TENSORS, FACTS) for _ in range(20)}
    made = {ordered(data) for data in raw}
    assert len(raw) > 1, "the package itself keeps an order: nothing is needed then"
    assert len(made) == 1
    (data,) = made
    (tmp_path / "x.safetensors").write_bytes(data)
    with safe_open(tmp_path / "x.safetensors", "np") as file:
        assert file.metadata() == FACTS
        for name, tensor in TENSORS.items():
            assert np.array_equal(file.get_tensor(name), tensor)
    assert int.from_bytes(data[:8], "little") % 8 == 0
    assert len(deserialize(data)) == 2


def test_tensors_without_facts_stay_readable():
    assert dict(deserialize(ordered(save(TENSORS))))["a"]["shape"] == [3]
