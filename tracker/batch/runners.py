"""Who does the jobs: a cluster, processes here as far as cores and memory go, or this process alone."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tracker.batch.archive import Runner
from tracker.batch.inline import InlineRunner
from tracker.batch.job import Plan
from tracker.batch.local import LocalRunner
from tracker.batch.manifest import Entry
from tracker.batch.spool import LONG, PART, Spool
from tracker.batch.tracking import expect_frames
from tracker.detect.sharing import cores

WORKER_BYTES = 700 << 20
"""Memory that a worker is reckoned with."""
WORTH_A_PROCESS = 10_000
"""Frames to be tracked again that take longer than a process takes to start."""
CGROUP = Path("/sys/fs/cgroup")
LIMITS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""Of a container, version 2 and 1: what it may have, what it has, and how much of that are files that may go."""


def make_runner(
    plan: Plan, waiting: Sequence[Entry], workers: int | None, ray: str | None, say: Callable[[str], None]
) -> Runner:  # fmt: skip
    """For these videos.

    Args:
        plan: for all of them.
        waiting: the videos.
        workers: so many processes; None: what fits.
        ray: address of a cluster, or "local" for one of its own here.
        say: takes lines for a person.

    Raises:
        RequirementError, UsageError: no such cluster.
    """
    if ray:
        from tracker.batch.cluster import RayRunner

        detect = plan.settings.detect
        gpu = detect.device.startswith("cuda") or detect.runtime.startswith("tensorrt")
        return RayRunner(ray, workers, gpu=gpu, say=say)
    detects = plan.video or plan.crops > 0 or not all(Spool(plan.spools, one.video.name).whole for one in waiting)
    frames = sum(one.frames for one in waiting)
    most = _pieces(waiting) if detects else min(len(waiting), 1 + frames // WORTH_A_PROCESS)
    workers = workers or max(1, min(cores(), most, workers_in_memory()))
    if detects or workers > 1:
        return LocalRunner(workers, detects=detects)
    gc.disable()  # nothing goes of what is imported here; to look through it again and again takes a tenth of the time
    expect_frames(frames)
    gc.enable()
    gc.freeze()
    return InlineRunner()


def _pieces(waiting: Sequence[Entry]) -> int:
    """How much there is to be handed out: videos, and where they are fewer than cores the parts of long ones."""
    if len(waiting) >= cores():
        return len(waiting)
    from tracker.capture.mark import frames_announced

    frames = [0 if one.video.url else frames_announced(str(one.video.path)) for one in waiting]
    return sum(one // PART if one >= LONG else 1 for one in frames)


def workers_in_memory() -> int:
    """How many workers the free memory has room for, at least 1."""
    room = [size for size in (_available(), _allowed()) if size is not None]
    return max(1, min(room) // WORKER_BYTES) if room else cores()


def _available() -> int | None:
    """Bytes that the machine can give, those of its file cache counted; None where it does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _allowed() -> int | None:
    """Bytes that the container's limit leaves; None where there is none."""
    for limit, used, stat, cached in LIMITS:
        try:
            room = int((CGROUP / limit).read_text()) - int((CGROUP / used).read_text())
            lines = (line.split() for line in (CGROUP / stat).read_text().splitlines())
            return max(0, room + sum(int(words[1]) for words in lines if words[0] == cached))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return None
