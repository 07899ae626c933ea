"""Grab: frames of files, pictures, standard input, webcams and network streams.

A name is imported when it is first asked for: masking a password needs no decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.lazy import names_of

if TYPE_CHECKING:
    from tracker.capture.access import Access, split_credentials
    from tracker.capture.buffer import Reader, Source
    from tracker.capture.ffmpeg import Reason
    from tracker.capture.halt import Halt
    from tracker.capture.loss import LossError, Patience
    from tracker.capture.masking import mask_credentials
    from tracker.capture.report import Report
    from tracker.capture.sources import camera_reader, local_path, open_source

MODULES = {
    "access": ("Access", "split_credentials"),
    "buffer": ("Reader", "Source"),
    "ffmpeg": ("Reason",),
    "halt": ("Halt",),
    "loss": ("LossError", "Patience"),
    "masking": ("mask_credentials",),
    "report": ("Report",),
    "sources": ("camera_reader", "local_path", "open_source"),
}

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

__getattr__ = names_of(__name__, MODULES)
