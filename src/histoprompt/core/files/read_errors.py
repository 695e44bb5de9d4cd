"""What may go wrong in the parsers and decoders below a reader: the one list of it.

A damaged header can make a parser divide by zero, look behind the end of a list or take a number
for a text; a damaged tile makes a decoder raise almost anything. All of it means one thing to a
person: the file is damaged, or is not what it says.
"""

from __future__ import annotations

import lzma
import struct
import zlib

from PIL import Image
from tifffile import TiffFileError

READ_ERRORS: tuple[type[BaseException], ...] = (
    OSError,
    # JSON, Unicode, TIFF tags, zarr metadata, sizes that do not fit each other
    ValueError,
    # imagecodecs, numcodecs, nesting that is too deep (RecursionError), NotImplementedError
    RuntimeError,
    EOFError,
    MemoryError,
    BufferError,
    # a directory or a document of another form than the parser expects
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    # a codec that is not in this build
    ImportError,
    # XML that is none (ParseError), a picture that Pillow calls broken
    SyntaxError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    TiffFileError,
    Image.DecompressionBombError,
)
