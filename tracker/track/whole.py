"""Which methods know the whole video, and what does their work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from tracker.config import SparseSettings, SteadySettings, TrackerSettings
from tracker.structures import Detections, Tracks

if TYPE_CHECKING:  # both come with much of SciPy
    from tracker.track.link import Linker
    from tracker.track.sparse_link import SparseLinker

WholeSettings = SteadySettings | SparseSettings
WholeLinker: TypeAlias = "Linker | SparseLinker"
NAMES = "steady or sparse"


def has_whole(settings: TrackerSettings) -> bool:
    """Whether `make_linker` takes them."""
    return isinstance(settings, (SteadySettings, SparseSettings))


def make_linker(settings: TrackerSettings) -> WholeLinker:
    """What takes all frames in, then gives the tracks of all out.

    Raises:
        ValueError: the method knows no future.
        ConfigError, ModelError: the appearance asked for cannot be had.
    """
    if isinstance(settings, SteadySettings):
        from tracker.track.link import Linker

        return Linker(settings)
    if isinstance(settings, SparseSettings):
        from tracker.track.sparse_link import SparseLinker

        return SparseLinker(settings)
    raise ValueError(f"{settings.name} has no form for the whole video")


def link_whole(settings: TrackerSettings, frames: Iterable[tuple[Detections, float]]) -> Iterator[Tracks]:
    """Tracks of every frame, from the detections and times (seconds, never decreasing) of all."""
    linker = make_linker(settings)
    for found, time_s in frames:
        linker.add(found, time_s)
    yield from linker.tracks()
