"""What the first of two passes finds, written down as it comes: a run that is killed in it does not begin anew.

One JSON object a line: first what the detections depend on, then one line a frame, as they are done.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from tracker.capture import local_path, mask_credentials
from tracker.capture.images import is_image
from tracker.errors import OutputError, UsageError, WriteError
from tracker.interfaces import Detector
from tracker.structures import Detections, Frame


def log_path(output: Path) -> Path:
    """Where the first pass is written down: `a/out.mp4` -> `a/out.first-pass.partial.jsonl`."""
    return output.with_name(f"{output.stem}.first-pass.partial.jsonl")


class FirstPass:
    """A detector that writes down what it finds, and does not look again at what is written down.

    May be called by several threads.

    Attributes:
        known: frames that were found before.
    """

    def __init__(self, detector: Detector, path: Path, about: Mapping[str, Any], *, resume: bool) -> None:
        """Begin a log, or go on with the one that is there.

        Args:
            detector: asked about frames that are not known.
            path: of the log.
            about: all that the detections depend on, JSON-ready; a log of something else is not gone on with.
            resume: go on with a log that is there. Otherwise it is replaced.

        Raises:
            UsageError: the log to go on with is of something else.
            OutputError: it cannot be written.
        """
        self._detector, self._path, self._lock, self._empty = detector, path, Lock(), True
        self._found: dict[int, Detections] = {}
        self.class_names = detector.class_names
        head = json.loads(json.dumps(dict(about)))
        try:
            whole = self._read(head) if resume and path.exists() else 0
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            os.truncate(self._fd, whole)
            os.lseek(self._fd, whole, os.SEEK_SET)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}; choose another output") from None
        self.known = len(self._found)
        self._empty = not self.known
        if not whole:
            self._append(head)

    def _read(self, head: Mapping[str, Any]) -> int:
        """Take in the whole lines of a log; returns where they end. Raises UsageError."""
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].splitlines()
        if not lines:
            return 0
        try:
            before = json.loads(lines[0])
            rows = [json.loads(line) for line in lines[1:]]
            self._found = {row["index"]: _detections(row) for row in rows}
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{self._path} is no log of a first pass; remove it, or leave --resume out") from None
        other = [key for key in head if not isinstance(before, dict) or before.get(key) != head[key]]
        if other:
            raise UsageError(
                f"--resume: {' and '.join(other)} changed since the run that was ended; run with what it had, or leave "
                "--resume out to begin anew"
            )
        return whole

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Of each frame. Raises what the detector raises, and WriteError."""
        results = []
        for frame in frames:
            found = self._found.get(frame.index)
            if found is None:
                found = self._detector.detect([frame])[0]
                self._empty = False
                self._append(
                    {
                        "index": frame.index,
                        "boxes": found.boxes.tolist(),
                        "scores": found.scores.tolist(),
                        "class_ids": found.class_ids.tolist(),
                    }
                )
            results.append(found)
        return results

    def _append(self, row: Mapping[str, Any]) -> None:
        """One more line, in one write: a killed process leaves whole lines, and the beginning of one at most."""
        data = json.dumps(row).encode() + b"\n"
        with self._lock:
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError as error:
                raise WriteError(
                    f"{self._path} cannot be written: {error.strerror}; --resume goes on with it"
                ) from None

    def close(self) -> None:
        """Keep the log, if there is a frame in it. The detector stays open."""
        with suppress(OSError):
            os.close(self._fd)
        if self._empty:
            self.done()

    def done(self) -> None:
        """It is closed, and not needed any more."""
        with suppress(OSError):
            self._path.unlink()


def _detections(row: Mapping[str, Any]) -> Detections:
    """Of one line, exactly as they were found. Raises ValueError."""
    return Detections(
        np.array(row["boxes"], np.float32).reshape(-1, 4),
        np.array(row["scores"], np.float32),
        np.array(row["class_ids"], np.int64),
    )


def stamp_of(source: str) -> list[Any]:
    """What tells that a source is the same as before: its name, and names, sizes and times of change of its files."""
    path = Path(local_path(source))
    if path.is_dir():
        files = [one for one in path.iterdir() if is_image(one.name)]
    elif path.exists():
        files = [path]
    else:
        files = [Path(one) for one in glob.glob(source, recursive=True) if is_image(one)]
    stats = sorted((str(one.absolute()), one.stat()) for one in files if one.is_file())
    known = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()
    return [mask_credentials(source), len(known), digest]
