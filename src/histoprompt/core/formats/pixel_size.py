"""A pixel size as a file states it, believed only where it can be true."""

from __future__ import annotations

from dataclasses import dataclass

MISSING = "no pixel size: pass --mpp (microns a pixel) where a step needs it"

# Beyond these a TIFF's or PNG's resolution is meant for a printer: 72 dpi is 353 um a pixel and
# 1200 dpi 21 um, while the coarsest slide scan (1x) has about 10 um.
_FINEST_UM, _COARSEST_UM = 0.01, 20.0


@dataclass(frozen=True)
class PixelSize:
    """Microns a pixel, with what there is to say about it.

    Attributes
    ----------
    mpp : float or None
        The mean of both axes.
    notes : tuple of str
        What is missing or was not believed.
    """

    mpp: float | None
    notes: tuple[str, ...] = ()

    @classmethod
    def missing(cls) -> PixelSize:
        """The file says nothing."""
        return cls(None, (MISSING,))

    @classmethod
    def stated(cls, x: float | None, y: float | None) -> PixelSize:
        """A size given as such, in microns along columns (x) and rows (y)."""
        given = [v for v in (x, y) if v is not None and 0 < v < float("inf")]
        if not given:
            return cls.missing()
        mpp = sum(given) / len(given)
        if max(given) - min(given) <= 0.01 * mpp:
            return cls(mpp)
        return cls(mpp, (f"pixels are not square ({x:.4g} x {y:.4g} um); the mean is used",))

    @classmethod
    def from_print_resolution(cls, x: float | None, y: float | None) -> PixelSize:
        """A size from dots an inch or centimetre, which often mean a printer."""
        given = [v for v in (x, y) if v is not None]
        if given and all(_FINEST_UM <= v <= _COARSEST_UM for v in given):
            return cls.stated(x, y)
        if not given:
            return cls.missing()
        said = f"the file's resolution ({given[0]:.4g} um a pixel) is a printer's and was ignored"
        return cls(None, (MISSING, said))
