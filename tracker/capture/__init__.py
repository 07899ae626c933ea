"""Grab: frames of files, pictures, standard input, webcams and network streams.

A name is imported when it is first asked for: masking a password needs no decoder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    """The name from its module. Raises AttributeError."""
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
