"""H.264 in an MP4 file that plays at every moment of its making.

While it grows the file is a fragmented MP4, each fragment there as a whole or not at all:

    ftyp | free (16 bytes) | moov without samples | moof mdat | moof mdat | ...

`finish` appends an ordinary moov that indexes all samples, then turns the 16 bytes of `free` into the head of one large
mdat that hides everything up to the new moov: one small write between a fragmented and an ordinary file. FFmpeg's
`hybrid_fragmented` ends the same way, but keeps the newest frame in memory until the next one comes, which at one
picture in ten seconds is ten seconds lost.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic

from tracker.write.files import PartialFile

FRAGMENT_S = 0.4  # media, and also wall clock, that may wait in memory
LONGEST = 2**32 - 1  # ticks of one sample: 13 hours at 90 kHz
MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
KEY_FLAGS, DELTA_FLAGS = 0x02000000, 0x01010000
START_CODE = re.compile(rb"\x00?\x00\x00\x01")


@dataclass(frozen=True)
class VideoFormat:
    """What a player must know before the first picture.

    Attributes:
        width, height: pixels.
        timescale: ticks a second.
        headers: SPS and PPS as the encoder gives them (Annex B).
        chroma_format: 1 for 4:2:0, 3 for 4:4:4.
        aspect: width of a pixel by its height.
        colour: primaries, transfer and matrix in the numbers of ISO 23091-2; 2 is unknown.
        full_range: 0..255 rather than 16..235.
    """

    width: int
    height: int
    timescale: int
    headers: bytes
    chroma_format: int = 1
    aspect: Fraction = Fraction(1)
    colour: tuple[int, int, int] = (2, 2, 2)
    full_range: bool = False


@dataclass(frozen=True)
class Sample:
    """One coded picture; times in ticks."""

    data: bytes
    time: int
    duration: int
    key: bool


class Mp4Writer:
    """Grows one file by fragments. Samples come in the order in which they are shown."""

    def __init__(self, file: PartialFile, video: VideoFormat, *, prompt: bool = True) -> None:
        """Write the head. Raises WriteError.

        prompt: on a slow machine fragments end early, so that not more than `FRAGMENT_S` is ever lost; without it the
            same samples make the same bytes.
        """
        self._prompt = prompt
        self._file, self._video = file, video
        self._pending: list[Sample] = []
        self._flushed_at = monotonic()
        self._times, self._sizes, self._keys = array("q"), array("I"), array("I")
        self._offsets, self._counts = array("Q"), array("I")  # a fragment: where its data is, samples
        self._last_duration = 0
        ftyp = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso5iso6avc1mp41")
        self._hidden_from = len(ftyp)
        file.append(ftyp + _box(b"free", bytes(8)) + self._moov(final=False))

    @property
    def kept(self) -> int:
        """Samples that are in the file, safe from a kill."""
        return len(self._times)

    def add(self, sample: Sample) -> None:
        """Take one sample; its data as the encoder gives it (Annex B). Raises WriteError."""
        self._pending.append(sample)
        waiting = sample.time + sample.duration - self._pending[0].time
        late = self._prompt and monotonic() - self._flushed_at >= FRAGMENT_S
        if late or waiting >= FRAGMENT_S * self._video.timescale or not self._counts:
            self.flush()

    def flush(self) -> None:
        """Put what waits into the file. Raises WriteError; what waited is then lost, the file stays whole."""
        samples, self._pending = self._pending, []
        self._flushed_at = monotonic()
        if not samples:
            return
        payload = [_length_prefixed(sample.data) for sample in samples]
        moof = self._moof(samples, [len(data) for data in payload])
        start = self._file.size + len(moof) + 8
        self._append(moof + _box(b"mdat", *payload))
        self._offsets.append(start)
        self._counts.append(len(samples))
        for sample, data in zip(samples, payload, strict=True):
            self._times.append(sample.time)
            self._sizes.append(len(data))
            if sample.key:
                self._keys.append(len(self._times))
        self._last_duration = samples[-1].duration

    def finish(self) -> None:
        """Flush and turn the file into an ordinary MP4. Raises WriteError."""
        self.flush()
        size = self._file.size - self._hidden_from
        self._append(self._moov(final=True))
        self._file.sync()
        self._file.patch(self._hidden_from, struct.pack(">I4sQ", 1, b"mdat", size))

    def _append(self, data: bytes) -> None:
        """Add boxes so that a reader sees all of them or none, wherever in here the process is killed.

        They come as one box to be skipped, whose first eight bytes are then replaced. A kill can cut a long write
        short, and some readers refuse a file whose last fragment is torn.
        """
        start = self._file.size
        self._file.append(struct.pack(">I4s", len(data), b"free") + data[8:])
        self._file.patch(start, data[:8])

    def _moof(self, samples: Sequence[Sample], sizes: Sequence[int]) -> bytes:
        """Head of one fragment."""
        nexts = [sample.time for sample in samples[1:]] + [samples[-1].time + samples[-1].duration]
        rows = b"".join(
            struct.pack(">III", min(end - sample.time, LONGEST), size, KEY_FLAGS if sample.key else DELTA_FLAGS)
            for sample, end, size in zip(samples, nexts, sizes, strict=True)
        )
        mfhd = _full(b"mfhd", 0, 0, struct.pack(">I", len(self._counts) + 1))
        tfhd = _full(b"tfhd", 0, 0x020000, struct.pack(">I", 1))
        tfdt = _full(b"tfdt", 1, 0, struct.pack(">Q", samples[0].time))
        # trun's data offset counts from the start of moof: the boxes around it are 8 + 8 bytes, its own head is 20.
        offset = 8 + len(mfhd) + 8 + len(tfhd) + len(tfdt) + 20 + len(rows) + 8
        trun = _full(b"trun", 0, 0x000701, struct.pack(">Ii", len(samples), offset), rows)
        return _box(b"moof", mfhd, _box(b"traf", tfhd, tfdt, trun))

    def _moov(self, *, final: bool) -> bytes:
        """The index: without samples at the start, with all of them at the end."""
        video = self._video
        duration = self._times[-1] + self._last_duration if self._times else 0
        mvhd = _full(
            b"mvhd", 1, 0, struct.pack(">QQIQ", 0, 0, video.timescale, duration),
            struct.pack(">IHHQ", 0x10000, 0x100, 0, 0), MATRIX, bytes(24), struct.pack(">I", 2),
        )  # fmt: skip
        shown = (round(video.width * video.aspect * 0x10000), video.height * 0x10000)
        tkhd = _full(
            b"tkhd", 1, 3, struct.pack(">QQIIQ", 0, 0, 1, 0, duration), bytes(16), MATRIX, struct.pack(">II", *shown)
        )
        mdhd = _full(b"mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, video.timescale, duration, 0x55C4, 0))
        hdlr = _full(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"vide"), b"VideoHandler\0")
        dinf = _box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1)))
        minf = _box(b"minf", _full(b"vmhd", 0, 1, bytes(8)), dinf, self._stbl())
        trak = _box(b"trak", tkhd, _box(b"mdia", mdhd, hdlr, minf))
        mvex = b"" if final else _box(b"mvex", _full(b"trex", 0, 0, struct.pack(">5I", 1, 1, 0, 0, 0)))
        return _box(b"moov", mvhd, trak, mvex)

    def _stbl(self) -> bytes:
        """Where each sample is and how long it stands."""
        times = self._times
        ends = [*times[1:], times[-1] + self._last_duration] if times else []
        durations = _runs([min(end - time, LONGEST) for time, end in zip(times, ends, strict=True)])
        chunks = _firsts(self._counts)
        return _box(
            b"stbl",
            _full(b"stsd", 0, 0, struct.pack(">I", 1), _avc1(self._video)),
            _full(b"stts", 0, 0, struct.pack(">I", len(durations)), *(struct.pack(">II", *run) for run in durations)),
            _full(b"stss", 0, 0, _table("I", self._keys)) if len(times) else b"",
            _full(b"stsc", 0, 0, struct.pack(">I", len(chunks)), *(struct.pack(">III", *row, 1) for row in chunks)),
            _full(b"stsz", 0, 0, struct.pack(">I", 0), _table("I", self._sizes)),
            _full(b"co64", 0, 0, _table("Q", self._offsets)),
        )


def _box(kind: bytes, *parts: bytes) -> bytes:
    """One box of the file."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """One box with version and flags."""
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _table(code: str, values: Sequence[int]) -> bytes:
    """Count and values."""
    return struct.pack(f">I{len(values)}{code}", len(values), *values)


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """(how often, value) of equal neighbours."""
    runs: list[tuple[int, int]] = []
    for value in values:
        count = runs.pop()[0] if runs and runs[-1][1] == value else 0
        runs.append((count + 1, value))
    return runs


def _firsts(values: Sequence[int]) -> list[tuple[int, int]]:
    """(number from 1 of the first, value) of equal neighbours."""
    return [(at + 1, value) for at, value in enumerate(values) if at == 0 or values[at - 1] != value]


def _units(stream: bytes) -> list[bytes]:
    """The NAL units between the start codes."""
    return [unit for unit in START_CODE.split(stream) if unit]


def _length_prefixed(stream: bytes) -> bytes:
    """NAL units as MP4 holds them: each after its length."""
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in _units(stream))


def _avc1(video: VideoFormat) -> bytes:
    """The sample entry: size, decoder configuration, colour, shape of a pixel."""
    units = _units(video.headers)
    sps, pps = ([unit for unit in units if unit[0] & 31 == kind] for kind in (7, 8))
    profile, compatible, level = sps[0][1:4]
    sets = [bytes([0xE0 | len(sps)]), *map(_short_prefixed, sps), bytes([len(pps)]), *map(_short_prefixed, pps)]
    high = profile not in (66, 77, 88)  # High and above also tell chroma and bit depth
    tail = bytes([0xFC | video.chroma_format, 0xF8, 0xF8, 0]) if high else b""
    avcc = _box(b"avcC", bytes([1, profile, compatible, level, 0xFF]), *sets, tail)
    colr = _box(b"colr", b"nclx", struct.pack(">HHHB", *video.colour, 0x80 if video.full_range else 0))
    pasp = _box(b"pasp", struct.pack(">II", video.aspect.numerator, video.aspect.denominator))
    fixed = struct.pack(">6xH16xHHIIIH32sHh", 1, video.width, video.height, 0x480000, 0x480000, 0, 1, bytes(32), 24, -1)
    return _box(b"avc1", fixed, avcc, colr, pasp)


def _short_prefixed(unit: bytes) -> bytes:
    """A parameter set as avcC holds it."""
    return struct.pack(">H", len(unit)) + unit
