"""How long to wait for a live source, and what its losses mean."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tracker.capture import ffmpeg
from tracker.capture.ffmpeg import Reason

HOPELESS = frozenset({Reason.AUTH, Reason.NOT_FOUND, Reason.CODEC})
"""Refusals that waiting does not heal, when they are the very first answer."""

ADVICE = {
    Reason.AUTH: "check user and password",
    Reason.NOT_FOUND: "check the path in the address",
    Reason.REFUSED: "check the port, and that the camera's service runs",
    Reason.HOST: "check the host name",
    Reason.CODEC: "set the camera to H.264",
}


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds.

    Attributes:
        give_up_s: without a frame, until the source is lost.
        open_s: for a connection and its first data.
        read_s: without a frame, until the connection counts as dead.
        first_delay_s, longest_delay_s: bounds of the random wait before an attempt, growing from one to the other.
        after_refusal: go on even where the very first answer was a refusal for good: a service outlives a wrong
            password, which somebody will put right.
    """

    give_up_s: float = 30.0
    open_s: float = 5.0
    read_s: float = 5.0
    first_delay_s: float = 1.0
    longest_delay_s: float = 30.0
    after_refusal: bool = False

    def delay_s(self, failures: int) -> float:
        """Exponential back-off with full jitter: cameras behind one switch must not all knock at the same moment."""
        bound_s = self.first_delay_s * 2.0 ** min(failures - 1, 16)
        return random.uniform(0.0, min(self.longest_delay_s, bound_s))


class LossError(Exception):
    """This connection is over; perhaps not the source."""

    def __init__(self, reason: Reason, said: str = "") -> None:
        """`said`: in the words of whoever noticed, masked."""
        super().__init__(said)
        self.reason, self.said = reason, said

    def __str__(self) -> str:
        """The reason and the words."""
        return f"{self.reason.value} ({self.said})" if self.said else self.reason.value


def loss(error: Exception, lines: ffmpeg.Lines) -> LossError:
    """What FFmpeg's error means, with its words only where they add something."""
    reason = ffmpeg.reason_of(error, lines)
    if reason in {Reason.TIME_OUT, Reason.REFUSED}:
        return LossError(reason)
    plain = reason in {Reason.AUTH, Reason.NOT_FOUND, Reason.SERVER}
    return LossError(reason, ffmpeg.explain(error, [] if plain else lines))
