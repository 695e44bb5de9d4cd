"""How much memory a file may ask for: the limits, all in one place.

A header is a few bytes that may claim anything. What it claims is held against these numbers before
any memory is asked for; a person who knows the file can set them aside (``open_slide(...,
trust_size=True)``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from histoprompt.core.errors import SlideTooLargeError

GIB = 2**30


@dataclass(frozen=True)
class Limits:
    """Bounds on what the header of a file claims.

    Attributes
    ----------
    side : float
        Rows or columns of a slide. The largest glass slide is 75 x 50 mm, a third of this at
        0.25 um a pixel.
    piece_bytes : float
        Bytes of a tile, strip or chunk, or of a picture that can only be decoded whole.
    directories : float
        Pages of a TIFF.
    table_values : float
        Numbers in the tags of a TIFF, which are read before anything else: two a tile.
    """

    side: float = 2**20
    piece_bytes: float = GIB
    directories: float = 2**16
    table_values: float = 2**23

    @classmethod
    def none(cls) -> Limits:
        """For a file that somebody trusts."""
        return cls(math.inf, math.inf, math.inf, math.inf)

    def check_sides(self, name: str, height: int, width: int) -> None:
        """Refuse an image of more rows or columns than any slide has.

        Raises
        ------
        SlideTooLargeError
        """
        if max(height, width) > self.side:
            raise SlideTooLargeError(
                f"{name} says that it has {height:,} x {width:,} pixels (rows x columns); more "
                f"than {self.side:,.0f} a side are not believed. Copy or download it again."
            )

    def check_piece(self, name: str, what: str, nbytes: int) -> None:
        """Refuse a piece that must be decoded whole and takes too much memory.

        Parameters
        ----------
        name : str
            Of the file.
        what : str
            The piece in words, such as ``"a tile of 512 x 512 pixels"``.
        nbytes : int
            What it takes when it is decoded.

        Raises
        ------
        SlideTooLargeError
        """
        if nbytes > self.piece_bytes:
            raise SlideTooLargeError(
                f"{name} holds {what} that must be decoded whole and would take "
                f"{nbytes / GIB:,.1f} GiB of memory; the limit is {self.piece_bytes / GIB:,.0f} "
                "GiB. Convert it to a TIFF with tiles and a pyramid, for example with libvips."
            )
