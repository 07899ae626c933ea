"""The report of an archive: a summary of each video, and the HTML page made of them."""

from __future__ import annotations

from tracker.report.page import report, write_report
from tracker.report.summary import Picture, VideoSummary, shrunk, summarise, telling_frames

__all__ = ["Picture", "VideoSummary", "report", "shrunk", "summarise", "telling_frames", "write_report"]
