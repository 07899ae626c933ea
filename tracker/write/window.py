"""The annotated video in a window, while it runs (extra `show`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from threading import Event

import cv2

from tracker.errors import RequirementError
from tracker.structures import Frame, StreamInfo, Tracks
from tracker.write.canvas import canvas_of, pixel_format_for
from tracker.write.draw import Overlay

QUIT_KEYS = (27, ord("q"))  # Escape, q


class Window:
    """A sink that shows. Closing the window, Escape or q ends the run as Ctrl-C does."""

    def __init__(self, name: str, overlay: Overlay, panel: Callable[[], Sequence[str]], stop: Event) -> None:
        """See `open_window`."""
        self._name, self._overlay, self._panel, self._stop = name, overlay, panel, stop
        self._shown = False

    def write(self, frame: Frame, tracks: Tracks) -> None:
        """Draw and show one frame."""
        canvas = canvas_of(frame.picture, pixel_format_for(frame.width, frame.height))
        self._overlay.draw(canvas, tracks, frame.time_s, self._panel())
        cv2.imshow(self._name, canvas.to_ndarray(format="bgr24"))
        self._shown = True
        gone = cv2.waitKey(1) & 0xFF in QUIT_KEYS or cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) < 1
        if gone:
            self._stop.set()

    def close(self) -> None:
        """Take the window away."""
        if self._shown:
            cv2.destroyWindow(self._name)
            self._shown = False

    def abort(self) -> None:
        """Take the window away."""
        self.close()


def open_window(
    info: StreamInfo, class_names: Sequence[str], panel: Callable[[], Sequence[str]], stop: Event
) -> Window:
    """A window for a stream.

    Raises:
        RequirementError: this OpenCV has no windows, or there is no display.
    """
    # Without a display OpenCV's Qt ends the process instead of raising.
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise RequirementError("--show needs a display, and here is none (DISPLAY is not set); leave --show out")
    try:
        cv2.namedWindow(info.name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        cv2.resizeWindow(info.name, min(info.width, 1600), min(info.height, 900))
    except cv2.error:
        raise RequirementError(
            "--show needs an OpenCV with windows; "
            "pip uninstall opencv-python-headless, then pip install 'tracker[show]'"
        ) from None
    return Window(info.name, Overlay(class_names), panel, stop)
