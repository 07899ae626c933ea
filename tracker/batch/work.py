"""A job from beginning to end: detect what is missing, track, export. Runs in a worker process or on a Ray node.

Decoder and detector are imported where they are needed: to track again, they are not.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tracker.batch.finishing import finish_video
from tracker.batch.job import (
    DONE,
    ENDING,
    FAILED,
    FULL,
    STOPPED,
    SURVEY,
    Job,
    Outcome,
    Plan,
    differences,
    identity,
    is_full,
)  # fmt: skip
from tracker.batch.remote import fetched
from tracker.batch.spool import LONG, Spool
from tracker.detect.sharing import cores
from tracker.errors import Interrupted, RequirementError, TrackerError

if TYPE_CHECKING:
    from tracker.batch.detecting import OpenDetector
    from tracker.detect import EngineDetector

Report = Callable[[int], None]


class Worker:
    """Does one job after the other, and keeps the detector for the next one of the same picture size."""

    def __init__(self, stop: Event, share: int = 0) -> None:
        """`stop` ends a job at the next frame; so many cores are its share, 0: all that the process may use."""
        self._stop, self._share = stop, share
        self._key: tuple[Any, ...] = ()
        self._detector: EngineDetector | None = None

    def do(self, job: Job, report: Report = lambda frames: None) -> Outcome:
        """Do a job; what goes wrong is told in the outcome.

        Raises:
            RequirementError: the runtime is not there, or not what the archive was begun with.
            ModelError: the model cannot be loaded.
        """
        job = replace(job, plan=self._shared(job.plan))
        began, spool = perf_counter(), Spool(job.plan.spools, job.video.name)
        state, reason, known = DONE, "", Outcome(DONE)
        try:
            known = self._fetch_and_do(job, spool, report)
            state, reason = known.state, known.reason
        except tuple(ENDING.values()):
            raise
        except Interrupted:
            state = STOPPED
        except TrackerError as error:
            state, reason = (FULL if is_full(error) else FAILED), str(error)
        except (OSError, MemoryError, ValueError, RuntimeError) as error:
            state, reason = (FULL if is_full(error) else FAILED), f"{type(error).__name__}: {error}"
        frames = known.frames or (0 if job.part else _reached(spool))
        return Outcome(
            state, reason, frames, known.identity, known.warnings, known.figures,
            round(perf_counter() - began, 3), known.parts,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the detector."""
        if self._detector is not None:
            self._detector.close()
        self._detector, self._key = None, ()

    def _fetch_and_do(self, job: Job, spool: Spool, report: Report) -> Outcome:
        """The same; raises what goes wrong. A remote video is here while it is worked on."""
        target = job.plan.output / "fetched" / f"{job.video.name}{job.video.path.suffix}"
        shown = spool.whole and spool.pictures.is_file() and not (job.plan.video or job.plan.crops)
        if not job.video.url or (shown and not target.is_file()):
            return self._do(job, spool, report)
        with fetched(job.video.url, target, keep=job.part is not None) as path:
            return self._do(replace(job, video=replace(job.video, path=path)), spool, report)

    def _do(self, job: Job, spool: Spool, report: Report) -> Outcome:
        """The same; raises what goes wrong."""
        who: dict[str, Any] | None = None

        def opened(size: tuple[int, int] | None) -> EngineDetector:
            nonlocal who
            detector = self._open(job.plan, size)
            who = identity(detector, job.plan)
            check_pinned(job.plan.pinned, who)
            check_pinned(spool.begun_with(who), who)
            return detector

        if job.part is not None:
            outcome = self._survey(job, opened) if job.part == SURVEY else self._detect(job, opened, report)
            return replace(outcome, identity=who)
        if spool.whole:
            spool.tidy()
        else:
            from tracker.batch.detecting import detect_video, open_video

            with open_video(job, self._stop) as source:
                if not detect_video(job, source, opened, self._stop, report):
                    return Outcome(STOPPED, frames=spool.reached(), identity=who)
            _give_back()
        figures = finish_video(job, spool, self._stop)
        warnings = tuple(spool.about().warnings)
        return Outcome(DONE, frames=figures["frames"], identity=who, warnings=warnings, figures=figures)

    def _survey(self, job: Job, opened: OpenDetector) -> Outcome:
        """Of a video: its parts. What the detector is must be known before several work."""
        from tracker.batch.ahead import Ahead
        from tracker.batch.parts import survey_video
        from tracker.capture import open_source
        from tracker.capture.mark import frames_announced

        if frames_announced(str(job.video.path)) < LONG:
            return Outcome(DONE)
        with open_source(str(job.video.path), stop=self._stop) as source:
            parts, frames = survey_video(job, source, self._stop)
            if parts:
                opened((source.info.width, source.info.height))
        safe = Ahead(Spool(job.plan.spools, job.video.name)).frames()
        state = STOPPED if self._stop.is_set() else DONE
        return Outcome(state, frames=safe, figures={"frames": frames}, parts=parts)

    def _detect(self, job: Job, opened: OpenDetector, report: Report) -> Outcome:
        """A part of a video."""
        from tracker.batch.parts import detect_part

        safe = 0

        def reached(frames: int) -> None:
            nonlocal safe
            safe = frames
            report(frames)

        reason = detect_part(job, opened, self._stop, reached)
        state = STOPPED if self._stop.is_set() else FAILED if reason else DONE
        return Outcome(state, reason, safe)

    def _shared(self, plan: Plan) -> Plan:
        """The plan for this share of the machine: one thread an inference, so that no share changes what is found."""
        settings = plan.settings.detect
        own = {"workers": settings.workers or self._share or cores(), "threads": settings.threads or 1}
        detect = settings.model_copy(update=own)
        return replace(plan, settings=plan.settings.model_copy(update={"detect": detect}))

    def _open(self, plan: Plan, size: tuple[int, int] | None) -> EngineDetector:
        """The detector for pictures of this size, one thread an inference, from the last job if it fits."""
        settings = plan.settings.detect
        key = (settings, size, plan.require)
        if self._detector is None or key != self._key:
            from tracker.detect import open_detector

            self.close()
            self._detector, _ = open_detector(settings, size, require=plan.require)
            self._key = key
        return self._detector


def _give_back() -> None:
    """Memory that the decoder has let go of: glibc would keep it for its threads, beside what tracking needs."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def check_pinned(pinned: dict[str, Any] | None, now: dict[str, Any]) -> None:
    """Raise RequirementError unless the archive was begun with just this."""
    if pinned is not None and (other := differences(pinned, now)):
        raise RequirementError(
            f"the archive was begun with another detector: {', '.join(other)}; go on where it was begun, or start a "
            "new output folder"
        )


def _reached(spool: Spool) -> int:
    """How many frames are safe; 0 where that cannot be told."""
    try:
        return spool.reached()
    except TrackerError:
        return 0
