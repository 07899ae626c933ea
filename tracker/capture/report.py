"""What went wrong on the way, counted: nothing is lost silently."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.capture.loss import LossError


@dataclass
class Report:
    """Counters of one source. Written by its reader thread, read by anybody.

    Attributes:
        decoded: pictures that came out of the decoder.
        decode_errors: pictures that could not be decoded.
        repaired_timestamps: pictures without a time of their own, or with one before their predecessor's.
        reconnects: connections made anew after a loss, with pictures.
        truncated: why the source ended before its end, or "".
        dropped: frames taken and not handed on, by reason; a key is there once it has happened.
        notes: further lines for a person.
        loss: why there is no connection at present; None while there are pictures, and before the first attempt.
        lag_s: how far the picture just handed on was behind the newest that the source could have given.
        due_s: monotonic time by which the reader will have moved; later than that, it hangs. None: it does not say.
    """

    decoded: int = 0
    decode_errors: int = 0
    repaired_timestamps: int = 0
    reconnects: int = 0
    truncated: str = ""
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    loss: LossError | None = None
    lag_s: float = 0.0
    due_s: float | None = None

    def busy(self, seconds: float) -> None:
        """The reader begins something that takes this long at most."""
        self.due_s = monotonic() + seconds

    def drop(self, reason: str) -> None:
        """Count one frame that nobody will see."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    @property
    def faults(self) -> int:
        """How many things went wrong, of whatever kind."""
        return self.decode_errors + self.repaired_timestamps + bool(self.truncated) + len(self.notes)

    def note(self, line: str) -> None:
        """Keep a line for a person, once."""
        if line not in self.notes:
            self.notes.append(line)

    def warnings(self) -> list[str]:
        """One line for each kind of thing that went wrong."""
        lines = []
        if self.decode_errors:
            lines.append(f"{self.decode_errors} of {self.decoded + self.decode_errors} frames could not be decoded")
        if self.truncated:
            lines.append(f"ends early: {self.truncated}")
        if self.repaired_timestamps and self.repaired_timestamps == self.decoded:
            lines.append("the stream has no timestamps, timed by its nominal rate")
        elif self.repaired_timestamps:
            lines.append(
                f"{self.repaired_timestamps} of {self.decoded} timestamps were missing or ran backwards, repaired"
            )
        return lines + self.notes
