"""When pictures were taken: EXIF of four formats, and nonsense in it."""

from __future__ import annotations

import struct
import zlib
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from tracker.capture.exif import Taken, read_taken

ORIGINAL, DIGITIZED, DATE_TIME = 0x9003, 0x9004, 0x0132
SUBSECOND, OFFSET = 0x9291, 0x9011


def tiff(tags: dict[int, str], order: str = "<") -> bytes:
    """A TIFF structure: DateTime in the first directory, the rest in the EXIF directory."""
    main = {tag: text for tag, text in tags.items() if tag == DATE_TIME}
    inner = {tag: text for tag, text in tags.items() if tag != DATE_TIME}
    start = 8 + 2 + 12 * (len(main) + 1) + 4
    texts = b""
    base = start + 2 + 12 * len(inner) + 4

    def entry(tag: int, text: str) -> bytes:
        nonlocal texts
        raw = text.encode() + b"\0"
        head = struct.pack(f"{order}HHI", tag, 2, len(raw))
        if len(raw) <= 4:
            return head + raw.ljust(4, b"\0")
        place = base + len(texts)
        texts += raw
        return head + struct.pack(f"{order}I", place)

    first = b"".join(entry(tag, text) for tag, text in main.items())
    first += struct.pack(f"{order}HHII", 0x8769, 4, 1, start)
    second = b"".join(entry(tag, text) for tag, text in inner.items())
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return (
        mark
        + struct.pack(f"{order}IH", 8, len(main) + 1) + first + bytes(4)
        + struct.pack(f"{order}H", len(inner)) + second + bytes(4)
        + texts
    )  # fmt: skip


def picture(suffix: str) -> bytes:
    return cv2.imencode(suffix, np.full((16, 24, 3), 90, np.uint8))[1].tobytes()


def jpeg(block: bytes) -> bytes:
    """A picture with EXIF."""
    return with_exif(picture(".jpg"), block)


def with_exif(data: bytes, block: bytes) -> bytes:
    """EXIF goes between JFIF and the rest, as many cameras have it."""
    after = 4 + struct.unpack_from(">H", data, 4)[0]
    segment = b"Exif\0\0" + block
    return data[:after] + b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment + data[after:]


def png(block: bytes) -> bytes:
    data = picture(".png")
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    return data[:33] + chunk + data[33:]


def webp(block: bytes) -> bytes:
    data = picture(".webp")
    chunk = b"EXIF" + struct.pack("<I", len(block)) + block + bytes(len(block) % 2)
    return data[:4] + struct.pack("<I", len(data) - 8 + len(chunk)) + data[8:] + chunk


def taken(data: bytes, tmp_path: Path) -> Taken | None:
    path = tmp_path / "picture"
    path.write_bytes(data)
    return read_taken(path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wrap", [jpeg, png, webp, bytes])
def test_all_formats_and_both_byte_orders(wrap, order: str, tmp_path: Path) -> None:
    block = tiff({ORIGINAL: "2024:02:29 23:59:58", SUBSECOND: "25", OFFSET: "+05:30"}, order)
    found = taken(wrap(block), tmp_path)
    assert found == Taken(datetime(2024, 2, 29, 23, 59, 58, 250000), 19800.0, fine=True)
    assert found.utc.isoformat() == "2024-02-29T18:29:58.250000+00:00"


def test_the_picture_is_still_one(tmp_path: Path) -> None:
    """Else these tests would prove nothing."""
    for wrap in (jpeg, png, webp):
        data = np.frombuffer(wrap(tiff({ORIGINAL: "2024:01:01 00:00:00"})), np.uint8)
        assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (16, 24, 3)


def test_original_goes_before_digitized_before_changed(tmp_path: Path) -> None:
    times = {DATE_TIME: "2024:01:03 00:00:00", DIGITIZED: "2024:01:02 00:00:00", ORIGINAL: "2024:01:01 00:00:00"}
    days = []
    for _ in range(3):
        days.append(taken(jpeg(tiff(times)), tmp_path).local.day)
        times.popitem()
    assert days == [1, 2, 3]
    assert taken(jpeg(tiff({})), tmp_path) is None


@pytest.mark.parametrize(
    "text",
    ["0000:00:00 00:00:00", "    :  :     :  :  ", "2024:13:01 00:00:00", "yesterday", "2024:01:01", "\xff" * 19],
)
def test_nonsense_is_no_time(text: str, tmp_path: Path) -> None:
    assert taken(jpeg(tiff({ORIGINAL: text})), tmp_path) is None


def test_odd_fractions_and_zones_are_left_out(tmp_path: Path) -> None:
    found = taken(jpeg(tiff({ORIGINAL: "2024:01:01 00:00:00", SUBSECOND: "  ", OFFSET: "CET"})), tmp_path)
    assert found == Taken(datetime(2024, 1, 1))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
def test_pictures_without_exif(suffix: str, tmp_path: Path) -> None:
    assert taken(picture(suffix), tmp_path) is None


def test_no_file_is_no_time(tmp_path: Path) -> None:
    assert read_taken(tmp_path / "missing.jpg") is None
    assert read_taken(tmp_path) is None
    assert taken(b"", tmp_path) is None


@pytest.mark.parametrize("wrap", [jpeg, png, webp, bytes])
def test_damaged_blocks_end_quietly(wrap, tmp_path: Path) -> None:
    """Every cut, and many wrong bytes: an answer or none, never an exception."""
    whole = wrap(tiff({DATE_TIME: "2024:01:01 00:00:00", ORIGINAL: "2024:02:29 23:59:58", SUBSECOND: "25"}))
    rng = np.random.default_rng(4)
    for length in range(0, len(whole), 7):
        taken(whole[:length], tmp_path)
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 300), 4):
            data[place] = rng.integers(256)
        taken(bytes(data), tmp_path)
