"""Codecs of zarr that never unpack more than a chunk holds.

A few megabytes of zeros can be packed a thousandfold, and a decoder unpacks what it is given. Here
every chunk is unpacked to at most the bytes that its array says it has.
"""

from __future__ import annotations

import asyncio
import bz2
import copy
import lzma
import math
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any

import imagecodecs
import zarr
from zarr.abc.codec import BytesBytesCodec, Codec
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ShardingCodec, ZstdCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer
from zarr.core.metadata import ArrayV2Metadata

# A chunk may be packed twice, or carry a checksum and padding.
_SPARE = 2**16
_KINDS: dict[type[Codec], str] = {GzipCodec: "gzip", BloscCodec: "blosc", ZstdCodec: "zstd"}
_KNOWN = ("zlib", "gzip", "bz2", "lzma", "blosc", "zstd", "lz4")


def bounded(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """The same array, whose chunks are unpacked to no more than they hold.

    Raises
    ------
    ValueError
        If it is packed with a codec that cannot be bounded.
    """
    meta = array.metadata
    if isinstance(meta, ArrayV2Metadata):
        if meta.compressor is None:
            return array
        nbytes = math.prod(meta.chunks) * array.dtype.itemsize
        kept = _copy(meta, "compressor", Unpacker(meta.compressor, nbytes + _SPARE))
    else:
        kept = _copy(meta, "codecs", tuple(_bounded_codec(c) for c in meta.codecs))
    return zarr.Array(zarr.AsyncArray(metadata=kept, store_path=array.store_path))


class Unpacker:
    """A numcodecs codec that unpacks to at most so many bytes.

    Parameters
    ----------
    codec : numcodecs codec
    most : int
        Bytes.

    Raises
    ------
    ValueError
        If the codec cannot be bounded; on decoding, if there is more in it.
    """

    def __init__(self, codec: Any, most: int) -> None:
        self.codec_id = str(codec.codec_id)
        if self.codec_id not in _KNOWN:
            raise ValueError(f"it is packed with {self.codec_id}, which is not read")
        self._codec, self._most = codec, most

    def decode(self, buf: Any, out: Any | None = None) -> Any:
        """Unpack; the argument `out` is not used by zarr."""
        return unpack(self.codec_id, bytes(buf), self._most)

    def encode(self, buf: Any) -> Any:
        """Pack, as the codec itself does."""
        return self._codec.encode(buf)

    def get_config(self) -> Any:
        """The codec's own."""
        return self._codec.get_config()

    @classmethod
    def from_config(cls, config: Any) -> Unpacker:
        """Not made from JSON: it wraps a codec that was."""
        raise NotImplementedError


@dataclass(frozen=True)
class _BoundedCodec(BytesBytesCodec):
    """A codec of zarr 3 behind `unpack`."""

    inner: Any
    kind: str
    is_fixed_size = False

    def to_dict(self) -> Any:
        return self.inner.to_dict()

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        return int(self.inner.compute_encoded_size(input_byte_length, chunk_spec))

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        itemsize = chunk_spec.dtype.to_native_dtype().itemsize
        most = math.prod(chunk_spec.shape) * itemsize + _SPARE
        packed = chunk_data.to_bytes()
        plain = await asyncio.to_thread(unpack, self.kind, packed, most)
        return chunk_spec.prototype.buffer.from_bytes(plain)


def _bounded_codec(codec: Codec) -> Codec:
    if isinstance(codec, ShardingCodec):
        return replace(codec, codecs=tuple(_bounded_codec(c) for c in codec.codecs))
    if not isinstance(codec, BytesBytesCodec) or isinstance(codec, Crc32cCodec):
        return codec
    kind = _KINDS.get(type(codec)) or str(getattr(codec, "codec_config", {}).get("id"))
    if kind not in _KNOWN:
        raise ValueError(f"it is packed with {kind}, which is not read")
    return _BoundedCodec(codec, kind)


def _copy(meta: Any, name: str, value: Any) -> Any:
    """The same metadata with another value, which zarr's own constructor would not know."""
    made = copy.copy(meta)
    object.__setattr__(made, name, value)
    return made


def unpack(kind: str, packed: bytes, most: int) -> bytes:
    """Unpack bytes to at most `most`.

    Parameters
    ----------
    kind : str
        As numcodecs names it.
    packed : bytes
    most : int

    Raises
    ------
    ValueError
        If there is more in it.
    """
    if kind in ("zlib", "gzip"):
        deflated = zlib.decompressobj(wbits=47)
        return _whole(deflated.decompress(packed, most), deflated.eof, most)
    if kind in ("bz2", "lzma"):
        stream: Any = bz2.BZ2Decompressor() if kind == "bz2" else lzma.LZMADecompressor()
        return _whole(stream.decompress(packed, most), stream.eof, most)
    if kind == "zstd":
        return bytes(imagecodecs.zstd_decode(packed, out=min(most, _zstd_size(packed, most))))
    size = struct.unpack_from("<I", packed, 4 if kind == "blosc" else 0)[0]
    if size > most:
        raise _too_much(most)
    if kind == "lz4":
        return bytes(imagecodecs.lz4_decode(packed, header=True))
    return bytes(imagecodecs.blosc_decode(packed))


def _whole(plain: bytes, ended: bool, most: int) -> bytes:
    if not ended and len(plain) >= most:
        raise _too_much(most)
    return plain


def _too_much(most: int) -> ValueError:
    return ValueError(f"a chunk unpacks to more than the {most - _SPARE:,} bytes it should hold")


def _zstd_size(packed: bytes, most: int) -> int:
    """The size a frame of Zstandard states (RFC 8878, 3.1.1.1), or `most` where it states none."""
    flags = packed[4]
    single, wide = flags >> 5 & 1, flags >> 6
    length = (1 if single else 0, 2, 4, 8)[wide]
    if packed[:4] != b"\x28\xb5\x2f\xfd" or not length:
        return most
    at = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    size = int.from_bytes(packed[at : at + length], "little") + (256 if length == 2 else 0)
    if size > most:
        raise _too_much(most)
    return size
