"""A long video in parts, detected by several workers at a time; the spool is as one worker would have made it.

A survey of the packets tells when each frame is due, so a worker can begin in the middle. What it cannot see is whether
the decoder makes one picture of each packet. So every picture is compared with the survey, and a part that is off by
one, or that has any fault, is left to the job for the whole video, which reads from the beginning. Tracks are made of
the whole spool afterwards: ids need no stitching at the bounds of parts.
"""

from __future__ import annotations

from contextlib import closing
from itertools import groupby
from threading import Event

import numpy as np

from tracker.batch.ahead import Ahead, Survey
from tracker.batch.detecting import OpenDetector, Remaining, Report, calls_of, sights
from tracker.batch.job import Job, Part
from tracker.batch.sights import Sight
from tracker.batch.spool import LONG, PART, SEGMENT, Spool
from tracker.capture import Source, open_source
from tracker.capture.mark import Mark, ticks_of
from tracker.pipeline import Calls
from tracker.structures import Detections, Frame
from tracker.track.table import usable

MISSED = "it cannot be entered in its middle"


def survey_video(job: Job, source: Source, stop: Event) -> tuple[tuple[Part, ...], int]:
    """The parts that are still to be detected, and the number of frames.

    There are no parts of a short video, nor of one that cannot be entered in its middle.

    source: of the job's video.

    Raises:
        WriteError: the survey cannot be kept.
    """
    ahead, ticks = Ahead(Spool(job.plan.spools, job.video.name)), ticks_of(str(job.video.path), stop) or []
    survey = Survey(np.array(ticks, np.int64), source.info.width, source.info.height)
    if len(ticks) < LONG or not ahead.follows(survey):
        return (), len(ticks)
    ahead.keep(survey)
    # The last segment is for the job for the whole: it sees the end of the file, and faults there.
    lacking = ahead.lacking(len(ticks) - 1)
    runs = groupby(lacking, key=lambda first: first // PART)
    groups = (list(run) for _, run in runs)
    return tuple(Part(group[0], group[-1] + SEGMENT) for group in groups), len(ticks)


def detect_part(job: Job, open_detector: OpenDetector, stop: Event, report: Report) -> str:
    """Make the segments of the job's part; returns why that could not be, "" where it is done or was stopped.

    Raises:
        TrackerError: what ended it; the segments before stay.
    """
    part, ahead, segment = job.part, Ahead(Spool(job.plan.spools, job.video.name)), list[Sight]()
    survey = ahead.survey()
    assert part is not None, "for parts only"
    if survey is None:
        return "the survey is gone"
    lacking = [first for first in ahead.lacking(part.until) if first >= part.first]
    if not lacking:  # whoever made them did not come to say so
        return ""
    first = lacking[0]
    detector = open_detector((survey.width, survey.height))
    calls = calls_of(job.plan, detector) or Calls(1, job.plan.stride, SEGMENT)
    # Cameras and looks are compared with the last frame before it that the detector saw, in one call with others.
    begin = calls.first(max(first - 1, 0) // job.plan.stride * job.plan.stride)
    mark = Mark(survey.ticks[: begin + 1].tolist()) if first else None
    with open_source(str(job.video.path), stop=stop, mark=mark) as source:
        frames = Remaining(source, first, job.plan.stride, keep=calls.batch)

        def found_before() -> Detections:
            return usable(detector.detect(list(frames.seen))[-1], 0.0)

        with closing(sights(job, frames, detector, found_before, stop)) as seen:
            for frame, sight in seen:
                # From a mark that could not be found, it is read from its beginning.
                reason = MISSED if frames.passed > first - begin else _misfit(frame, sight, survey, source)
                if reason:
                    return reason
                segment.append(sight)
                if len(segment) == SEGMENT:
                    ahead.add(segment)
                    report(sight.index + 1 - part.first)
                    segment = []
                if sight.index + 1 == part.until:
                    break
            else:
                return "" if stop.is_set() else f"it ends before frame {part.until}"
    return ""


def _misfit(frame: Frame, sight: Sight, survey: Survey, source: Source) -> str:
    """What of a frame is not as the survey has it, or went wrong before it; "" if nothing is."""
    if sight.ticks != survey.ticks[sight.index]:
        return f"frame {sight.index} is not the one that its packet tells"
    if (frame.width, frame.height) != (survey.width, survey.height):
        return "the size of its pictures changes"
    return "; ".join(source.warnings)
