"""A video that was surveyed: which of its parts are left, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracker.batch.job import DONE, FAILED, Outcome, Part


@dataclass
class Split:
    """One video in parts; short ones have none.

    Attributes:
        safe: frames that were on the disk before.
        left: parts that wait or are in work.
        wall_s: spent on survey and parts.
        given_up: a part could not be detected; those that are not in work are left to the job for the whole.
    """

    safe: int
    left: set[Part]
    wall_s: float
    given_up: bool = False
    _frames: dict[Part, int] = field(default_factory=dict)

    @classmethod
    def of(cls, survey: Outcome) -> Split:
        """The video as its survey has it."""
        return cls(survey.frames, set(survey.parts), survey.wall_s)

    def reach(self, part: Part, frames: int) -> int:
        """So many frames of a part are safe; returns how many of the video are."""
        self._frames[part] = max(frames, self._frames.get(part, 0))
        return self.safe + sum(self._frames.values())

    def end(self, part: Part | None, outcome: Outcome) -> None:
        """An attempt at a part is over."""
        self.wall_s += outcome.wall_s
        if part is not None and outcome.state in (DONE, FAILED):
            self.left.discard(part)
