"""Annotated video: H.264 in MP4 that plays whenever the process ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from tracker.errors import OutputError, WriteError
from tracker.structures import Frame, StreamInfo, Tracks
from tracker.write.canvas import FULL, canvas_of, pixel_format_for
from tracker.write.draw import Overlay
from tracker.write.files import PartialFile
from tracker.write.mp4 import Mp4Writer, Sample, VideoFormat
from tracker.write.stamps import stamp

SUFFIXES = (".mp4", ".m4v", ".mov")
FINEST = 90_000  # ticks a second, at least
DEFAULT_RATE = Fraction(25)
LARGEST_DENOMINATOR = 65536
# Nothing may wait inside the encoder: a frame given to it comes back at once, or a kill would lose it. force-cfr is
# for that too: without it x264 keeps a frame until the next one tells how long it stands. The times are ours anyway.
NO_DELAY = "bframes=0:rc-lookahead=0:sync-lookahead=0:mbtree=0:sliced-threads=1:force-cfr=1"
# x264's ultrafast leaves out the deblocking filter; with it the same quality takes a seventh less of file.
X264, NVENC = "libx264", "h264_nvenc"
SWIFT = "swift"
SWIFT_BASE, SWIFT_MORE = "ultrafast", ":no-deblock=0"


@dataclass(frozen=True)
class VideoOptions:
    """How to encode.

    Attributes:
        encoder: libx264, or h264_nvenc: an NVIDIA GPU's, which knows no preset and threads of x264.
        preset: swift, or one of x264: ultrafast, superfast, veryfast, ...: more time, smaller files.
        crf: quality, 0 the best, 51 the worst; 6 more is about half the size. For h264_nvenc its `cq`.
        threads: of the encoder; each cuts the picture into one more slice.
        keyframe_s: a player can start at least this often.
        pixel_aspect: width of a pixel by its height, as the source has it.
        output_rate: frames a second, each standing as long as the others; None: with the source's own times.
        prompt: as of `Mp4Writer`.
    """

    encoder: str = X264
    preset: str = SWIFT
    crf: float = 24.0
    threads: int = 1
    keyframe_s: float = 2.0
    pixel_aspect: Fraction = Fraction(1)
    output_rate: Fraction | None = None
    prompt: bool = True

    def __post_init__(self) -> None:
        """Check."""
        rate = self.output_rate
        if rate is not None and not Fraction(1, LARGEST_DENOMINATOR) <= rate <= FINEST:
            raise ValueError(f"output_rate must be between 1/{LARGEST_DENOMINATOR} and {FINEST} frames/s, got {rate}")


class Clock:
    """Turns seconds of the stream into ticks that always grow.

    Attributes:
        rate: frames a second, nominal.
        timescale: ticks a second: exact for frames at `rate`, and at least `FINEST` for all others.
        last_duration: ticks that the newest frame stands.
    """

    def __init__(self, frame_rate: Fraction | None) -> None:
        """Ready for the first frame."""
        known = frame_rate is not None and frame_rate > 0
        self.rate = (frame_rate if known and frame_rate else DEFAULT_RATE).limit_denominator(LARGEST_DENOMINATOR)
        self.rate = max(self.rate, Fraction(1, LARGEST_DENOMINATOR))
        self.timescale = self.rate.numerator * -(-FINEST // self.rate.numerator)
        self.last_duration = round(self.timescale / self.rate)
        self._rate_known = known
        self._start_s = 0.0
        self._last = -1

    def next(self, time_s: float, duration_s: float) -> tuple[int, int]:
        """Time and duration of the next frame in ticks; the first frame is at 0."""
        if self._last < 0:
            self._start_s = time_s
        time = max(round((time_s - self._start_s) * self.timescale), self._last + 1)
        if duration_s > 0:
            self.last_duration = max(1, round(duration_s * self.timescale))
        elif not self._rate_known and self._last >= 0:
            self.last_duration = time - self._last
        self._last = time
        return time, self.last_duration


class VideoSink:
    """Draws on a copy of each frame and encodes it, with the source's own times or at a rate of its own.

    Attributes:
        frames: written so far.
        draw_s, encode_s: seconds spent on drawing (with the copy) and on encoding (with writing), in all.
    """

    def __init__(
        self, path: Path | str, info: StreamInfo, overlay: Overlay | None = None, *,
        panel: Callable[[], Sequence[str]] = tuple, options: VideoOptions | None = None, stamps: bool = False,
        overwrite: bool = False, observe: Callable[[str, float], None] = lambda stage, seconds: None,
    ) -> None:  # fmt: skip
        """Create the partial file; the encoder is opened by the first frame.

        Args:
            path: final name, ending in .mp4, .m4v or .mov.
            info: of the source; its rate is used where a frame does not say how long it stands, its beginning for
                the stamps.
            overlay: what to draw; None copies the pictures.
            panel: asked at each frame for the lines of the corner panel.
            options: how to encode.
            stamps: draw on each frame when it was.
            overwrite: replace what exists.
            observe: told the seconds of the stages "draw" and "encode" of each frame.

        Raises:
            OutputError: path exists, cannot be written, or is no MP4.
        """
        target = Path(path)
        if target.suffix.lower() not in SUFFIXES:
            raise OutputError(f"{target} cannot be written: video needs a name ending in {', '.join(SUFFIXES)}")
        self._file = PartialFile(target, overwrite=overwrite)
        self._overlay, self._panel, self._observe = overlay, panel, observe
        self._options = options or VideoOptions()
        self._stamps, self._began = stamps, info.began
        self._rate = self._options.output_rate
        self._clock = Clock(self._rate or info.frame_rate)
        self._codec: VideoCodecContext | None = None
        self._writer: Mp4Writer | None = None
        self._canvas: av.VideoFrame | None = None
        self._ended = False
        self.frames = 0
        self.draw_s = self.encode_s = 0.0

    def write(self, frame: Frame, tracks: Tracks) -> None:
        """Draw and encode one frame. Raises WriteError."""
        if self._ended:
            raise WriteError(f"{self._file.target} is closed; nothing can be written to it any more")
        began = perf_counter()
        canvas = self._draw(frame, tracks)
        drawn = perf_counter()
        try:
            codec = self._codec or self._open(canvas)
            canvas.pts, duration = self._clock.next(*self._shown(frame))
            canvas.time_base = Fraction(1, self._clock.timescale)
            self._write_packets(codec.encode(canvas), duration)
        except av.FFmpegError as error:
            raise WriteError(f"{self._file.target} could not be encoded: {error}; try another preset") from error
        self._canvas = canvas
        done = perf_counter()
        self.frames += 1
        self.draw_s += drawn - began
        self.encode_s += done - drawn
        self._observe("draw", drawn - began)
        self._observe("encode", done - drawn)

    def close(self) -> None:
        """Finish under the final name; without a frame there is no file. Raises WriteError, OutputError."""
        if self._ended:
            return
        if self._writer is None:
            self._file.discard()
        else:
            self._finish()
            self._file.commit()
        self._ended = True

    def abort(self) -> None:
        """Keep what was written under the partial name, playable."""
        if self._ended:
            return
        self._ended = True
        if self._writer is None:
            self._file.discard()
        else:
            # On a full disk the index finds no room either; the fragments play without it.
            with suppress(WriteError, av.FFmpegError):
                self._finish()
            self._file.keep()

    def _draw(self, frame: Frame, tracks: Tracks) -> av.VideoFrame:
        """A canvas in the size of the first frame, with the overlay on it."""
        picture, codec = frame.picture, self._codec
        if codec is not None and (picture.width, picture.height) != (codec.width, codec.height):
            scale = np.array([codec.width / picture.width, codec.height / picture.height] * 2, np.float32)
            picture = picture.reformat(codec.width, codec.height)
            tracks = replace(tracks, boxes=tracks.boxes * scale)
        canvas = canvas_of(picture, pixel_format_for(picture.width, picture.height), self._canvas)
        if self._overlay is not None:
            said = stamp(self._began, frame.time_s) if self._stamps else ""
            self._overlay.draw(canvas, tracks, self._shown(frame)[0], self._panel(), said)
        return canvas

    def _shown(self, frame: Frame) -> tuple[float, float]:
        """When the next frame of the video begins, and how long it stands, seconds."""
        if self._rate is None:
            return frame.time_s, frame.duration_s
        return float(self.frames / self._rate), float(1 / self._rate)

    def _open(self, canvas: av.VideoFrame) -> VideoCodecContext:
        """Encoder and file head, as the first frame wants them. Raises WriteError."""
        rate, options = self._clock.rate, self._options
        try:
            codec = av.CodecContext.create(options.encoder, "w")
        except av.codec.codec.UnknownCodecError:
            codec = None
        if not isinstance(codec, VideoCodecContext):
            raise WriteError(f"{options.encoder} is no video encoder here; install PyAV's own wheel")
        codec.width, codec.height, codec.pix_fmt = canvas.width, canvas.height, canvas.format.name
        codec.time_base, codec.framerate = Fraction(1, self._clock.timescale), rate
        codec.color_range, codec.colorspace = canvas.color_range, canvas.colorspace
        codec.color_primaries, codec.color_trc = canvas.color_primaries, canvas.color_trc
        codec.sample_aspect_ratio = options.pixel_aspect
        codec.thread_count, codec.max_b_frames = options.threads, 0
        codec.gop_size = max(1, round(options.keyframe_s * rate))
        codec.flags |= Flags.global_header
        codec.options = _options_of(options)
        try:
            codec.open()
        except av.FFmpegError as error:
            if options.encoder == X264:
                raise
            raise WriteError(
                f"{options.encoder} cannot be opened ({error.strerror}): it needs an NVIDIA GPU with an encoder, and "
                f"its driver; take write.encoder={X264}"
            ) from None
        video = VideoFormat(
            canvas.width, canvas.height, self._clock.timescale, codec.extradata or b"",
            chroma_format=3 if canvas.format.name == "yuv444p" else 1, aspect=options.pixel_aspect,
            colour=(canvas.color_primaries, canvas.color_trc, canvas.colorspace), full_range=canvas.color_range == FULL,
        )  # fmt: skip
        self._writer = Mp4Writer(self._file, video, prompt=options.prompt)
        self._codec = codec
        return codec

    def _write_packets(self, packets: Sequence[Any], duration: int) -> None:
        """Hand packets to the file; `duration` in ticks."""
        if self._writer is None:
            return
        for packet in packets:
            self._writer.add(Sample(bytes(packet), packet.pts or 0, duration, packet.is_keyframe))

    def _finish(self) -> None:
        """Empty the encoder and write the index. Raises WriteError."""
        if self._codec is not None and self._writer is not None:
            self._write_packets(self._codec.encode(None), self._clock.last_duration)
            self._writer.finish()


def _options_of(options: VideoOptions) -> dict[str, str]:
    """What the encoder itself is told. No frame may wait in either of them."""
    if options.encoder == NVENC:
        return {"preset": "p4", "tune": "ull", "rc": "vbr", "cq": str(options.crf), "delay": "0", "zerolatency": "1"}
    preset, params = options.preset, NO_DELAY
    if preset == SWIFT:
        preset, params = SWIFT_BASE, NO_DELAY + SWIFT_MORE
    return {"preset": preset, "crf": str(options.crf), "x264-params": params}
