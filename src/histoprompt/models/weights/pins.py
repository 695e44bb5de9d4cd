"""The sha256 of files for which none is published, kept from the first one seen.

A file that was exchanged later, on the server or on the disk, is refused: whoever wants the new one
removes the model together with its pin.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from histoprompt.core import settings
from histoprompt.core.errors import RecordError, Remedy, WeightsError
from histoprompt.core.files.records import change_record, read_record
from histoprompt.models.card import ModelCard, WeightsSpec


@dataclass(frozen=True, slots=True)
class Pin:
    """What was seen first.

    Attributes
    ----------
    sha256 : str
        ``"sha256:hex"``.
    date : str
        ISO day.
    source : str
        Where the card said that the file comes from.
    """

    sha256: str
    date: str
    source: str


def pin_of(spec: WeightsSpec) -> Pin | None:
    """The pin of a file, if it has been seen before.

    Raises
    ------
    RecordError
        If the table of pins is damaged.
    """
    entry = read_record(_table()).get(str(spec.place))
    if entry is None:
        return None
    try:
        return Pin(str(entry["sha256"]), str(entry["date"]), str(entry["source"]))
    except (TypeError, KeyError) as error:
        raise RecordError(f"{_table()} is damaged at {spec.place}. Repair or remove it.") from error


def check(card: ModelCard, spec: WeightsSpec, origin: str, sha256: str) -> Pin:
    """Compare a file with the pin, or make this the pin if it is the first.

    Parameters
    ----------
    origin : str
        The file, or where it came from, for the message.
    sha256 : str
        ``"sha256:hex"`` of the file.

    Raises
    ------
    WeightsError
        If another file was seen first; the message gives both hashes.
    """
    pin = pin_of(spec)
    if pin is None:
        pin = Pin(sha256, datetime.now(UTC).date().isoformat(), spec.source)
        change_record(_table(), str(spec.place), asdict(pin))
    if pin.sha256 != sha256:
        raise WeightsError(
            f"{origin} is another file than the one first seen for {card.title} on {pin.date}: its "
            f"sha256 is {sha256.partition(':')[2]}, before it was {pin.sha256.partition(':')[2]} "
            f"(source: {pin.source}).",
            remedy=Remedy.TRUST_ANEW,
            about=card.id,
        )
    return pin


def forget(spec: WeightsSpec) -> None:
    """Let any file be the first again."""
    if pin_of(spec) is not None:
        change_record(_table(), str(spec.place), None)


def _table() -> Path:
    return settings.home() / "pins.json"
