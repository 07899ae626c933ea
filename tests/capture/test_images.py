"""Folders and globs of pictures."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.capture.clips import flat, read_shade
from tests.capture.test_exif import ORIGINAL, tiff, with_exif
from tracker.capture import open_source
from tracker.capture.images import MOST_NAMED
from tracker.errors import SourceError


def save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
    return path


def files(source: Path | str, **options) -> list[str]:
    with open_source(str(source), **options) as opened:
        return [frame.file for frame in opened]


def test_natural_order_and_times(tmp_path: Path) -> None:
    for index, name in enumerate(
        ["img1.png", "img2.png", "img9.jpg", "img10.JPG", "img100.bmp", "img101.webp", "x.tiff"]
    ):
        save(tmp_path / name, flat(index, (20, 10)))
    (tmp_path / "readme.txt").write_text("no picture")
    (tmp_path / "._img1.png").write_bytes(b"resource fork")
    (tmp_path / "sub.png").mkdir()
    with open_source(str(tmp_path), image_rate=Fraction(10)) as source:
        frames = list(source)
        info = source.info
    assert [read_shade(frame.bgr) for frame in frames] == list(range(7)) == [frame.index for frame in frames]
    assert [frame.file for frame in frames][:4] == ["img1.png", "img2.png", "img9.jpg", "img10.JPG"]
    assert [frame.time_s for frame in frames] == [index / 10 for index in range(7)]
    assert {frame.duration_s for frame in frames} == {0.1}
    assert (info.frame_count, info.frame_rate, info.width, info.height, info.live) == (7, 10, 20, 10, False)
    assert source.warnings == []


def test_default_rate_is_25(tmp_path: Path) -> None:
    save(tmp_path / "1.png", flat(0, (8, 8)))
    save(tmp_path / "2.png", flat(1, (8, 8)))
    with open_source(str(tmp_path)) as source:
        assert [frame.time_s for frame in source] == [0.0, 0.04]


def test_globs(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/2.png", "b/c/10.jpg", "b/c/9.jpg"):
        save(tmp_path / name, flat(0, (8, 8)))
    assert files(tmp_path / "a" / "*.jpg") == ["1.jpg"]
    assert files(tmp_path / "**" / "*.jpg") == ["a/1.jpg", "b/c/9.jpg", "b/c/10.jpg"]
    assert files(tmp_path / "a" / "[12].*") == ["1.jpg", "2.png"]
    assert files(tmp_path / "a" / "1.jpg") == ["1.jpg"]


def test_relative_glob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "1.jpg", flat(0, (8, 8)))
    save(tmp_path / "d" / "2.jpg", flat(0, (8, 8)))
    monkeypatch.chdir(tmp_path)
    assert files("*.jpg") == ["1.jpg"]
    assert files("**/*.jpg") == ["1.jpg", "d/2.jpg"]


def test_unreadable_pictures_are_skipped_counted_and_named(tmp_path: Path, capfd) -> None:
    """The others keep index and time, as annotations count on it."""
    for index in range(5):
        save(tmp_path / f"{index}.png", flat(index, (20, 10)))
    (tmp_path / "1.png").write_bytes(b"")
    data = (tmp_path / "3.png").read_bytes()
    (tmp_path / "3.png").write_bytes(data[:-20])
    wrong = bytearray((tmp_path / "0.png").read_bytes())
    wrong[60] ^= 1
    (tmp_path / "5.png").write_bytes(wrong)
    (tmp_path / "6.jpg").write_bytes(b"not a picture")
    with open_source(str(tmp_path)) as source:
        assert [(frame.index, round(frame.time_s * 25), read_shade(frame.bgr)) for frame in source] == [
            (0, 0, 0), (2, 2, 2), (4, 4, 4),
        ]  # fmt: skip
    names = ("1.png", "3.png", "5.png", "6.jpg")
    assert source.dropped == {"unreadable": 4}
    assert source.warnings == [f"picture '{name}' cannot be read, skipped" for name in names]
    assert capfd.readouterr() == ("", "")


def test_many_unreadable_pictures_make_no_flood(tmp_path: Path) -> None:
    save(tmp_path / "0.png", flat(0, (8, 8)))
    for index in range(1, MOST_NAMED + 9):
        (tmp_path / f"{index}.png").write_bytes(b"x")
    with open_source(str(tmp_path)) as source:
        assert len(list(source)) == 1
    assert source.dropped["unreadable"] == MOST_NAMED + 8
    assert len(source.warnings) == MOST_NAMED + 1


def test_sizes_may_differ(tmp_path: Path) -> None:
    save(tmp_path / "1.png", flat(0, (20, 10)))
    save(tmp_path / "2.png", flat(0, (35, 29)))
    with open_source(str(tmp_path)) as source:
        assert [(frame.width, frame.height) for frame in source] == [(20, 10), (35, 29)]


def test_kinds_of_pixels_become_bgr(tmp_path: Path) -> None:
    gray = np.full((10, 20), 70, np.uint8)
    colour = np.zeros((10, 20, 3), np.uint8)
    colour[...] = (10, 100, 200)
    save(tmp_path / "1.png", gray)
    save(tmp_path / "2.png", gray.astype(np.uint16) * 257)
    save(tmp_path / "3.tiff", colour.astype(np.uint16) * 257)
    save(tmp_path / "4.png", np.dstack([colour, np.full((10, 20), 128, np.uint8)]))
    with open_source(str(tmp_path)) as source:
        pixels = [frame.bgr[5, 5].tolist() for frame in source]
    assert pixels == [[70] * 3, [70] * 3, [10, 100, 200], [10, 100, 200]]


@pytest.mark.parametrize(("orientation", "shape"), [(1, (10, 20)), (3, (10, 20)), (6, (20, 10)), (8, (20, 10))])
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int, shape: tuple[int, int]) -> None:
    picture = np.zeros((10, 20, 3), np.uint8)
    picture[:5, :10] = 255
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    tiff = b"MM\x00*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\x00\x00" + tiff
    (tmp_path / "1.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:])
    with open_source(str(tmp_path)) as source:
        bgr = next(iter(source)).bgr
    assert bgr.shape[:2] == shape
    turned = {1: picture, 3: np.rot90(picture, 2), 6: np.rot90(picture, -1), 8: np.rot90(picture)}[orientation]
    assert np.percentile(np.abs(bgr.astype(int) - turned), 75) < 10


def test_unicode_names(tmp_path: Path) -> None:
    save(tmp_path / "Größe 火.png", flat(3, (20, 10)))
    assert files(tmp_path) == ["Größe 火.png"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"folder '.*' holds no pictures; wanted is \.bmp"):
        open_source(str(tmp_path))
    with pytest.raises(SourceError, match=r"no picture matches '.*\*\.jpg'"):
        open_source(str(tmp_path / "*.jpg"))


def test_not_one_readable_picture(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    with pytest.raises(SourceError, match="none of its 1 pictures can be read"):
        open_source(str(tmp_path))


def test_pictures_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge folder neither takes its time nor its memory at once."""
    from tracker.capture import images

    seen: list[str] = []
    monkeypatch.setattr(images, "read_bgr", lambda path: seen.append(path.name) or flat(0, (8, 8)))
    for index in range(100):
        (tmp_path / f"{index}.png").touch()
    with open_source(str(tmp_path), read_ahead=3) as source:
        next(iter(source))
    assert len(seen) <= 6


def taken(path: Path, index: int, seconds: float | None) -> None:
    """A picture of one shade, taken so many seconds after noon; None: it does not say."""
    tags = {}
    if seconds is not None:
        moment = datetime(2024, 6, 1, 12, tzinfo=timezone.utc) + timedelta(seconds=seconds)
        tags[ORIGINAL] = moment.strftime("%Y:%m:%d %H:%M:%S")
    path.write_bytes(with_exif(cv2.imencode(".jpg", flat(index, (24, 16)))[1].tobytes(), tiff(tags)))


def test_true_times_and_their_order_where_they_are_wanted(tmp_path: Path) -> None:
    """A counter that began anew, a picture twice, one that is damaged: all is as the world went."""
    for name, index, seconds in (("9.jpg", 0, 0), ("10.jpg", 1, 60), ("1.jpg", 2, 120), ("2.jpg", 3, 300)):
        taken(tmp_path / name, index, seconds)
    (tmp_path / "2.jpg.copy.jpg").write_bytes((tmp_path / "2.jpg").read_bytes())
    damaged = (tmp_path / "10.jpg").read_bytes()
    (tmp_path / "10.jpg").write_bytes(damaged[:150])
    with open_source(str(tmp_path), timed=True) as source:
        frames = list(source)
        info, pictures = source.info, source.pictures
    assert [(frame.file, frame.index, frame.time_s, frame.duration_s) for frame in frames] == [
        ("9.jpg", 0, 0, 60), ("1.jpg", 2, 120, 180), ("2.jpg", 3, 300, 60)
    ]  # fmt: skip
    assert info.frame_rate is None and info.frame_count == 4
    assert info.began == datetime(2024, 6, 1, 12, tzinfo=timezone.utc)
    assert pictures is not None and pictures.origin == "EXIF"
    assert source.dropped == {"duplicate": 1, "unreadable": 1}
    said = "\n".join(source.warnings)
    assert "order of the names" in said and "twice" in said and "'10.jpg' cannot be read" in said
    with open_source(str(tmp_path)) as source:
        assert [frame.time_s for frame in source] == [0.0, 0.04, 0.08, 0.12]
        assert source.info.began is None


def test_an_interval_outweighs_what_pictures_say(tmp_path: Path) -> None:
    for index in range(3):
        taken(tmp_path / f"{index}.jpg", index, 60 * index)
    with open_source(str(tmp_path), timed=True, interval_s=3.5) as source:
        assert [(frame.time_s, frame.duration_s) for frame in source] == [(0, 3.5), (3.5, 3.5), (7.0, 3.5)]
        assert source.info.frame_rate == Fraction(2, 7)
