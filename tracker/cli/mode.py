"""`tracker run --mode`: whether a source is ordinary video or time-lapse, and what the second is treated like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from tracker.capture import Source, local_path, mask_credentials
from tracker.capture.cadence import SPARSE_GAP_S, Cadence, Probe
from tracker.capture.sample import probe_file, probe_pictures
from tracker.cli.options import settings_from
from tracker.config import DEFAULT_TRACKER, DetectSettings, Settings, parse_assignments
from tracker.errors import ConfigError, SourceError

SPARSE = "sparse"
TIMELAPSE: dict[str, Any] = {
    "tracker.name": SPARSE,
    "tracker.remember": 3,
    "detect.score": 0.15,
    "detect.flip": True,
    "write.trail_s": 0,
}
"""Settings of time-lapse that differ from the defaults. Weak detections too, since the association of all pictures
tells what holds from what flickers; and no trails between pictures that are minutes apart."""
TIMELAPSE_EMBEDDED: dict[str, Any] = {
    "detect.model": "street6-rcnn",
    "detect.input_size": 768,
    "detect.score": 0.1,
    "tracker.learn_scores": False,
    "tracker.min_probability": 0.35,
    "tracker.min_probability_once": 0.42,
}
"""The same where no model was asked for: the embedded Faster R-CNN; larger pictures, since there is time; its scores at
their word, being calibrated, while learning would take whom nobody links, such as all who pass by, for false."""
TWO_STAGE_RUNTIMES = ("auto", "onnxruntime", "openvino")
"""Of `detect.runtime`: those that run a Faster R-CNN."""
TIMELAPSE_OTHER: dict[str, Any] = {"detect.tiles": "auto"}
"""The same with a model that was asked for, whose input is usually fixed."""

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
    """Look at the beginning, or at a sample, of an open source; frames that were looked at are still delivered."""
    cadence = _cadence(source, flags)
    rate = source.info.frame_rate
    gap_s = cadence.figures.get("gap_s") or (float(1 / rate) if rate else None)
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
        if source.info.live or flags["source"] == "-" or "://" in local_path(flags["source"]):
            return _by_first(source)
        if pictures is not None:
            return probe_pictures(pictures.paths, pictures.times_s if pictures.true_times else None)
        return probe_file(local_path(flags["source"]))
    except SourceError as error:
        return Cadence("video", (f"could not be looked at: {mask_credentials(str(error))}",), {})


def _by_first(source: Source) -> Cadence:
    """From the first pictures."""
    live, began = source.info.live, monotonic()
    frames = source.peek(FIRST_LIVE if live else FIRST_PIPED, WAIT_S if live else math.inf)
    # One that ended before its time was up is lost, not slow.
    if live and len(frames) < FEWEST_LIVE and monotonic() - began >= WAIT_S:
        said = f"{len(frames)} picture{'s' if len(frames) > 1 else ''} in the first {WAIT_S:g} s"
        return Cadence("timelapse", (said,), {"pictures": len(frames)})
    probe = Probe(true_times=live)
    for frame in frames:
        probe.add(frame)
    return probe.decision()


def plain_settings(flags: Mapping[str, Any]) -> Settings:
    """Settings before the source is seen. Raises ConfigError."""
    return settings_from(flags, {"tracker.name": SPARSE} if flags["mode"] == "timelapse" else None)


def sparse_settings(flags: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Settings for time-lapse, where the user's words do not say otherwise, and notices of what they leave out.

    Raises:
        ConfigError: those words are wrong in themselves.
    """
    plain = plain_settings(flags)
    wanted = TIMELAPSE | (TIMELAPSE_EMBEDDED if _open_model(flags, plain.detect) else TIMELAPSE_OTHER)
    chosen = flags["tracker_name"] or (plain.tracker.name if plain.tracker.name != DEFAULT_TRACKER else SPARSE)
    if chosen != SPARSE:
        wanted = {key: value for key, value in wanted.items() if not key.startswith("tracker.")}
    taken: dict[str, Any] = {}
    settings, notices = plain, []
    for section in ("write", "detect", "tracker"):
        more = {key: value for key, value in wanted.items() if key.startswith(f"{section}.")}
        try:
            settings, taken = settings_from(flags, taken | more), taken | more
        except ConfigError as error:
            notices.append(f"the settings of time-lapse for '{section}' do not go with those given: {error}")
    return settings, notices


def _open_model(flags: Mapping[str, Any], detect: DetectSettings) -> bool:
    """Whether nobody asked for another model than the embedded Faster R-CNN, or for a runtime that it does not have."""
    given = flags["model"] is not None or "detect.model" in parse_assignments(flags["assignments"])
    named = given or detect.model != DetectSettings().model
    if named and detect.model != TIMELAPSE_EMBEDDED["detect.model"]:
        return False
    required = (flags["require"] or "auto").partition(" ")[0]
    return detect.runtime in TWO_STAGE_RUNTIMES and required in TWO_STAGE_RUNTIMES


def stays_path(video: Path | None) -> Path | None:
    """The table of stays beside the annotated video: `out.mp4` -> `out.stays.csv`."""
    return None if video is None else video.with_name(f"{video.stem.removesuffix('.tracked')}.stays.csv")
