"""Sequences on the disk, in MOTChallenge's layout: `NAME/det/det.txt`, `NAME/seqinfo.ini` beside `det`."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from tracker.errors import UsageError

PATTERNS = ("det/det.txt", "*/det/det.txt", "*/*/det/det.txt", "**/det/det.txt")  # `**` alone follows no links
RATE_FORM = re.compile(r"[0-9]{1,12}(\.[0-9]{0,12})?|[0-9]{1,12}/[0-9]{1,12}")
FASTEST = 100_000  # frames a second


@dataclass(frozen=True)
class MotSequence:
    """One sequence.

    Attributes:
        name: what its result is named by: the folder that holds `det`, or the file's own name.
        detections: the file.
        frame_rate: frames a second.
        frames: how many the sequence has, as far as seqinfo.ini tells; else 0.
    """

    name: str
    detections: Path
    frame_rate: Fraction
    frames: int = 0


def parse_rate(text: str) -> Fraction:
    """`30`, `0.7` or `30000/1001` as frames a second, exactly.

    Raises:
        ValueError: no such number, or not above 0 and at most FASTEST.
    """
    text = text.strip()
    try:
        rate = Fraction(text) if RATE_FORM.fullmatch(text) else Fraction(0)
    except ZeroDivisionError:
        rate = Fraction(0)
    if not 0 < rate <= FASTEST:
        raise ValueError(f"wanted frames a second such as 30, 0.7 or 30000/1001, got '{text[:40]}'")
    return rate


def find_sequences(path: Path, frame_rate: Fraction | None) -> list[MotSequence]:
    """The sequences of a detection file or of a folder, by name.

    A folder's sequences take their own rate from seqinfo.ini before `frame_rate`; a single file does the reverse.

    Raises:
        UsageError: nothing there, two sequences of one name, an unreadable seqinfo.ini, or no rate.
    """
    try:
        if path.is_file():
            return [_sequence(path, frame_rate, own_rate=False)]
        if not path.is_dir():
            raise UsageError(f"{path} {'is neither file nor folder' if path.exists() else 'does not exist'}")
        files = sorted({file for pattern in PATTERNS for file in path.glob(pattern) if file.is_file()})
    except OSError as error:  # no permission, or no name for a file
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if not files:
        raise UsageError(f"{path} holds no sequence; wanted is a file of detections, or a folder with NAME/det/det.txt")
    found: dict[str, MotSequence] = {}
    for file in files:
        sequence = _sequence(file, frame_rate, own_rate=True)
        other = found.setdefault(sequence.name, sequence)
        if other is not sequence:
            raise UsageError(
                f"{path} holds {sequence.name} twice, {other.detections} and {file}, and their results "
                "would have one name; track them apart"
            )
    return [found[name] for name in sorted(found)]


def _sequence(file: Path, frame_rate: Fraction | None, *, own_rate: bool) -> MotSequence:
    """The sequence of a detection file; `own_rate`: seqinfo.ini goes before `frame_rate`. Raises UsageError."""
    folder = file.absolute().parent
    standard = folder.name == "det" and file.name == "det.txt"
    name = folder.parent.name if standard else file.stem
    ini = folder.parent / "seqinfo.ini"
    rate, frames = _seqinfo(ini) if standard and ini.is_file() else (None, 0)
    rate = (rate or frame_rate) if own_rate else (frame_rate or rate)
    if rate is None:
        where = f"{ini} holds none" if standard else f"{file} comes without a seqinfo.ini"
        raise UsageError(f"the frame rate of {name} is not known: {where}; give --frame-rate, for example 30")
    return MotSequence(name, file, rate, frames)


def _seqinfo(ini: Path) -> tuple[Fraction | None, int]:
    """Of a seqinfo.ini frameRate and seqLength; None and 0 where it does not tell them. Raises UsageError."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(ini.read_text(encoding="utf-8-sig"), str(ini))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise UsageError(f"{ini} cannot be read: {' '.join(str(error).split())}") from None
    rate = parser.get("Sequence", "frameRate", fallback=None)
    length = parser.get("Sequence", "seqLength", fallback="0").strip()
    if not (length.isascii() and length.isdigit() and len(length) < 8):
        raise UsageError(f"{ini}: wanted seqLength as a number of frames, got '{length[:40]}'")
    try:
        return (None if rate is None else parse_rate(rate)), int(length)
    except ValueError as error:
        raise UsageError(f"{ini}, frameRate: {error}") from None
