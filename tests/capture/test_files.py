"""Video files: no frame lost or doubled, true times, upright pictures, damage survived and reported."""

from __future__ import annotations

import gc
import os
import random
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.capture.clips import MOST, Clip, grainy, read_shade, write_sound_only
from tests.fakes import write_clip
from tracker.capture import open_source
from tracker.capture.buffer import Source
from tracker.errors import SourceError
from tracker.structures import Frame

B_FRAMES = {"bf": "3", "b-adapt": "0", "g": "8"}
VFR_MS = [0, 40, 50, 200, 210, 300, 500, 501, 503, 900, 1000, 1100]


def read(path: Path, **options) -> tuple[list[Frame], Source]:
    with open_source(str(path), **options) as source:
        return list(source), source


def shades(frames: list[Frame]) -> list[int]:
    return [read_shade(frame.bgr) for frame in frames]


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("a.mp4", Clip(container_options={"movflags": "faststart"})),
        ("b.mp4", Clip(options=B_FRAMES)),
        ("b.mkv", Clip(options=B_FRAMES)),
        ("b.avi", Clip(options=B_FRAMES)),
        ("b.ts", Clip(options=B_FRAMES)),
        ("sound.mp4", Clip(audio=True)),
        ("odd.mp4", Clip(size=(35, 29), pix_fmt="yuv444p")),
        ("odd.mkv", Clip(size=(35, 29), codec="ffv1")),
        ("ten.mp4", Clip(pix_fmt="yuv420p10le")),
        ("gray.mkv", Clip(codec="ffv1", pix_fmt="gray")),
        ("gray16.mkv", Clip(codec="ffv1", pix_fmt="gray16le")),
        ("alpha.mov", Clip(codec="png", pix_fmt="rgba")),
        ("raw.mjpeg", Clip(codec="mjpeg", pix_fmt="yuvj420p")),
        ("vp9.webm", Clip(codec="libvpx-vp9", options={"cpu-used": "8"})),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_frame_comes_once_in_order_at_its_time(tmp_path: Path, name: str, clip: Clip) -> None:
    frames, source = read(clip.write(tmp_path / name))
    assert shades(frames) == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(12) / 25, atol=1e-9)
    np.testing.assert_allclose([frame.duration_s for frame in frames], 1 / 25, atol=1e-9)
    assert (frames[0].width, frames[0].height) == (source.info.width, source.info.height) == clip.size
    assert source.info.frame_rate == 25
    assert not source.info.live
    assert (source.warnings, source.dropped, source.truncated) == ([], {}, False)


def test_ntsc_rate_is_exact(tmp_path: Path) -> None:
    clip = Clip(count=40, rate=Fraction(30000, 1001), options=B_FRAMES)
    frames, source = read(clip.write(tmp_path / "n.mp4"))
    assert source.info.frame_rate == Fraction(30000, 1001)
    assert source.info.frame_count == len(frames) == 40
    assert [frame.time_s for frame in frames] == [index * 1001 / 30000 for index in range(40)]


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_variable_rate_keeps_every_timestamp(tmp_path: Path, name: str) -> None:
    clip = Clip(ticks=VFR_MS, time_base=Fraction(1, 1000), options={"bf": "2"})
    frames, source = read(clip.write(tmp_path / name))
    assert shades(frames) == list(range(12))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.array(VFR_MS) / 1000, atol=1e-9)
    np.testing.assert_allclose([frame.duration_s for frame in frames[:-1]], np.diff(VFR_MS) / 1000, atol=1e-9)
    assert frames[-1].duration_s > 0
    assert source.warnings == []


def test_time_begins_with_the_first_frame(tmp_path: Path) -> None:
    """A transport stream starts at any clock; an edit list cuts off what is before zero."""
    frames, _ = read(Clip(ticks=range(1000, 1012)).write(tmp_path / "late.ts"))
    assert [round(frame.time_s, 6) for frame in frames[:2]] == [0.0, 0.04]
    frames, source = read(Clip(ticks=range(-3, 9), options={"bf": "2"}).write(tmp_path / "early.mp4"))
    assert shades(frames) == list(range(3, 12))
    assert [round(frame.time_s, 6) for frame in frames[:2]] == [0.0, 0.04]
    assert source.warnings == []


def test_stream_without_timestamps_is_timed_by_its_rate_and_says_so(tmp_path: Path) -> None:
    frames, source = read(Clip(options=B_FRAMES).write(tmp_path / "b.h264"))
    assert shades(frames) == list(range(12))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(12) / 25)
    assert source.warnings == ["the stream has no timestamps, timed by its nominal rate"]


def corners(width: int, height: int) -> np.ndarray:
    """A picture whose four quarters tell which way it lies."""
    picture = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    picture[:top, :left], picture[:top, left:], picture[top:, :left], picture[top:, left:] = 40, 100, 160, 220
    return picture


def turned(picture: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """By the definition of the display matrix, pixel by pixel."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    result = np.zeros((down.max() + 1, across.max() + 1, 3), np.uint8)
    result[down, across] = picture
    return result


TURNS = [
    (1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0),
    (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0),
]  # fmt: skip


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv420p10le", "gray"])
@pytest.mark.parametrize("turn", TURNS)
def test_rotation_and_mirroring_are_carried_out(tmp_path: Path, turn: tuple[int, int, int, int], pix_fmt: str) -> None:
    clip = Clip(pictures=[corners(66, 40)] * 2, pix_fmt=pix_fmt, matrix=turn, options={"crf": "4"})
    frames, source = read(clip.write(tmp_path / "r.mp4"))
    wanted = turned(corners(66, 40), *turn)
    assert (source.info.height, source.info.width) == frames[1].bgr.shape[:2] == wanted.shape[:2]
    # The edges between quarters are soft.
    assert np.percentile(np.abs(frames[1].bgr.astype(int) - wanted), 90) <= 20
    assert [frame.time_s for frame in frames] == [0.0, 0.04]


@pytest.mark.parametrize("turn", TURNS[1:4])
def test_odd_sizes_are_turned_without_a_seam(tmp_path: Path, turn: tuple[int, int, int, int]) -> None:
    clip = Clip(size=(35, 29), codec="mpeg4", matrix=turn, options={"qmax": "2"})
    frames, _ = read(clip.write(tmp_path / "r.mp4"))
    assert shades(frames) == list(range(12))
    assert frames[5].bgr.shape == ((29, 35, 3) if turn[0] else (35, 29, 3))
    assert np.ptp(frames[5].bgr) <= 8


def test_other_angles_are_left_and_reported(tmp_path: Path) -> None:
    frames, source = read(Clip(matrix=(0.7071, 0.7071, -0.7071, 0.7071)).write(tmp_path / "r.mp4"))
    assert frames[0].bgr.shape == (48, 64, 3)
    assert [line for line in source.warnings if "45 degrees" in line] == source.warnings


def test_turned_pictures_keep_time_and_colour(tmp_path: Path) -> None:
    frames, _ = read(Clip(matrix=TURNS[1], pix_fmt="yuvj420p").write(tmp_path / "r.mp4"))
    plain, _ = read(Clip(pix_fmt="yuvj420p").write(tmp_path / "p.mp4"))
    for name in ("pts", "time_base", "color_range", "colorspace"):
        assert getattr(frames[3].picture, name) == getattr(plain[3].picture, name)


@pytest.mark.parametrize("name", ["c.mp4", "c.mkv", "c.avi"])
def test_truncated_file_gives_what_it_has_and_says_so(tmp_path: Path, name: str) -> None:
    clip = Clip(pictures=grainy(30, (160, 120)), options={"g": "10"}, container_options={})
    if name.endswith("mp4"):
        clip.container_options = {"movflags": "faststart"}
    path = clip.write(tmp_path / name)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    frames, source = read(path)
    assert 14 <= len(frames) <= 20
    assert shades(frames) == list(range(len(frames)))
    assert source.truncated
    assert any("shorter than its header says" in line for line in source.warnings)


def test_damage_in_the_middle_is_passed_over(tmp_path: Path) -> None:
    path = Clip(pictures=grainy(36, (160, 120)), options={"g": "6"}).write(tmp_path / "d.mp4")
    data = bytearray(path.read_bytes())
    start = len(data) // 2
    data[start : start + len(data) // 8] = random.Random(3).randbytes(len(data) // 8)
    path.write_bytes(data)
    frames, source = read(path)
    assert 24 <= len(frames) < 36
    indices = [round(frame.time_s * 25) for frame in frames]
    assert shades(frames[-6:]) == [index % MOST for index in indices[-6:]] == [index % MOST for index in range(30, 36)]
    assert shades(frames[:12]) == list(range(12))
    lost = source.report.decode_errors
    assert lost >= 1
    assert f"{lost} of {lost + len(frames)} frames could not be decoded" in source.warnings


def late_index(folder: Path) -> bytes:
    return Clip(pictures=grainy(8)).write(folder / "late.mp4").read_bytes()


def unknown_codec(folder: Path) -> bytes:
    data = bytearray(late_index(folder))
    at = data.index(b"avc1", data.index(b"stsd"))
    data[at : at + 4] = b"zzzz"
    return bytes(data)


def all_damaged(folder: Path) -> bytes:
    data = bytearray(late_index(folder))
    at = data.index(b"mdat") + 4
    end = at - 8 + struct.unpack(">I", data[at - 8 : at - 4])[0]
    data[at:end] = random.Random(1).randbytes(end - at)
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("zero.mp4", lambda folder: b"", ["empty", "0 bytes"]),
        ("random.mp4", lambda folder: random.Random(1).randbytes(50_000), ["not a video"]),
        ("random.bin", lambda folder: random.Random(2).randbytes(50_000), ["not a video"]),
        ("text.mp4", lambda folder: b"hello world\n" * 200, ["is text", "a video was wanted"]),
        ("text.txt", lambda folder: "Grüße\n".encode() * 200, ["is text"]),
        ("page.mp4", lambda folder: b"<!DOCTYPE html>\n<html>" + b"<p>x</p>" * 500, ["is text"]),
        ("cut.mp4", lambda folder: late_index(folder)[:4000], ["incomplete", "moov", "never finalised"]),
        ("codec.mp4", unknown_codec, ["codec", "not support", "convert"]),
        ("damaged.mp4", all_damaged, ["none of its 8 frames", "h264"]),
        ("sound.mp4", lambda folder: write_sound_only(folder / "s.mp4").read_bytes(), ["no video, only audio"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_one_clear_line(tmp_path: Path, capfd, name: str, content, words: list[str]) -> None:
    path = tmp_path / name
    path.write_bytes(content(tmp_path))
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    message = str(caught.value)
    assert all(word in message for word in [*words, str(path)]), message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_cover_picture_is_no_video(tmp_path: Path) -> None:
    """An MP3 whose ID3 tag holds a PNG, as every music player writes it."""
    import av
    import cv2

    png = cv2.imencode(".png", corners(32, 32))[1].tobytes()
    body = b"\x00image/png\x00\x03\x00" + png
    tag = b"APIC" + struct.pack(">I", len(body)) + b"\x00\x00" + body
    size = bytes((len(tag) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    with av.open(str(tmp_path / "s.mp3"), "w") as out:
        stream = out.add_stream("libmp3lame", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16p", layout="mono")
        sound.rate = 16000
        out.mux(stream.encode(sound))
        out.mux(stream.encode(None))
    path = tmp_path / "cover.mp3"
    path.write_bytes(b"ID3\x03\x00\x00" + size + tag + (tmp_path / "s.mp3").read_bytes())
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(SourceError, match="no video, only audio and a cover picture"):
        open_source(str(path))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such file: '.*none.mp4'"):
        open_source(str(tmp_path / "none.mp4"))
    with pytest.raises(SourceError, match=r"no such file: '.*none.jpg'"):
        open_source(str(tmp_path / "none.jpg"))


def test_file_without_the_right_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Clip(count=2).write(tmp_path / "a.mp4")
    path.chmod(0)
    if os.geteuid() == 0:
        tmp_path.chmod(0o755)
        monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(SourceError, match="permission denied"):
        open_source(str(path))


def denied(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


def test_unusual_names(tmp_path: Path) -> None:
    """A colon is no protocol, brackets are no glob, umlauts are fine."""
    for name in ("cam:1.mp4", "a[1].mp4", "größe 'x'.mp4", "http.mp4", "7"):
        path = tmp_path / name
        path.write_bytes(Clip(count=2).write(tmp_path / "a.mp4").read_bytes())
        assert len(read(path)[0]) == 2
    assert len(read(Path((tmp_path / "a.mp4").as_uri().replace("file:///", "/")))[0]) == 2
    with open_source((tmp_path / "a.mp4").as_uri()) as source:
        assert len(list(source)) == 2


def test_duration_ends_the_stream_in_media_time(tmp_path: Path) -> None:
    path = Clip(count=30).write(tmp_path / "a.mp4")
    frames, source = read(path, duration_s=0.4)
    assert [frame.index for frame in frames] == list(range(10))
    assert source.info.frame_count == 10
    assert len(read(path, duration_s=99)[0]) == 30


def test_ffmpeg_says_nothing_on_the_terminal_during_decoding(tmp_path: Path, capfd) -> None:
    path = Clip(pictures=grainy(20), options={"g": "5"}).write(tmp_path / "d.mp4")
    data = bytearray(path.read_bytes())
    data[2000:4000] = bytes(2000)
    path.write_bytes(data)
    read(path)
    assert capfd.readouterr() == ("", "")


def test_pictures_go_without_the_garbage_collector(tmp_path: Path) -> None:
    """Seconds of 1080p would pile up until it runs."""
    path = Clip(count=60, matrix=TURNS[1]).write(tmp_path / "a.mp4")
    gc.collect()
    gc.disable()
    try:
        with open_source(str(path), read_ahead=2) as source:
            assert sum(1 for _ in source) == 60
        assert sum(type(thing).__name__ == "VideoFrame" for thing in gc.get_objects()) < 12
    finally:
        gc.enable()


def test_real_footage_is_complete(data: Path) -> None:
    """Frame counts and durations equal those of the containers."""
    import av

    for path in sorted((data / "videos").glob("*.mp4"))[:2]:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            count, length_s = stream.frames, float(stream.duration * stream.time_base)
        frames, source = read(path)
        assert len(frames) == count
        assert sum(frame.duration_s for frame in frames) == pytest.approx(length_s, abs=1e-3)
        assert source.warnings == []


def test_reopening_a_file_does_not_pile_up_memory(tmp_path: Path) -> None:
    """PyAV ties the first picture into a cycle that holds the decoder's buffers: nothing may be left of it."""
    path = tmp_path / "a.mp4"
    write_clip(path, frames=5, size=(92, 52))  # of no other test: threads that others left behind may still read

    def pictures() -> set[int]:
        frames = [thing for thing in gc.get_objects() if isinstance(thing, av.VideoFrame)]
        return {id(frame) for frame in frames if frame.width == 92}

    gc.collect()
    gc.disable()
    before = pictures()  # other tests may still hold some
    try:
        for _ in range(3):
            with open_source(str(path)) as source:
                assert sum(1 for _ in source) == 5
            source.close()
            del source
        assert not pictures() - before
    finally:
        gc.enable()
