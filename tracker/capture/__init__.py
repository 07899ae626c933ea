"""Grab: frames of files, pictures, standard input, webcams and network streams."""

from tracker.capture.access import Access, split_credentials
from tracker.capture.buffer import Reader, Source
from tracker.capture.ffmpeg import Reason
from tracker.capture.halt import Halt
from tracker.capture.loss import LossError, Patience
from tracker.capture.masking import mask_credentials
from tracker.capture.report import Report
from tracker.capture.sources import camera_reader, local_path, open_source

__all__ = [
    "Access",
    "Halt",
    "LossError",
    "Patience",
    "Reader",
    "Reason",
    "Report",
    "Source",
    "camera_reader",
    "local_path",
    "mask_credentials",
    "open_source",
    "split_credentials",
]
