"""Annotated pictures: one file a frame in a folder, under the names that the pictures had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path, PurePath
from time import perf_counter

import av
import cv2
import numpy as np

from tracker.errors import OutputError, WriteError
from tracker.structures import Frame, Image, StreamInfo, Tracks
from tracker.write.canvas import FULL, LIMITED, SWS_BT601, SWS_BT709, canvas_of, is_bt709, is_full_range, planes_of
from tracker.write.draw import Overlay
from tracker.write.files import PartialFile, reason
from tracker.write.originals import SUFFIXES
from tracker.write.stamps import stamp

JPEG, WEBP = [cv2.IMWRITE_JPEG_QUALITY, 92], [cv2.IMWRITE_WEBP_QUALITY, 92]
QUALITY = {".jpg": JPEG, ".jpeg": JPEG, ".webp": WEBP}
UPWARD = "_"  # in place of ".."


class PictureSink:
    """Draws on a copy of each frame and writes it as `folder / frame.file`, or `folder / 000001.jpg` without a name.

    Each picture keeps its own size, and outside of what is drawn its own pixels: PNG, BMP and TIFF keep them exactly.
    A killed process leaves whole pictures, and at most one `<stem>.partial<suffix>`.

    Attributes:
        frames: written so far.
    """

    def __init__(
        self, folder: Path | str, info: StreamInfo, overlay: Overlay, *,
        panel: Callable[[], Sequence[str]] = tuple, stamps: bool = False, output_rate: Fraction | None = None,
        overwrite: bool = False, observe: Callable[[str, float], None] = lambda stage, seconds: None,
    ) -> None:  # fmt: skip
        """Make the folder.

        Args:
            folder: for the pictures; what else is in it stays.
            info: of the source; its beginning is used for the stamps.
            overlay: what to draw.
            panel: asked at each frame for the lines of the corner panel.
            stamps: draw on each picture when it was.
            output_rate: trails are as long as in a video of so many pictures a second; None: by the stream's times.
            overwrite: replace what exists.
            observe: told the seconds of the stages "draw" and "encode" of each frame.

        Raises:
            OutputError: the folder cannot be made.
        """
        self._folder, self._overwrite = Path(folder), overwrite
        self._overlay, self._panel, self._observe = overlay, panel, observe
        self._stamps, self._began, self._rate = stamps, info.began, output_rate
        self._ended = False
        self.frames = 0
        self._fresh = not self._folder.exists()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"folder {folder} cannot be made: {reason(error)}; choose another name") from error

    def write(self, frame: Frame, tracks: Tracks) -> None:
        """Draw and write one picture.

        Raises:
            OutputError: there is one of this name already, and it may not be replaced.
            WriteError: disk full, or a picture that the format cannot hold.
        """
        if self._ended:
            raise WriteError(f"{self._folder} is closed; nothing can be written to it any more")
        began = perf_counter()
        image = self._drawn(frame, tracks)
        drawn = perf_counter()
        self._write(self._folder / picture_name(frame), image)
        self.frames += 1
        self._observe("draw", drawn - began)
        self._observe("encode", perf_counter() - drawn)

    def close(self) -> None:
        """Take no more pictures; a folder that was made for none is taken away."""
        if not self._ended and not self.frames and self._fresh:
            with suppress(OSError):  # somebody else put something there
                self._folder.rmdir()
        self._ended = True

    def abort(self) -> None:
        """As `close`: each picture is whole."""
        self.close()

    def _drawn(self, frame: Frame, tracks: Tracks) -> Image:
        """The annotated picture, (H, W, 3) BGR."""
        canvas = canvas_of(frame.picture, "yuv444p")  # every pixel has its colour, for the formats that keep it
        before = [plane.copy() for plane in planes_of(canvas)]
        shown_s = frame.time_s if self._rate is None else float(self.frames / self._rate)
        said = stamp(self._began, frame.time_s) if self._stamps else ""
        self._overlay.draw(canvas, tracks, shown_s, self._panel(), said)
        if not frame.picture.format.is_rgb:
            return bgr_of(canvas)
        changed = np.zeros((frame.height, frame.width), np.bool_)
        for old, new in zip(before, planes_of(canvas), strict=True):
            changed |= old != new
        image: Image = frame.bgr.copy()
        cv2.copyTo(bgr_of(canvas), changed.view(np.uint8), image)
        return image

    def _write(self, target: Path, image: Image) -> None:
        """Encode and put down one file. Raises OutputError, WriteError."""
        try:
            done, data = cv2.imencode(target.suffix, image, QUALITY.get(target.suffix.lower(), []))
        except cv2.error:
            done = False
        if not done:
            height, width = image.shape[:2]
            raise WriteError(f"{target} could not be encoded: {target.suffix} holds no picture of {width}x{height}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"folder {target.parent} could not be made: {reason(error)}") from error
        file = PartialFile(target, overwrite=self._overwrite)
        try:
            file.append(data.tobytes())
            file.commit()
        except (OutputError, WriteError):
            if file.size:
                file.keep()
            else:
                file.discard()
            raise


def picture_name(frame: Frame) -> PurePath:
    """Where the picture goes, relative to the folder and never out of it: `..` becomes `_`, a root is left away."""
    name = PurePath(frame.file)
    parts = [UPWARD if part == ".." else part for part in name.parts if part != name.anchor]
    if not parts:
        return PurePath(f"{frame.index + 1:06d}.jpg")
    known = name.suffix.lower() in SUFFIXES
    return PurePath(*parts[:-1], parts[-1] if known else f"{parts[-1]}.jpg")


def bgr_of(canvas: av.VideoFrame) -> Image:
    """(H, W, 3) uint8 of a canvas, by the matrix and range in its tags."""
    picture = canvas.reformat(
        format="bgr24", src_colorspace=SWS_BT709 if is_bt709(canvas) else SWS_BT601,
        src_color_range=FULL if is_full_range(canvas) else LIMITED, dst_color_range=FULL,
    )  # fmt: skip
    return np.asarray(picture.to_ndarray(), np.uint8)
