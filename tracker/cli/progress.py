"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere. On standard error."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any

PLAIN_EVERY_S = 5.0


def say(text: str) -> None:
    """One line for the person at the terminal, above the bar where there is one; standard output belongs to results."""
    if (tqdm := sys.modules.get("tqdm")) is not None:
        tqdm.tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr, flush=True)


class Progress:
    """Frames done, rate, time left, tracks."""

    def __init__(self, total: int | None, unit: str = "tracks") -> None:
        """`total` frames, or None where nobody knows; `unit`: what is counted a frame."""
        self._unit = unit
        self._total = total
        self._done = 0
        self._last_s = monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            shape = "{desc}{percentage:3.0f}%|{bar:30}| {n_fmt}/{total_fmt} frames  {elapsed}<{remaining}{postfix}"
            self._bar = tqdm(
                total=total, file=sys.stderr, bar_format=shape if total else None, unit=" frames", leave=False
            )

    def update(self, done: int, fps: float, tracks: int) -> None:
        """After each frame."""
        now = monotonic()
        if self._bar is not None:
            self._bar.update(done - self._done)
            self._bar.set_postfix_str(f"{fps:.1f} fps, {tracks} {self._unit}", refresh=False)
        elif now - self._last_s >= PLAIN_EVERY_S:
            self._last_s = now
            of, left = (f"/{self._total}", self._left(done, fps)) if self._total else ("", "")
            print(f"{done}{of} frames, {fps:.1f} fps{left}, {tracks} {self._unit}", file=sys.stderr, flush=True)
        self._done = done

    def _left(self, done: int, fps: float) -> str:
        """The time left as a plain line ends with it: ", 12 s left"; nothing where the rate is not known."""
        assert self._total is not None
        return f", {max(0, self._total - done) / fps:.0f} s left" if fps > 0 else ""

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
