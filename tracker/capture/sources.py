"""From what the user wrote to the source that reads it."""

from __future__ import annotations

import math
import os
import re
from fractions import Fraction
from threading import Event
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tracker.capture.access import Access
from tracker.capture.buffer import Observe, Reader, Source
from tracker.capture.files import FileReader
from tracker.capture.halt import Halt
from tracker.capture.images import ImageReader, is_image
from tracker.capture.loss import Patience
from tracker.capture.mark import Mark
from tracker.capture.masking import mask_credentials
from tracker.capture.replay import Replay
from tracker.capture.report import Report
from tracker.errors import SourceError, UsageError

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
NETWORK = ("rtsp", "rtsps", "http", "https")
SCHEMES = ", ".join(f"{scheme}://" for scheme in NETWORK)


def open_source(
    source: str,
    *,
    read_ahead: int = 8,
    duration_s: float | None = None,
    give_up_s: float = 30.0,
    stop: Event | None = None,
    image_rate: Fraction | float = 25,
    timed: bool = False,
    interval_s: float | None = None,
    observe: Observe = lambda stage, seconds: None,
    mark: Mark | None = None,
) -> Source:
    """Open a file, a folder or glob of pictures, `-`, a webcam number, `rtsp(s)://` or `http(s)://`.

    Returns when the first frame is there; until then a live source is tried again for `give_up_s`.

    Args:
        source: what to read. A file with a number for a name is given as `./0`.
        read_ahead: frames read ahead of the one in work; live sources keep 2 at most.
        duration_s: media seconds after which the stream ends; None: all of it.
        give_up_s: a live source without a frame for this long is lost, seconds; `math.inf`: never.
        stop: ends the iteration when set.
        image_rate: pictures a second of a folder or glob.
        timed: of a folder or glob, go by the times when the pictures were taken, where they tell them.
        interval_s: seconds between frames as the world went, in place of what a file says; not for a live source.
        observe: told the seconds of stage "grab" of each frame.
        mark: of a video file, where to begin; it is read from its beginning where that cannot be.

    Raises:
        SourceError: it cannot be opened or decoded.
        SourceLost: a live source did not come within `give_up_s`, or it refuses (password, no such stream).
        UsageError: an argument out of range, or `-` on a terminal.
        Interrupted: `stop` was set before the first frame.
    """
    _check(
        read_ahead=read_ahead, duration_s=duration_s, give_up_s=give_up_s, image_rate=image_rate, interval_s=interval_s
    )
    rate = Fraction(image_rate).limit_denominator(1001)
    timed = timed and interval_s is None
    reader = _reader(source, rate, Report(), Patience(give_up_s), Access(), mark, timed=timed)
    opened = Source(
        reader, Halt(stop), depth=read_ahead, live_depth=min(read_ahead, 2), duration_s=duration_s,
        interval_s=interval_s, observe=observe,
    )  # fmt: skip
    try:
        opened.wait_open()
    except BaseException:
        opened.close()
        raise
    return opened


def local_path(source: str) -> str:
    """`file:///a/b.mp4` -> `/a/b.mp4`; everything else as it is."""
    scheme = _SCHEME.match(source)
    return url2pathname(urlsplit(source).path) if scheme and scheme[1].lower() == "file" else source


def _check(**limits: Fraction | float | None) -> None:
    """Raise UsageError unless each is more than 0 or None."""
    for name, value in limits.items():
        if value is not None and not value > 0:
            raise UsageError(f"{name} must be more than 0, got {value}")


def camera_reader(
    source: str, report: Report, *, access: Access, loop: bool = False, image_rate: Fraction = Fraction(1)
) -> Reader:
    """A reader that never gives up: of a network stream, a webcam, or a file played like a camera.

    Args:
        source: as of `open_source`, without `-`.
        report: where to count.
        access: credentials that are not in the address; they never appear in the reader's name.
        loop: a file begins again at its end.
        image_rate: pictures a second of a folder or glob.

    Raises:
        SourceError: no such thing, at the moment.
    """
    if source == "-":
        raise SourceError("standard input cannot be a camera; give a file, a webcam number or an address")
    patience = Patience(math.inf, after_refusal=True)
    first: list[Reader] = [_reader(source, image_rate, report, patience, access)]

    def fresh() -> Reader:
        return first.pop() if first else _reader(source, image_rate, report, patience, access)

    return Replay(fresh, report, name=mask_credentials(source), loop=loop)


def _reader(
    source: str, image_rate: Fraction, report: Report, patience: Patience, access: Access, mark: Mark | None = None, *,
    timed: bool = False,
) -> Reader:  # fmt: skip
    """The reader of this kind of source."""
    if source == "-":
        from tracker.capture.stdin import StdinReader

        return StdinReader(report)
    if source.isascii() and source.isdigit():
        from tracker.capture.webcam import webcam_reader

        return webcam_reader(int(source), report, patience)
    scheme = _SCHEME.match(source)
    if scheme and scheme[1].lower() in NETWORK:
        from tracker.capture.live import LiveReader

        return LiveReader(source, report, patience, access=access)
    source = local_path(source)
    if scheme and scheme[1].lower() != "file":
        raise SourceError(f"'{mask_credentials(source)}': {scheme[1]}:// is not supported; use {SCHEMES} or a path")
    exists = os.path.exists(source)
    if os.path.isdir(source) or (exists and is_image(source)) or (not exists and re.search(r"[*?\[]", source)):
        return ImageReader(source, image_rate, report, timed=timed)
    return FileReader(source, report, mark)
