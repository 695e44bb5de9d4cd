"""Files of tensors: the same content is the same file."""

from __future__ import annotations

import json

_FACTS, _LENGTH, _ALIGNED = "__metadata__", 8, 8


def ordered(data: bytes) -> bytes:
    """Safetensors with their facts in the order of their names.

    The package writes them in another order each time.

    Parameters
    ----------
    data : bytes
        As ``safetensors.numpy.save`` and ``safetensors.torch.save`` give them.
    """
    size = int.from_bytes(data[:_LENGTH], "little")
    head = json.loads(data[_LENGTH : _LENGTH + size])
    head[_FACTS] = dict(sorted(head.get(_FACTS, {}).items()))
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // _ALIGNED) * _ALIGNED)
    return len(text).to_bytes(_LENGTH, "little") + text + data[_LENGTH + size :]
