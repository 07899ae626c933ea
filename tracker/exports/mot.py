"""MOTChallenge 1.1 as CVAT and datumaro import it: a zip of gt/gt.txt, gt/labels.txt, seqinfo.ini. Frames from 1."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tracker.exports.annotation import Annotation
from tracker.exports.prepare import prepared
from tracker.exports.sink import Sink

LEVEL = 4  # of zlib's 9: half of the time of its default for about as many bytes
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can tell
LINES_AT_ONCE = 1024
LARGE = 20_000_000  # rows that may make more than the 2 GiB of a plain entry


def write_mot(annotation: Annotation, path: Path | str, *, overwrite: bool = False) -> int:
    """Write `frame,id,left,top,width,height,1,class,visibility`; returns the boxes left out (`prepared`).

    The seventh column says that the box counts, as in all ground truth of MOTChallenge. Visibility is 1, and 0 where
    the box was filled in, which importers take for occluded.

    Raises:
        OutputError, WriteError: the file cannot be made.
    """
    record, left_out = prepared(annotation)
    with Sink(path, overwrite=overwrite) as sink, zipfile.ZipFile(sink, "w") as archive:
        with archive.open(_entry("gt/gt.txt"), "w", force_zip64=len(record) > LARGE) as file:
            lines = _lines(record)
            while piece := "".join(islice(lines, LINES_AT_ONCE)):
                file.write(piece.encode("ascii"))
        archive.writestr(_entry("gt/labels.txt"), "".join(f"{name}\n" for name in record.class_names))
        archive.writestr(_entry("seqinfo.ini"), _seqinfo(record))
    return left_out


def _lines(record: Annotation) -> Iterator[str]:
    """Of gt.txt."""
    for frame, number, left, top, right, bottom, _, class_id, filled in record.rows():
        box = f"{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f}"
        yield f"{frame + 1},{number},{box},1,{class_id + 1},{0 if filled else 1}\n"


def _seqinfo(record: Annotation) -> str:
    """The sequence. Importers refuse other keys than these seven, and a rate that is not whole."""
    return (
        f"; frames a second, exactly: {record.rate}\n"
        f"[Sequence]\nname={record.name}\nimDir=img1\nframeRate={max(1, round(record.rate))}\n"
        f"seqLength={record.frame_count}\nimWidth={record.width}\nimHeight={record.height}\nimExt=.jpg\n"
    )


def _entry(name: str) -> zipfile.ZipInfo:
    """A file of the archive, the same whenever and wherever it is made."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    entry._compresslevel = LEVEL  # type: ignore[attr-defined, unused-ignore]  # public from Python 3.13 on
    return entry
