"""The archive at an address, through fsspec: put there, listed, fetched back, removed.

What is asked of a store is tried a few times with growing waits. In an object store a file is there whole or not at
all; in a file system it gets its name when it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import TypeVar

from tracker.batch.remote import connect, line_of, masked_place
from tracker.errors import Interrupted, OutputError, WriteError

WAITS_S = (0.5, 1.0, 2.0, 4.0)
"""Before each further try."""
FOR_GOOD = (FileNotFoundError, PermissionError, NotImplementedError, NotADirectoryError, IsADirectoryError)
"""What no further try would change."""
FILE_SYSTEMS = frozenset(("file", "local", "sftp", "ssh"))
"""In these a file can be seen while it is written."""
NO_OUTPUT = ("http://", "https://")
AT_ONCE = 64  # files
CLAIM = "manifest.claim"
Pair = tuple[Path, str]
"""A file here, and its place below the address."""
T = TypeVar("T")


class Store:
    """A folder of a store."""

    def __init__(self, url: str, stop: Event, waits_s: Sequence[float] | None = None) -> None:
        """Nothing is asked of the store yet; `stop` ends what takes long.

        Raises:
            RequirementError: fsspec, or its part for this kind of store, is not installed.
            UsageError: no address, or none that an archive could be at.
        """
        self.name = masked_place(url).rstrip("/")
        if "::" in url or url.startswith(NO_OUTPUT) or any(letter in url for letter in "*?["):
            raise OutputError(
                f"--output {self.name}: wanted a folder of a store that can be written, such as s3://a/b/"
            )
        self._files, path = connect(url)
        self._root, self._stop = path.rstrip("/"), stop
        self._waits_s = WAITS_S if waits_s is None else waits_s
        protocol = self._files.protocol
        self._renames = not FILE_SYSTEMS.isdisjoint([protocol] if isinstance(protocol, str) else protocol)

    def claim(self) -> str | None:
        """Who published last, None where nobody did. Raises WriteError, Interrupted, as all that follow."""

        def read() -> str | None:
            with suppress(FileNotFoundError):
                return bytes(self._files.cat_file(self._at(CLAIM))).decode("ascii", "replace")
            return None

        return self._tried(read)

    def set_claim(self, claim: str) -> None:
        """From now on it is this one."""
        self._tried(lambda: self._made(CLAIM) and self._files.pipe_file(self._at(CLAIM), claim.encode("ascii")))

    def holds(self, place: str) -> bool:
        """Whether there is such a file, or a folder with something in it."""
        return bool(self._tried(lambda: self._files.exists(self._at(place))))

    def below(self, folder: str) -> Mapping[str, int]:
        """Places of all files of a folder, below the address, and their sizes."""

        def find() -> dict[str, int]:
            root = self._at("")
            try:
                found = self._files.find(self._at(folder), detail=True)
            except FileNotFoundError:
                return {}
            return {str(path).removeprefix(root): int(info["size"] or 0) for path, info in found.items()}

        return self._tried(find)

    def put(self, files: Sequence[Pair]) -> None:
        """Copies of these files, replacing what is there."""
        for k in range(0, len(files), AT_ONCE):
            some = files[k : k + AT_ONCE]
            self._tried(lambda some=some: self._put(some))  # type: ignore[misc]

    def get(self, files: Sequence[Pair]) -> None:
        """Copies of these files here; each gets its name when it is whole."""
        for path, _ in files:
            path.parent.mkdir(parents=True, exist_ok=True)
        for k in range(0, len(files), AT_ONCE):
            some = files[k : k + AT_ONCE]
            self._tried(lambda some=some: self._get(some))  # type: ignore[misc]

    def remove(self, places: Sequence[str]) -> None:
        """These files and folders; what is not there is no fault."""

        def rm(place: str) -> None:
            with suppress(FileNotFoundError):
                if self._files.exists(self._at(place)):
                    self._files.rm(self._at(place), recursive=True)

        for place in places:
            self._tried(lambda place=place: rm(place))  # type: ignore[misc]

    def remove_files(self, places: Sequence[str]) -> None:
        """The same of files whose names may hold anything: `remove` would take `*` and `[` for a pattern."""

        def rm(place: str) -> None:
            with suppress(FileNotFoundError):
                self._files.rm_file(self._at(place))

        for place in places:
            self._tried(lambda place=place: rm(place))  # type: ignore[misc]

    def _at(self, place: str) -> str:
        """The path in the file system."""
        return f"{self._root}/{place}"

    def _made(self, place: str) -> bool:
        """Make the folder that a file is to lie in, where the store has folders."""
        if self._renames:
            self._files.makedirs(self._at(place).rpartition("/")[0], exist_ok=True)
        return True

    def _put(self, files: Sequence[Pair]) -> None:
        """Once."""
        if self._files.async_impl:  # many at once
            self._files.put([str(path) for path, _ in files], [self._at(place) for _, place in files])
            return
        for path, place in files:
            target = self._at(place)
            partial = f"{target}.partial" if self._renames else target
            self._made(place)
            self._files.put_file(str(path), partial)
            if self._renames:
                self._files.mv(partial, target)

    def _get(self, files: Sequence[Pair]) -> None:
        """Once."""
        partial = [path.with_name(f"{path.name}.partial") for path, _ in files]
        if self._files.async_impl:
            self._files.get([self._at(place) for _, place in files], [str(path) for path in partial])
        else:
            for path, (_, place) in zip(partial, files, strict=True):
                self._files.get_file(self._at(place), str(path))
        for path, (target, _) in zip(partial, files, strict=True):
            os.replace(path, target)

    def _tried(self, action: Callable[[], T]) -> T:
        """What an action gives, tried again where that may help. Raises WriteError, Interrupted."""
        waits = list(self._waits_s)
        while True:
            if self._stop.is_set():
                raise Interrupted("interrupted; --resume goes on")
            try:
                # Listings that are kept say nothing of what others did since.
                self._files.invalidate_cache()
                return action()
            except Exception as error:  # each store has errors of its own
                if isinstance(error, FOR_GOOD) or not waits:
                    raise WriteError(f"{self.name} cannot be used: {line_of(error)}") from error
            self._stop.wait(waits.pop(0))
