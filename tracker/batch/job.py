"""One video of an archive: what is to be done, and what came of it. Both travel between processes and machines."""

from __future__ import annotations

import errno
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker import __version__
from tracker.batch import GPU_BATCH, LARGEST_SPAN
from tracker.batch.inputs import Video
from tracker.config import Settings, SteadySettings, TrackerSettings
from tracker.detect import share_cores
from tracker.errors import ModelError, RequirementError, TrackerError
from tracker.interfaces import Detector

if TYPE_CHECKING:
    from tracker.detect import EngineDetector

DONE, FAILED, STOPPED, FULL, CRASHED = "done", "failed", "stopped", "disk full", "crashed"
"""How a job ends; after STOPPED, FULL and CRASHED it may go on from where it was."""
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm", "sve")

ENDING: dict[str, type[TrackerError]] = {kind.__name__: kind for kind in (RequirementError, ModelError)}
"""What is no fault of a video: no other job would do."""


@dataclass(frozen=True)
class Plan:
    """What is the same for all videos of an archive.

    Attributes:
        output: the archive's folder.
        settings: as of `tracker run`.
        formats: names of `tracker.exports`.
        stride: the detector sees every `stride`-th frame; boxes between are interpolated.
        require: the runtime that must run, or None.
        cues: what the spools hold of the pictures besides detections, see `cues_of`; the same for its life.
        pinned: what the archive was begun with (`identity`), or None while nobody knows.
        video: also an annotated video.
        crops: at most so many pictures of each track.
        batch: pictures in one inference, 0: as the device likes it.
    """

    output: Path
    settings: Settings
    formats: tuple[str, ...]
    stride: int = 1
    require: str | None = None
    cues: dict[str, str] = field(default_factory=dict)
    pinned: dict[str, Any] | None = None
    video: bool = False
    crops: int = 0
    batch: int = 0

    @property
    def spools(self) -> Path:
        """Where the detections are."""
        return self.output / "spool"


@dataclass(frozen=True)
class Part:
    """Frames `first` up to `until`, not included: whole segments of a video's spool."""

    first: int
    until: int


SURVEY = Part(0, 0)
"""In place of a part: find out which parts the video has."""


@dataclass(frozen=True)
class Job:
    """One video and the plan for it. With a part, only that is detected, ahead of the job for the whole.

    alone: nothing else waits or is in work.
    """

    video: Video
    plan: Plan
    part: Part | None = None
    alone: bool = False

    @property
    def key(self) -> str:
        """What it is told apart from others by."""
        return self.video.name if self.part is None else f"{self.video.name} {self.part.first}-{self.part.until}"


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        state: DONE, FAILED, STOPPED or FULL.
        reason: of all but DONE, one line.
        frames: safe on the disk; of a part, those of the part.
        identity: what the detector really was; None where it was not needed.
        warnings: what was wrong with the video, one line each.
        figures: of a finished one, for manifest and report.
        wall_s: of this attempt.
        parts: of a survey.
    """

    state: str
    reason: str = ""
    frames: int = 0
    identity: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)
    wall_s: float = 0.0
    parts: tuple[Part, ...] = ()


def cues_of(settings: TrackerSettings) -> dict[str, str]:
    """What the association wants of the pictures: `camera_motion` and `appearance`, as in `SteadySettings`; or nothing.

    For the whole video appearance is asked for unless it is switched off.
    """
    if not isinstance(settings, SteadySettings):
        return {}
    appearance = "colour" if settings.appearance == "auto" else settings.appearance
    return {"camera_motion": settings.camera_motion, "appearance": appearance}


def batch_of(plan: Plan, detector: Detector) -> int:
    """Pictures in one inference: as many as asked for; else several on a GPU, as far as the model takes them."""
    from tracker.detect import EngineDetector

    if plan.batch or not isinstance(detector, EngineDetector) or detector.engine.device == "cpu":
        return plan.batch or 1
    most = max(1, LARGEST_SPAN // plan.stride)
    return min(GPU_BATCH, most, detector.batch[1] or GPU_BATCH)


def identity(detector: EngineDetector, plan: Plan) -> dict[str, Any]:
    """All that detections depend on besides settings and pictures: two runs alike in it find the same, bit for bit."""
    engine, settings = detector.engine, plan.settings.detect
    return {
        "tracker": __version__,
        "model": detector.identity.name,
        "sha256": detector.identity.sha256,
        "runtime": engine.runtime,
        "precision": engine.precision,
        "device": engine.device,
        "threads": share_cores(settings, live=False).threads,
        "batch": batch_of(plan, detector),
        "cpu": cpu_kind() if engine.device == "cpu" else "",
    }


def cpu_kind() -> str:
    """Architecture and the instructions that inference libraries choose their kernels by."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = platform.processor()
    words = set(text.split())
    return " ".join([platform.machine(), *(flag for flag in CPU_FLAGS if flag in words)])


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not the same, one phrase each: "precision bf16 before, fp32 now"."""
    keys = [*before, *(key for key in now if key not in before)]
    return [f"{key} {before.get(key)} before, {now.get(key)} now" for key in keys if before.get(key) != now.get(key)]


def is_full(error: BaseException) -> bool:
    """Whether a disk without room is behind an error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        cause = cause.__cause__
    return False
