"""`tracker run --mode`: whether a source is ordinary video or time-lapse, and what the second is treated like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracker.capture import Source, local_path
from tracker.capture.cadence import SPARSE_GAP_S, Cadence, Probe
from tracker.capture.sample import probe_file, probe_pictures
from tracker.cli.options import settings_from
from tracker.config import TIMELAPSE, Settings
from tracker.errors import ConfigError, SourceError

OUTPUT_RATE = 5.0
"""Pictures a second of a time-lapse's annotated video: as many as a person can follow."""

FIRST_LIVE, FIRST_PIPED = 8, 16
"""Pictures at the beginning by which a source is judged that cannot be read twice."""

FEWEST_LIVE, WAIT_S = 3, 8.0
"""A live source is sparse that brings fewer pictures than these in so many seconds."""

STEP_S = 1.0
"""Seconds between pictures that the association goes by where nobody knows them."""


@dataclass(frozen=True)
class Mode:
    """How a source is treated.

    Attributes:
        cadence: what it is, and why.
        step_s: seconds between pictures for the association, where the times of a time-lapse are a player's; None:
            they are those of the world.
    """

    cadence: Cadence
    step_s: float | None

    @property
    def sparse(self) -> bool:
        """Whether it is time-lapse."""
        return self.cadence.mode == "timelapse"


def decide(source: Source, flags: Mapping[str, Any]) -> Mode:
    """Look at the beginning, or at a sample, of an open source; frames that were looked at are still delivered.

    Raises:
        What reading a live source raises.
    """
    cadence = _cadence(source, flags)
    gap_s = cadence.figures.get("gap_s")
    true_times = bool(
        flags["interval"] is not None
        or source.info.live
        or (source.pictures is not None and source.pictures.true_times)
        or (gap_s is not None and gap_s >= SPARSE_GAP_S)
    )
    return Mode(cadence, None if true_times or cadence.mode == "video" else STEP_S)


def _cadence(source: Source, flags: Mapping[str, Any]) -> Cadence:
    """What it is."""
    if flags["mode"] != "auto":
        return Cadence(flags["mode"], (f"asked for by --mode {flags['mode']}",), {})
    interval_s, pictures = flags["interval"], source.pictures
    if interval_s is not None and interval_s >= SPARSE_GAP_S:
        return Cadence("timelapse", (f"a picture every {interval_s:g} s by --interval",), {"gap_s": interval_s})
    try:
        if source.info.live or flags["source"] == "-":
            return _by_first(source)
        if pictures is not None:
            return probe_pictures(pictures.paths, pictures.times_s if pictures.true_times else None)
        return probe_file(local_path(flags["source"]))
    except SourceError as error:
        return Cadence("video", (f"could not be looked at: {error}",), {})


def _by_first(source: Source) -> Cadence:
    """From the first pictures."""
    live = source.info.live
    frames = source.peek(FIRST_LIVE if live else FIRST_PIPED, WAIT_S if live else math.inf)
    if live and len(frames) < FEWEST_LIVE:
        said = f"{len(frames)} picture{'s' if len(frames) > 1 else ''} in the first {WAIT_S:g} s"
        return Cadence("timelapse", (said,), {"pictures": len(frames)})
    probe = Probe(true_times=live)
    for frame in frames:
        probe.add(frame)
    return probe.decision()


def sparse_settings(flags: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Settings for time-lapse, where the user's words do not say otherwise, and notices.

    Raises:
        ConfigError: those words are wrong in themselves.
    """
    try:
        return settings_from(flags, TIMELAPSE), []
    except ConfigError as error:
        kept = {key: value for key, value in TIMELAPSE.items() if not key.startswith("tracker.")}
        settings = settings_from(flags, kept)
        name, wanted = settings.tracker.name, TIMELAPSE["tracker.name"]
        return settings, [f"the settings given are those of {name}, which is kept in place of {wanted} ({error})"]


def stays_path(video: Path | None) -> Path | None:
    """The table of stays beside the annotated video: `out.mp4` -> `out.stays.csv`."""
    return None if video is None else video.with_name(f"{video.stem.removesuffix('.tracked')}.stays.csv")
