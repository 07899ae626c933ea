"""Is anybody there again? A small question asked of a camera that was deaf, while the next attempt is not due."""

from __future__ import annotations

import random
import socket
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tracker.capture.ffmpeg import Reason

if TYPE_CHECKING:
    from tracker.capture.halt import Halt

EVERY_S, ANSWER_S = 2.0, 1.0
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

DEAF = frozenset({Reason.REFUSED, Reason.TIME_OUT, Reason.UNREACHABLE, Reason.HOST, Reason.ENDED, Reason.OTHER})
"""Losses that say nothing was there. Whoever answers, if only with a refusal, is not asked more often."""


SILENT = frozenset({Reason.REFUSED, Reason.UNREACHABLE, Reason.HOST})
"""Those of them that prove it."""


def wait_for_answer(url: str, seconds: float, halt: Halt, *, heard: bool) -> None:
    """Wait this long, or until a camera that does not answer does.

    One that answers from the beginning is waited for in full: what fails there is not cured by knocking.
    `heard`: whether it may have answered just now.
    """
    until = monotonic() + seconds
    while not halt.is_set() and (left_s := until - monotonic()) > 0:
        before, heard = heard, answers(url)
        if heard and not before:
            return
        halt.wait(min(left_s, EVERY_S * random.uniform(0.5, 1.0)))


def answers(url: str) -> bool:
    """Whether something speaks at the other end; over TLS, whether it takes a connection."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme.lower(), 0)
        with socket.create_connection((host, port), ANSWER_S) as connection:
            if parts.scheme.lower() not in ("rtsp", "http"):
                return True
            # The kernel takes connections for a process that stands still; only an answer proves that it lives.
            kind = "RTSP/1.0\r\nCSeq: 1" if parts.scheme.lower() == "rtsp" else f"HTTP/1.0\r\nHost: {host}"
            connection.sendall(f"OPTIONS * {kind}\r\n\r\n".encode())
            return bool(connection.recv(1))
    except (OSError, ValueError):
        return False
