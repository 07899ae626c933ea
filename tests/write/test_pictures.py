"""Annotated pictures: their names, their pixels, and that nothing of the user's is replaced."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pytest

from tests.write.scenes import gray_frame, info, tracks
from tracker.errors import OutputError, WriteError
from tracker.structures import Frame, Image, Tracks
from tracker.write import Overlay, PictureSink
from tracker.write.pictures import picture_name

ROOT = Path(__file__).parents[2]
BOX = (40, 30, 100, 60, 0.9, 0)
BEGAN = datetime(2024, 1, 31, 23, 59, tzinfo=timezone.utc)


def noise(seed: int = 1, width: int = 128, height: int = 96) -> Image:
    """Colours of all kinds."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def named(file: str, index: int = 0, image: Image | None = None, time_s: float = 0.0) -> Frame:
    return Frame.from_bgr(index, time_s, noise() if image is None else image, file=file)


def put(folder: Path, frames: list[Frame], found: Tracks | None = None, **more: Any) -> None:
    sink = PictureSink(folder, info(), Overlay(("person",), trails=False), **more)
    for frame in frames:
        sink.write(frame, tracks(BOX) if found is None else found)
    sink.close()


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.jpg", "a.jpg"), ("IMG 1.JPG", "IMG 1.JPG"), ("b.jpeg", "b.jpeg"), ("c.png", "c.png"), ("d.bmp", "d.bmp"),
        ("e.webp", "e.webp"), ("f.tif", "f.tif"), ("g.tiff", "g.tiff"), ("cam 2/day/ü.png", "cam 2/day/ü.png"),
        ("h.jp2", "h.jp2.jpg"), ("no ending", "no ending.jpg"), (".png", ".png.jpg"), ("", "000042.jpg"),
        (".", "000042.jpg"), ("/", "000042.jpg"), ("/etc/x.png", "etc/x.png"), ("//host/x.png", "host/x.png"),
        ("../x.png", "_/x.png"), ("a/../../x.png", "a/_/_/x.png"), ("..", "_.jpg"), ("./a//b.png", "a/b.png"),
    ],
)  # fmt: skip
def test_names(tmp_path: Path, file: str, name: str) -> None:
    """The source's own, and none that leads out of the folder."""
    frame = named(file, 41)
    assert PurePosixPath(picture_name(frame)) == PurePosixPath(name)
    put(tmp_path / "out", [frame])
    assert files(tmp_path) == [f"out/{name}"]
    written = cv2.imdecode(np.fromfile(tmp_path / "out" / name, np.uint8), cv2.IMREAD_COLOR)
    assert written is not None
    assert written.shape == (96, 128, 3)


def test_the_ending_says_what_it_is(tmp_path: Path) -> None:
    """A PNG named .jpg opens in some programs only."""
    heads = {"a.jpg": b"\xff\xd8\xff", "a.png": b"\x89PNG", "a.bmp": b"BM", "a.webp": b"RIFF", "a.tif": b"II*\0"}
    put(tmp_path, [named(file) for file in heads])
    assert {file: (tmp_path / file).read_bytes()[: len(head)] for file, head in heads.items()} == heads


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_what_is_not_drawn_on_stays_exactly(tmp_path: Path, suffix: str) -> None:
    """The box is there, in colour, and around and inside of it is the picture itself."""
    image = noise()
    put(tmp_path, [named(f"a.{suffix}", image=image)], tracks(BOX, first_id=10))
    written = cv2.imread(str(tmp_path / f"a.{suffix}")).astype(int)
    assert np.array_equal(written[64:], image[64:])
    assert np.array_equal(written[34:56, 44:96], image[34:56, 44:96])
    blue, green, red = written[45, 40]
    assert min(red, green) > blue + 80  # yellow


def test_jpeg_is_of_good_quality(tmp_path: Path) -> None:
    """Quantisation as of quality 92: pictures are looked at, and cut out for training."""
    put(tmp_path, [named("a.jpg")])
    _, data = cv2.imencode(".jpg", noise(2), [cv2.IMWRITE_JPEG_QUALITY, 92])
    tables = [raw[raw.index(b"\xff\xdb") :][:69] for raw in ((tmp_path / "a.jpg").read_bytes(), data.tobytes())]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("full", [False, True])
def test_pictures_of_a_video_have_its_colours(tmp_path: Path, full: bool) -> None:
    """Limited range is stretched, full range is not."""
    frame = gray_frame(0b1010, 0.0)
    frame.picture.color_range = 2 if full else 1
    put(tmp_path, [frame], Tracks.empty())
    written = cv2.imread(str(tmp_path / "000011.jpg")).astype(int)
    expected = [50, 200] if full else [(50 - 16) * 255 / 219, (200 - 16) * 255 / 219]
    assert written[8, (8, 24)].mean(1).tolist() == pytest.approx(expected, abs=4)


def test_pictures_of_several_sizes_keep_them(tmp_path: Path) -> None:
    """Also one pixel, and odd sides; the trail of a large one does not reach into a small one."""
    sizes = [(640, 480), (33, 17), (1, 1), (640, 480), (64, 48)]
    sink = PictureSink(tmp_path, info(), Overlay(("person",)), stamps=True, panel=lambda: ("1 fps",))
    for index, (width, height) in enumerate(sizes):
        frame = named(f"{index}.png", index, noise(index, width, height), index / 10)
        sink.write(frame, tracks((width - 8 - index, height - 8, width - 2, height - 1, 0.9, 0)))
    sink.close()
    written = [cv2.imread(str(tmp_path / f"{index}.png")).shape[:2][::-1] for index in range(len(sizes))]
    assert written == sizes


def test_stamps_are_drawn(tmp_path: Path) -> None:
    """As in the video."""
    shots = []
    for began in (None, BEGAN):
        sink = PictureSink(tmp_path, replace(info(), began=began), Overlay(()), stamps=True, overwrite=True)
        for index in range(2):
            sink.write(named(f"{index}.png", time_s=60.0 * index), Tracks.empty())
        sink.close()
        shots += [(tmp_path / f"{index}.png").read_bytes() for index in range(2)]
    put(tmp_path, [named("0.png")], Tracks.empty(), overwrite=True)
    assert len({*shots, (tmp_path / "0.png").read_bytes()}) == 5


def test_trails_at_the_rate_of_the_video(tmp_path: Path) -> None:
    """The pictures look as the frames of the video do."""
    reached = []
    for rate in (None, Fraction(5)):
        sink = PictureSink(tmp_path / str(rate), info(), Overlay((), labels=False), output_rate=rate)
        plain = np.full((96, 128, 3), 90, np.uint8)
        for index in range(3):
            x = 10 + 40 * index
            sink.write(named(f"{index}.png", index, plain, 60.0 * index), tracks((x, 30, x + 10, 60, 0.9, 0)))
        sink.close()
        reached.append((cv2.imread(str(tmp_path / str(rate) / "2.png")) != plain)[:, 30:80].any())
    assert reached == [False, True]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    """Neither a picture nor what a killed run left; others in the folder are nobody's business."""
    for taken in ("a.png", "a.partial.png"):
        (tmp_path / "other.txt").write_text("mine")
        (tmp_path / taken).write_text("precious")
        with pytest.raises(OutputError, match="exists") as caught:
            put(tmp_path, [named("a.png")])
        assert "--overwrite" in str(caught.value)
        assert (tmp_path / taken).read_text() == "precious"
        put(tmp_path, [named("a.png")], overwrite=True)
        assert files(tmp_path) == ["a.png", "other.txt"]
        (tmp_path / "a.png").unlink()


def test_places_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in ("file", "file/deeper"):
        with pytest.raises(OutputError, match="cannot be made"):
            PictureSink(tmp_path / place, info(), Overlay(()))
    with pytest.raises(WriteError, match="could not be made"):
        put(tmp_path, [named("file/a.png")])


def test_a_picture_too_large_for_its_format_is_one_line(tmp_path: Path) -> None:
    """WebP ends at 16383 pixels a side."""
    with pytest.raises(WriteError, match=r"a.webp could not be encoded: .webp holds no picture of 16400x2"):
        put(tmp_path, [named("a.webp", image=noise(1, 16400, 2))])
    assert files(tmp_path) == []


@pytest.mark.parametrize("end", [PictureSink.close, PictureSink.abort])
def test_the_end(tmp_path: Path, end: Callable[[PictureSink], None]) -> None:
    """A folder made for nothing goes; one that was there, or holds something, stays."""
    for folder, kept in ((tmp_path / "new", False), (tmp_path, True)):
        sink = PictureSink(folder, info(), Overlay(()))
        assert folder.is_dir()
        end(sink)
        end(sink)
        assert folder.is_dir() == kept
        with pytest.raises(WriteError, match="closed"):
            sink.write(named("a.png"), Tracks.empty())


def test_the_frame_is_not_touched(tmp_path: Path) -> None:
    """The tracker may still be looking at it."""
    for frame in (named("a.png"), gray_frame(0, 0.0)):
        before, pixels = frame.bgr.copy(), frame.picture.to_ndarray()
        put(tmp_path / str(frame.file), [frame])
        assert np.array_equal(frame.bgr, before)
        assert np.array_equal(frame.picture.to_ndarray(), pixels)


def test_stage_times_are_told(tmp_path: Path) -> None:
    told: list[str] = []
    put(tmp_path, [named("a.png"), named("b.png")], observe=lambda stage, seconds: told.append(stage))
    assert told == ["draw", "encode"] * 2


FULL_DISK = """
import resource, sys
import numpy as np
from pathlib import Path
from tests.write.scenes import info
from tracker.errors import WriteError
from tracker.structures import Frame, Tracks
from tracker.write import Overlay, PictureSink
sink = PictureSink(Path(sys.argv[1]), info(), Overlay(()))
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
try:
    for side in (16, 32, 256):
        image = np.random.default_rng(1).integers(0, 256, (side, side, 3)).astype(np.uint8)
        sink.write(Frame.from_bgr(0, 0.0, image, file=f"{side}.png"), Tracks.empty())
except WriteError as error:
    print(error)
    sink.abort()
"""


def test_full_disk(tmp_path: Path) -> None:
    """The reason is said; the pictures before it are whole, and nothing is left of the one that had no room."""
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == f"{tmp_path / '256.png'} could not be written: File too large"
    assert files(tmp_path) == ["16.png", "32.png"]
