"""The video: times, sizes, colours, and the rules of its file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.write.scenes import HEIGHT, WIDTH, gray_frame, info, luma_of, numbered, read_back, tracks
from tracker.errors import OutputError, WriteError
from tracker.structures import Frame, Tracks
from tracker.write import Overlay, VideoOptions, VideoSink, partial_path

NONE = Tracks.empty()
FULL, LIMITED = 2, 1


def write(path: Path, frames: list[Frame], rate: Fraction | None = Fraction(30), **more: Any) -> VideoSink:
    sink = VideoSink(path, info(rate), **more)
    for frame in frames:
        sink.write(frame, NONE)
    sink.close()
    return sink


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25), Fraction(24000, 1001), Fraction(1, 10)])
def test_constant_rate_keeps_every_tick(tmp_path: Path, rate: Fraction) -> None:
    """29.97 must not become 29 or 30: an hour of it would be seconds off the sound and the records."""
    frames = [gray_frame(index, float(index / rate), float(1 / rate)) for index in range(20)]
    write(tmp_path / "o.mp4", frames, rate)
    times, numbers, duration = read_back(tmp_path / "o.mp4")
    assert numbers == list(range(20))
    assert times == pytest.approx([float(index / rate) for index in range(20)], abs=1e-9)
    assert duration == pytest.approx(float(20 / rate), abs=1e-6)
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.video[0].average_rate == rate


def test_variable_rate_keeps_every_time(tmp_path: Path) -> None:
    """Phones and screen recordings: a constant output would run away from the records."""
    times = [0.0, 0.033, 0.1, 0.1033, 0.5, 1.75, 1.76]
    pairs = zip(times, [*times[1:], 2.26], strict=True)
    write(tmp_path / "o.mp4", [gray_frame(index, at, end - at) for index, (at, end) in enumerate(pairs)])
    read, numbers, duration = read_back(tmp_path / "o.mp4")
    assert numbers == list(range(7))
    assert read == pytest.approx(times, abs=1e-5)
    assert duration == pytest.approx(2.26, abs=1e-4)  # the last picture stands for half a second


def test_equal_times_still_grow(tmp_path: Path) -> None:
    """After a reconnect two frames may carry one time; a player needs an order."""
    write(tmp_path / "o.mp4", [gray_frame(index, at) for index, at in enumerate([0.0, 0.5, 0.5, 0.5, 1.0])])
    times, numbers, _ = read_back(tmp_path / "o.mp4")
    assert numbers == [0, 1, 2, 3, 4]
    assert times == sorted(set(times))
    assert times == pytest.approx([0, 0.5, 0.5, 0.5, 1.0], abs=1e-3)


def test_unknown_rate_and_duration(tmp_path: Path) -> None:
    """A stream that tells nothing: the last frame stands as long as the one before."""
    write(tmp_path / "o.mp4", [gray_frame(index, 10.0 * index) for index in range(4)], None)
    times, numbers, duration = read_back(tmp_path / "o.mp4")
    assert (times, numbers, duration) == ([0, 10, 20, 30], [0, 1, 2, 3], 40)


def test_many_fragments_end_as_an_ordinary_file(tmp_path: Path) -> None:
    """Editors and old players cannot read fragments; all samples must be in one index, keyframes marked."""
    write(tmp_path / "o.mp4", [gray_frame(index, index / 30) for index in range(150)])
    assert b"stss" in (tmp_path / "o.mp4").read_bytes()
    with av.open(str(tmp_path / "o.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.frames == 150  # from the index; fragments do not tell
        keys = [packet.pts for packet in container.demux(stream) if packet.is_keyframe and packet.pts is not None]
        assert np.diff(keys).max() * stream.time_base <= 2
        container.seek(int(4 / stream.time_base), stream=stream)
        assert next(container.decode(stream)).time == pytest.approx(4)


@pytest.mark.parametrize("size", [(127, 63), (128, 63), (127, 64), (1, 1), (16, 16), (33, 2)])
def test_size_is_kept(tmp_path: Path, size: tuple[int, int]) -> None:
    """An odd side cut by a pixel shifts every box of the records against the video."""
    width, height = size
    frames = [Frame.from_bgr(index, index / 30, np.full((height, width, 3), 90, np.uint8)) for index in range(3)]
    sink = VideoSink(tmp_path / "o.mp4", info(size=size), Overlay(("person",)))
    for frame in frames:
        sink.write(frame, tracks((0, 0, width, height, 0.5, 0)))
    sink.close()
    with av.open(str(tmp_path / "o.mp4")) as container:
        pictures = list(container.decode(video=0))
    assert {(picture.width, picture.height) for picture in pictures} == {size}
    assert len(pictures) == 3


def test_a_change_of_size_is_scaled(tmp_path: Path) -> None:
    """A camera that changes its profile must not end the recording; boxes follow the picture."""
    overlay = Overlay(("person",), labels=False, trails=False)
    sink = VideoSink(tmp_path / "o.mp4", info(), overlay, options=VideoOptions(crf=5))
    sink.write(gray_frame(0, 0.0), NONE)
    sink.write(gray_frame(1, 1.0, size=(256, 128)), tracks((128, 64, 224, 120, 0.9, 0), first_id=10))  # yellow
    sink.close()
    with av.open(str(tmp_path / "o.mp4")) as container:
        first, second = (luma_of(picture).astype(int) for picture in container.decode(video=0))
    assert first.shape == second.shape == (HEIGHT, WIDTH)
    changed = np.argwhere(np.abs(first - second)[20:] > 30)
    assert changed.min(0) == pytest.approx((32 - 20, 64), abs=2)
    assert changed.max(0) == pytest.approx((60 - 20, 112), abs=2)


def source(kind: str, full: bool) -> av.VideoFrame:
    """A numbered picture, as some decoder would give it."""
    luma = numbered(0b1010011) if full else np.rint(16 + numbered(0b1010011) * (219 / 255)).astype(np.uint8)
    if kind == "gray10le":
        picture = av.VideoFrame.from_ndarray(luma.astype(np.uint16) * 4, format=kind)
    elif kind == "gray":
        picture = av.VideoFrame.from_ndarray(luma, format=kind)
    else:
        stacked = np.vstack((luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)))
        same = FULL if full else LIMITED
        base = av.VideoFrame.from_ndarray(stacked, format="yuv420p")
        picture = base.reformat(format=kind, src_color_range=same, dst_color_range=same)
    picture.color_range = FULL if full else LIMITED
    return picture


KINDS = ["gray", "gray10le", "yuv420p", "yuv420p10le", "yuva420p", "yuv422p", "yuv444p", "nv12", "yuv411p"]


@pytest.mark.parametrize(
    ("kind", "full"),
    [*((kind, full) for kind in KINDS for full in (False, True)), ("yuvj420p", True), ("yuvj422p", True)],
)
def test_every_layout_keeps_its_levels(tmp_path: Path, kind: str, full: bool) -> None:
    """A wrong guess of the range makes pictures pale or hard; the tag must say what the pixels are."""
    picture = source(kind, full)
    before = [bytes(plane) for plane in picture.planes]
    write(tmp_path / "o.mp4", [Frame(0, 0.0, picture)], options=VideoOptions(crf=5))
    with av.open(str(tmp_path / "o.mp4")) as container:
        written = next(container.decode(video=0))
    dark, light = (int(luma_of(written)[8, at]) for at in (40, 24))
    expected = (50, 200) if full else (16 + 50 * 219 / 255, 16 + 200 * 219 / 255)
    assert (dark, light) == pytest.approx(expected, abs=2)
    assert (written.color_range == FULL) == full
    assert [bytes(plane) for plane in picture.planes] == before


@pytest.mark.parametrize("kind", ["bgr24", "rgb24", "rgba", "bgra", "gbrp", "rgb48le", "pal8"])
@pytest.mark.parametrize("height", [64, 720])
def test_rgb_keeps_its_colours(tmp_path: Path, kind: str, height: int) -> None:
    """Pictures and screens are RGB: converted with the matrix that the file then names."""
    image = np.zeros((height, 64, 3), np.uint8)
    image[:] = (40, 200, 90)
    if kind == "pal8":
        palette = np.zeros((256, 4), np.uint8)
        palette[7] = (255, 40, 200, 90)  # ARGB
        picture = av.VideoFrame.from_ndarray((np.full((height, 64), 7, np.uint8), palette), format="pal8")  # type: ignore[arg-type]
    else:
        picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=kind)
    write(tmp_path / "o.mp4", [Frame(0, 0.0, picture)], options=VideoOptions(crf=5))
    with av.open(str(tmp_path / "o.mp4")) as container:
        written = next(container.decode(video=0))
    hd = height >= 720
    assert (written.colorspace, written.color_range) == (1 if hd else 6, LIMITED)
    seen = written.reformat(format="rgb24", src_colorspace=1 if hd else 5).to_ndarray()[20, 20]
    assert seen.tolist() == pytest.approx([40, 200, 90], abs=6)


def test_colour_tags_and_pixel_shape_are_carried(tmp_path: Path) -> None:
    """An anamorphic or wide-gamut source must look the same afterwards."""
    frame = gray_frame(0, 0.0)
    frame.picture.colorspace, frame.picture.color_primaries, frame.picture.color_trc = 9, 9, 14
    write(tmp_path / "o.mp4", [frame], options=VideoOptions(pixel_aspect=Fraction(4, 3)))
    with av.open(str(tmp_path / "o.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (9, 9, 14)
        assert context.sample_aspect_ratio == Fraction(4, 3)


def test_the_decoders_picture_is_not_touched(tmp_path: Path) -> None:
    """The decoder still predicts from it, and the detector may still be reading it."""
    frame = gray_frame(3, 0.0)
    before = frame.picture.to_ndarray()
    sink = VideoSink(tmp_path / "o.mp4", info(), Overlay(("person",)), panel=lambda: ("50 fps",))
    sink.write(frame, tracks((10, 10, 60, 60, 0.9, 0)))
    sink.close()
    assert np.array_equal(before, frame.picture.to_ndarray())
    assert frame.picture.pts is None


def test_name_appears_only_when_done(tmp_path: Path) -> None:
    """A file under its final name is a whole file."""
    target = tmp_path / "o.mp4"
    sink = VideoSink(target, info())
    sink.write(gray_frame(0, 0.0), NONE)
    assert partial_path(target).name == "o.partial.mp4"
    assert (partial_path(target).exists(), target.exists()) == (True, False)
    sink.close()
    sink.close()
    assert (partial_path(target).exists(), target.exists()) == (False, True)
    with pytest.raises(WriteError, match="closed"):
        sink.write(gray_frame(1, 0.1), NONE)


def test_abort_leaves_an_indexed_partial(tmp_path: Path) -> None:
    """Ctrl-C: what was written is whole, and is not mistaken for a finished file."""
    sink = VideoSink(tmp_path / "o.mp4", info())
    for index in range(5):
        sink.write(gray_frame(index, index / 30), NONE)
    sink.abort()
    sink.abort()
    assert not (tmp_path / "o.mp4").exists()
    with av.open(str(tmp_path / "o.partial.mp4")) as container:
        assert container.streams.video[0].frames == 5


def test_no_frames_no_file(tmp_path: Path) -> None:
    """An MP4 without a picture does not play anywhere."""
    VideoSink(tmp_path / "o.mp4", info()).close()
    VideoSink(tmp_path / "o.mp4", info()).abort()
    assert list(tmp_path.iterdir()) == []


def test_wrong_suffix_and_preset(tmp_path: Path) -> None:
    """Both are the user's words and come back as one line."""
    with pytest.raises(OutputError, match=r"\.mp4"):
        VideoSink(tmp_path / "o.avi", info())
    sink = VideoSink(tmp_path / "o.mp4", info(), options=VideoOptions(preset="warp"))
    with pytest.raises(WriteError, match="preset"):
        sink.write(gray_frame(0, 0.0), NONE)
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_stage_times_are_told(tmp_path: Path) -> None:
    """The summary names the bottleneck from these."""
    told: list[tuple[str, float]] = []
    sink = write(
        tmp_path / "o.mp4", [gray_frame(index, index / 30) for index in range(3)],
        observe=lambda stage, seconds: told.append((stage, seconds)),
    )  # fmt: skip
    assert [stage for stage, _ in told] == ["draw", "encode"] * 3
    assert sink.frames == 3
    assert sink.encode_s == pytest.approx(sum(seconds for stage, seconds in told if stage == "encode"))


def test_an_encoder_that_cannot_be_opened_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """Where there is an NVIDIA GPU with an encoder, it writes the video."""
    path, frame = tmp_path / "o.mp4", Frame.from_bgr(0, 0.0, np.full((240, 320, 3), 90, np.uint8))
    sink = VideoSink(path, info(), options=VideoOptions(encoder="h264_nvenc"))
    try:
        sink.write(frame, Tracks.empty())
    except WriteError as error:
        assert str(error).startswith("h264_nvenc cannot be opened (") and "\n" not in str(error)
        assert str(error).endswith("take write.encoder=libx264")
        sink.abort()
        assert not list(tmp_path.iterdir())
    else:
        sink.close()
        with av.open(str(path)) as container:
            assert next(container.decode(video=0)).width == 320
    with pytest.raises(WriteError, match="nonsense is no video encoder here"):
        VideoSink(tmp_path / "p.mp4", info(), options=VideoOptions(encoder="nonsense")).write(frame, Tracks.empty())


@pytest.mark.parametrize("rate", [Fraction(5), Fraction(30000, 1001), Fraction(1, 2)])
@pytest.mark.parametrize("source_rate", [Fraction(30), None])
def test_output_rate(tmp_path: Path, rate: Fraction, source_rate: Fraction | None) -> None:
    """A picture a minute, one after a night, two of one moment: each stands as long as the others."""
    times = [0.0, 60.0, 60.0, 120.5, 36000.0]
    frames = [gray_frame(index, time_s, 60.0) for index, time_s in enumerate(times)]
    write(tmp_path / "o.mp4", frames, source_rate, options=VideoOptions(output_rate=rate))
    read, numbers, duration = read_back(tmp_path / "o.mp4")
    assert numbers == [0, 1, 2, 3, 4]
    assert read == pytest.approx([float(index / rate) for index in range(5)], abs=1e-9)
    assert duration == pytest.approx(float(5 / rate), abs=1e-6)
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.video[0].average_rate == rate


def test_a_player_can_start_every_two_seconds_of_the_output(tmp_path: Path) -> None:
    """Counted in frames of the output: by those of the source it would be every 12 seconds."""
    frames = [gray_frame(index, index / 30) for index in range(25)]
    write(tmp_path / "o.mp4", frames, options=VideoOptions(output_rate=Fraction(5)))
    with av.open(str(tmp_path / "o.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.is_keyframe and packet.pts is not None]
        assert [float(packet.pts * packet.time_base) for packet in packets] == [0.0, 2.0, 4.0]


def test_trails_are_those_of_the_video_that_is_shown(tmp_path: Path) -> None:
    """With a second of trail and a picture a minute there would never be one."""
    changed = []
    for rate in (None, Fraction(5)):
        options, overlay = VideoOptions(crf=1, output_rate=rate), Overlay(("person",), labels=False)
        sink = VideoSink(tmp_path / f"{rate is None}.mp4", info(), overlay, options=options)
        for index in range(3):
            frame = gray_frame(0, 60.0 * index, 60.0)
            sink.write(frame, tracks((10 + 40 * index, 30, 20 + 40 * index, 60, 0.9, 0), first_id=10))
        sink.close()
        with av.open(str(tmp_path / f"{rate is None}.mp4")) as container:
            last = luma_of(list(container.decode(video=0))[-1]).astype(int)
        changed.append(np.abs(last - luma_of(frame.picture))[40:, 30:80].max())
    assert changed[0] < 12 < changed[1]


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(-5), Fraction(1, 10**6), Fraction(10**6)])
def test_impossible_output_rates(rate: Fraction) -> None:
    """They would divide by zero, or make a file that no player opens."""
    with pytest.raises(ValueError, match="output_rate must be between"):
        VideoOptions(output_rate=rate)
