"""How inferences share the cores of the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tracker.config import DetectSettings

MAX_WORKERS = 8


@dataclass(frozen=True)
class Sharing:
    """How the inferences share the cores: `workers` side by side with `threads` each."""

    workers: int
    threads: int


def share_cores(settings: DetectSettings, live: bool) -> Sharing:
    """One inference a core for files: no core waits for another. All cores on one picture for live sources: latency."""
    workers = settings.workers or (1 if live else min(cores(), MAX_WORKERS))
    return Sharing(workers, settings.threads or max(1, cores() // workers))


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
