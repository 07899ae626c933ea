"""Segments of a spool that are made before those in front of them, and the survey that tells their places."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from tracker.batch.sights import Sight
from tracker.batch.spool import SEGMENT, Spool, failed, write_segment
from tracker.capture.mark import Mark

END = ".ahead.parquet"


@dataclass(frozen=True)
class Survey:
    """What the packets of a video tell.

    Attributes:
        ticks: (F,) int64, PTS of each frame.
        width, height: pixels.
    """

    ticks: NDArray[np.int64]
    width: int
    height: int


class Ahead:
    """What lies beside the segments of a spool: `survey.npz`, and `FIRST.ahead.parquet` each."""

    def __init__(self, spool: Spool) -> None:
        """Nothing is read or made yet."""
        self._spool, self._survey = spool, spool.parts / "survey.npz"

    def survey(self) -> Survey | None:
        """What was kept; None where there is nothing, or it is damaged."""
        try:
            # Not by name: of a damaged file NumPy forgets to close it.
            with np.load(BytesIO(self._survey.read_bytes()), allow_pickle=False) as kept:
                return Survey(kept["ticks"], *kept["size"].tolist())
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile):
            return None

    def keep(self, survey: Survey) -> None:
        """Keep it while the spool is not whole. Raises WriteError."""
        partial = self._survey.with_suffix(".partial")
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                np.savez(file, ticks=survey.ticks, size=np.array((survey.width, survey.height)))
            os.replace(partial, self._survey)
        except OSError as error:
            raise failed(self._survey, error) from error

    def add(self, sights: Sequence[Sight]) -> None:
        """Keep a segment of a video without a fault so far; it counts once it is taken in. Raises WriteError."""
        write_segment(self._place(sights[0].index), sights)

    def lacking(self, frames: int) -> list[int]:
        """First frames of the whole segments, among so many frames, that are neither there nor made ahead."""
        starts = range(self._spool.reached() // SEGMENT * SEGMENT, frames - SEGMENT + 1, SEGMENT)
        return [first for first in starts if not self._place(first).is_file()]

    def frames(self) -> int:
        """How many are safe on the disk, those in front counted."""
        here = self._spool.reached()
        return here + SEGMENT * sum(int(path.name[: -len(END)]) >= here for path in self._spool.parts.glob(f"*{END}"))

    def follows(self, survey: Survey) -> bool:
        """Whether the spool is without a fault so far and as the survey has it: else nothing may follow on it."""
        here = self._spool.reached()
        mark = self._spool.mark(here - 1) if here else Mark(())
        return mark is not None and list(mark.ticks) == survey.ticks[:here].tolist()

    def take_in(self) -> None:
        """Make them segments of the spool, as far as they follow on its own, and those are as the survey has it.

        Raises:
            WriteError: the disk does not take it.
        """
        survey, here = self.survey(), self._spool.reached()
        if survey is None or here % SEGMENT or not self._place(here).is_file() or not self.follows(survey):
            return
        try:
            while (ahead := self._place(here)).is_file():
                os.replace(ahead, self._spool.parts / f"{here:09d}.parquet")
                here += SEGMENT
        except OSError as error:
            raise failed(ahead, error) from error

    def _place(self, first: int) -> Path:
        """Where the segment from this frame on lies until it is taken in."""
        return self._spool.parts / f"{first:09d}{END}"
