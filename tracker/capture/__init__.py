"""Grab: frames of files, pictures, standard input, webcams and network streams."""

from tracker.capture.buffer import Source
from tracker.capture.masking import mask_credentials
from tracker.capture.sources import open_source

__all__ = ["Source", "mask_credentials", "open_source"]
