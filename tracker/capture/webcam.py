"""A camera of this machine, by number."""

from __future__ import annotations

import glob
import os
import sys
from typing import Any

from tracker.capture.live import LiveReader
from tracker.capture.loss import Patience
from tracker.capture.report import Report
from tracker.errors import SourceError


def webcam_reader(number: int, report: Report, patience: Patience) -> LiveReader:
    """Reader of webcam `number`, from 0 as the system counts.

    Raises:
        SourceError: there is no such camera, or it may not be opened.
    """
    address, format_name = _address(number)
    return LiveReader(address, report, patience, name=f"webcam {number}", format_name=format_name)


def _address(number: int) -> tuple[str, str]:
    """(what FFmpeg opens, its name of the system's camera interface)."""
    if sys.platform == "darwin":
        return str(number), "avfoundation"
    if sys.platform == "win32":
        cameras = [device.name for device in _devices("dshow") if "video" in device.media_types]
        if number >= len(cameras):
            raise _missing(number, cameras)
        return f"video={cameras[number]}", "dshow"
    path = f"/dev/video{number}"
    if not os.path.exists(path):
        raise _missing(number, sorted(glob.glob("/dev/video[0-9]*")))
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceError(f"webcam {number}: {path} may not be opened (permission denied); join the group 'video'")
    return path, "v4l2"


def _devices(format_name: str) -> list[Any]:
    """Devices as FFmpeg lists them."""
    # Not at the top: PyAV has it since 18, and only Windows needs it.
    import av.device

    return av.device.enumerate_input_devices(format_name)


def _missing(number: int, cameras: list[str]) -> SourceError:
    """There is no such camera."""
    there = f"there are {', '.join(cameras)}" if cameras else "there is none on this machine"
    return SourceError(f"no webcam {number}: {there}; a file of that name is given as ./{number}")
