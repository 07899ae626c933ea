"""The progress board of an archive: on a terminal some lines redrawn in place, elsewhere a line every few seconds."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from time import monotonic

from tracker.batch.archive import Board
from tracker.batch.job import DONE, FAILED
from tracker.batch.manifest import Entry

PLAIN_EVERY_S, DRAW_EVERY_S = 5.0, 0.25
MOST_LINES, WIDE = 8, 30


class Display:
    """Draws a `Board`, with the time that is left as the bytes of the videos tell it."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        """`entries`: all videos of the archive, as they are before the run."""
        self._sizes = {entry.video.name: entry.before.size if entry.before else 0 for entry in entries}
        self._rest = {entry.video.name for entry in entries if entry.state not in (DONE, FAILED)}
        self._to_do = max(sum(self._sizes[name] for name in self._rest), 1)
        self._terminal = sys.stderr.isatty()
        self._began = self._last = monotonic()
        self._drawn = 0
        self._seen: set[str] = set()

    def show(self, board: Board) -> None:
        """Draw, if it is time to."""
        self._seen |= set(board.running)
        now = monotonic()
        if now - self._last < (DRAW_EVERY_S if self._terminal else PLAIN_EVERY_S):
            return
        self._last = now
        if self._terminal:
            self._draw([self._bar(board), *self._running(board)])
        else:
            print(self._total(board), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the board away."""
        if self._terminal:
            self._draw([])

    def _total(self, board: Board) -> str:
        """All in one line."""
        elapsed = monotonic() - self._began
        parts = [f"{board.done}/{board.videos} videos"]
        if board.failed:
            parts.append(f"{board.failed} failed")
        parts.append(f"{board.frames:,} frames")
        if board.new:
            parts.append(f"{board.new / elapsed:.1f} fps")
        share = self._share(board)
        if board.paused:
            parts.append(f"paused: {board.paused}")
        elif share > 0:
            parts.append(f"{_clock(elapsed / share - elapsed)} left")
        return ", ".join(parts)

    def _share(self, board: Board) -> float:
        """Of the bytes to be done, those of the videos that are over, and of long ones what is done of them, 0..1."""
        over = self._seen - set(board.running)
        done: float = sum(self._sizes[name] for name in over & self._rest)
        for name in board.lengths.keys() & board.running.keys():
            done += self._sizes[name] * board.running[name] / board.lengths[name]
        return done / self._to_do

    def _bar(self, board: Board) -> str:
        """The line for all."""
        filled = round(WIDE * (board.done + board.failed) / max(board.videos, 1))
        return f"|{'█' * filled}{'░' * (WIDE - filled)}| {self._total(board)}"

    def _running(self, board: Board) -> list[str]:
        """A line for each video in work, as far as there is room."""
        lines = [
            f"  {name}  {frames:,} {f'of {board.lengths[name]:,} ' if name in board.lengths else ''}frames"
            for name, frames in list(board.running.items())[:MOST_LINES]
        ]
        more = len(board.running) - len(lines)
        return [*lines, f"  and {more} more"] if more > 0 else lines

    def _draw(self, lines: Sequence[str]) -> None:
        """Replace what was drawn before."""
        columns = shutil.get_terminal_size().columns
        up = f"\r\x1b[{self._drawn}A" if self._drawn else "\r"
        text = "".join(f"\x1b[2K{line[: columns - 1]}\n" for line in lines)
        sys.stderr.write(f"{up}\x1b[J{text}" if self._drawn or lines else "")
        sys.stderr.flush()
        self._drawn = len(lines)


def _clock(seconds: float) -> str:
    """2:05 or 1:02:05."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
