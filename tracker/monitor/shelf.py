"""Files of recordings, oldest first, and which of them go when there are too many.

Their names count up, so the order in which they were made is known whatever the wall clock says:
`footage/gate/000000123-20250102T101112Z.mp4`. Files with other names are nobody's business and never touched.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from threading import Lock

from tracker.monitor.walltime import utc

NAME = re.compile(r"(?P<number>\d{9,})-(?P<stamp>\d{8}T\d{6})Z(?P<partial>\.partial)?\.(?P<kind>mp4|jpg)")
STAMP = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class Item:
    """One finished file.

    Attributes:
        number: counts up over all files.
        path: of the file.
        size: bytes.
        wall_s: when it was begun, as the wall clock stood.
    """

    number: int
    path: Path
    size: int
    wall_s: float


class Shelf:
    """Finished files below one folder, one folder a camera. Safe to use from several threads.

    Attributes:
        folder: of them all.
        size: bytes in all.
        leftovers: files that a killed process had not finished.
    """

    def __init__(self, folder: Path) -> None:
        """Look at what is there. Raises OSError."""
        self.folder, self.size = folder, 0
        self.leftovers: list[Path] = []
        self._lock = Lock()
        folder.mkdir(parents=True, exist_ok=True)
        found = []
        for path in sorted(folder.glob("*/*")):
            match = NAME.fullmatch(path.name)
            if match is None:
                continue
            if match["partial"]:
                self.leftovers.append(path)
            else:
                with suppress(OSError):
                    found.append(Item(int(match["number"]), path, path.stat().st_size, _seconds(match["stamp"])))
        self._items = deque(sorted(found, key=lambda item: item.number))
        self.size = sum(item.size for item in found)

    def __len__(self) -> int:
        """Files."""
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        """The files, oldest first, as they are now."""
        with self._lock:
            return iter(list(self._items))

    @property
    def last_number(self) -> int:
        """Of the newest file, finished or not."""
        unfinished = [int(path.name.partition("-")[0]) for path in self.leftovers]
        return max([*unfinished, *(item.number for item in self._items)], default=0)

    @property
    def oldest_s(self) -> float | None:
        """When the oldest was begun."""
        with self._lock:
            return self._items[0].wall_s if self._items else None

    @property
    def newest_s(self) -> float | None:
        """When the newest was begun."""
        with self._lock:
            return self._items[-1].wall_s if self._items else None

    def path(self, camera: str, number: int, wall_s: float, suffix: str) -> Path:
        """Where to write the next file. Raises OSError where there can't be a folder for it."""
        folder = self.folder / camera
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{number:09d}-{utc(wall_s):{STAMP}}Z{suffix}"

    def add(self, path: Path) -> Item:
        """A file is finished. Raises OSError where it is not there."""
        match = NAME.fullmatch(path.name)
        if match is None:
            raise ValueError(f"{path.name} is no name of a recording")
        item = Item(int(match["number"]), path, path.stat().st_size, _seconds(match["stamp"]))
        with self._lock:
            place = len(self._items)
            while place and self._items[place - 1].number > item.number:
                place -= 1
            self._items.insert(place, item)
            self.size += item.size
        return item

    def remove_oldest(self) -> int:
        """Delete the oldest file; bytes that this freed. Raises OSError, and the file is not counted any more."""
        with self._lock:
            if not self._items:
                return 0
            item = self._items.popleft()
            self.size -= item.size
        item.path.unlink(missing_ok=True)
        return item.size

    def remove(self, path: Path) -> None:
        """Delete one file, if it is there. Raises OSError."""
        with self._lock:
            for item in self._items:
                if item.path == path:
                    self._items.remove(item)
                    self.size -= item.size
                    break
        path.unlink(missing_ok=True)


def _seconds(stamp: str) -> float:
    """Of a file's name; 0.0 where the date does not exist."""
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0
