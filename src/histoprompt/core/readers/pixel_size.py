"""A pixel size as a file states it, believed only where it can be true."""

from __future__ import annotations

from dataclasses import dataclass

MISSING = "no pixel size: a step that needs it has to be told the microns per pixel"

# What a light microscope can give: a 100x lens with four-fold relay has 0.016 um a pixel, a
# photograph of a whole slide 50.
FINEST_UM, COARSEST_UM = 0.01, 100.0

# Beyond this a TIFF's or PNG's resolution is meant for a printer: 72 dpi is 353 um a pixel and
# 1200 dpi 21 um, while the coarsest slide scan (1x) has about 10 um.
_COARSEST_PRINTED_UM = 20.0


def plausible(um: float) -> bool:
    """Whether a light microscope can give so many microns a pixel."""
    return FINEST_UM <= um <= COARSEST_UM


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
        given = [v for v in (x, y) if v is not None]
        believed = [v for v in given if plausible(v)]
        doubt = tuple(
            f"the file states a pixel size of {v:.4g} um, which no light microscope gives: ignored"
            for v in [v for v in given if not plausible(v)][:1]
        )
        if not given or doubt:
            return cls(None, (MISSING, *doubt))
        mpp = sum(believed) / len(believed)
        if max(believed) - min(believed) <= 0.01 * mpp:
            return cls(mpp)
        return cls(mpp, (f"pixels are not square ({x:.4g} x {y:.4g} um); the mean is used",))

    @classmethod
    def from_print_resolution(cls, x: float | None, y: float | None) -> PixelSize:
        """A size from dots an inch or centimetre, which often mean a printer."""
        given = [v for v in (x, y) if v is not None]
        if given and all(FINEST_UM <= v <= _COARSEST_PRINTED_UM for v in given):
            return cls.stated(x, y)
        if not given:
            return cls.missing()
        said = f"the file's resolution ({given[0]:.4g} um a pixel) is a printer's and was ignored"
        return cls(None, (MISSING, said))
