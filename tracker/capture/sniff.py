"""What the first bytes of a file, and its outermost structure, tell about it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

MP4_BOXES = {
    b"ftyp",
    b"moov",
    b"mdat",
    b"free",
    b"skip",
    b"wide",
    b"moof",
    b"sidx",
    b"styp",
    b"pnot",
    b"uuid",
    b"mfra",
    b"meta",
}
TEXT_BYTES = frozenset({*b"\t\n\r\f\x1b", *range(0x20, 0x7F), *range(0x80, 0x100)})
TEXT_OF_VIDEOS = (b"#EXTM3U", b"v=0", b"YUV4MPEG2")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
EBML_HEADER, EBML_SEGMENT = 0x1A45DFA3, 0x18538067


def is_text(head: bytes) -> bool:
    """Whether a file that begins like this was written to be read by people, and is no playlist or the like."""
    return bool(head) and not (set(head) - TEXT_BYTES) and not head.startswith(TEXT_OF_VIDEOS)


def damaged_png(data: bytes) -> bool:
    """Whether this is a PNG that lacks its end or fails its own checksums; libpng says so on the terminal."""
    if not data.startswith(PNG_SIGNATURE):
        return False
    offset = len(PNG_SIGNATURE)
    while offset + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length
        needed = kind[:1].isupper()
        checksum = int.from_bytes(data[end - 4 : end], "big")
        if end > len(data) or (needed and zlib.crc32(data[offset + 4 : end - 4]) != checksum):
            return True
        if kind == b"IEND":
            return False
        offset = end
    return True


def mp4_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, offset, length) of the outermost boxes, in order. `size`: of the file in bytes; no box: not an MP4.

    The last one may reach beyond the end. Stops at the first thing that is no box.
    """
    offset = 0
    while offset + 8 <= size:
        file.seek(offset)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        elif length == 0:
            length = size - offset
        if kind not in MP4_BOXES or length < 8:
            return
        yield kind, offset, length
        offset += length


def index_is_last(head: bytes) -> bool:
    """Whether an MP4 that begins with `head` has its pictures before its index, and so cannot be read from a pipe."""
    from io import BytesIO

    for kind, _, _ in mp4_boxes(BytesIO(head), len(head)):
        if kind in {b"moov", b"moof"}:
            return False
        if kind == b"mdat":
            return True
    return False


def unfinished_mp4(file: BinaryIO, size: int) -> bool:
    """Whether this is an MP4 whose index was never written, or is cut off."""
    whole = {kind for kind, offset, length in mp4_boxes(file, size) if offset + length <= size}
    begun = {kind for kind, _, _ in mp4_boxes(file, size)}
    return bool(begun) and not whole & {b"moov"}


def missing_bytes(file: BinaryIO, size: int) -> int:
    """Bytes by which the file is shorter than its own structure says; 0 where it is whole or says nothing."""
    file.seek(0)
    head = file.read(64)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return max(0, int(struct.unpack("<I", head[4:8])[0]) + 8 - size)
    if head[:4] == EBML_HEADER.to_bytes(4, "big"):
        return max(0, _segment_end(head) - size)
    end = max((offset + length for _, offset, length in mp4_boxes(file, size)), default=0)
    return max(0, end - size)


def _segment_end(head: bytes) -> int:
    """Where the segment of a Matroska file ends, or 0 where it was written without knowing that."""
    length, offset = _ebml_number(head, 4)
    offset += length or 0
    if int.from_bytes(head[offset : offset + 4], "big") != EBML_SEGMENT:
        return 0
    length, start = _ebml_number(head, offset + 4)
    return 0 if length is None else start + length


def _ebml_number(head: bytes, offset: int) -> tuple[int | None, int]:
    """(value, offset after it) of a length field; None for "unknown"."""
    if offset >= len(head) or not head[offset]:
        return None, offset
    width = 9 - head[offset].bit_length()
    raw = int.from_bytes(head[offset : offset + width], "big") & ((1 << 7 * width) - 1)
    return (None if raw == (1 << 7 * width) - 1 else raw), offset + width
