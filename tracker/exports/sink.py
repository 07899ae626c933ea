"""Where exports are written: files and folders that appear under their name only when whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType

from tracker.errors import OutputError, WriteError
from tracker.write.files import PartialFile, reason

PIECE = 1 << 18  # bytes to the disk at once


class Sink:
    """A file grown in large pieces. As a context it is committed at the end, and discarded where something is raised.

    It has as much of a binary file as `zipfile` and `pyarrow` ask for.
    """

    def __init__(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Create the partial file. Raises OutputError."""
        self._file = PartialFile(path, overwrite=overwrite)
        self._waiting: list[bytes] = []
        self._size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        """Append bytes. Raises WriteError."""
        piece = bytes(data)
        self._waiting.append(piece)
        self._size += len(piece)
        if self._size >= PIECE:
            self.flush()
        return len(piece)

    def text(self, text: str) -> None:
        """Append UTF-8. Raises WriteError."""
        self.write(text.encode("utf-8"))

    def tell(self) -> int:
        """Bytes so far."""
        return self._file.size + self._size

    def seekable(self) -> bool:
        """No."""
        return False

    def flush(self) -> None:
        """Hand on what waits. Raises WriteError."""
        if self._waiting:
            self._file.append(b"".join(self._waiting))
            self._waiting, self._size = [], 0

    def close(self) -> None:
        """Nothing: the end of the context decides. For libraries that close what they were given."""

    def __enter__(self) -> Sink:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Commit. Where something was raised, discard; what a full disk has of it stays, as its error says.

        Raises:
            WriteError, OutputError: the rest cannot be written, or not under the final name.
        """
        if kind is None:
            try:
                self.flush()
                self._file.commit()
            finally:
                self._file.keep()
        elif issubclass(kind, WriteError):
            self._file.keep()
        else:
            self._file.discard()


class Folder:
    """A folder of many files, named `<name>.partial` until it is whole. A context, as `Sink`."""

    def __init__(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Create it. Raises OutputError where it exists, or a leftover does, and `overwrite` is not said."""
        self._target = Path(path)
        self.path = self._target.with_name(self._target.name + ".partial")
        for one in (self._target, self.path):
            if not overwrite and os.path.lexists(one):
                raise OutputError(f"{one} exists; add --overwrite or choose another --output")
        if self._target.is_file():
            raise OutputError(f"{self._target} is a file, a folder was wanted; choose another name")
        try:
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir()
        except OSError as error:
            raise OutputError(f"{self._target} cannot be created: {reason(error)}; choose another output") from error

    def write(self, name: str, text: str) -> None:
        """A file of the folder; folders in its name are made. Raises WriteError."""
        file = self.path / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("utf-8"))
        except OSError as error:
            raise WriteError(f"{file} could not be written: {reason(error)}") from error

    def __enter__(self) -> Folder:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Take the final name, or remove all where something was raised. Raises WriteError."""
        try:
            if kind is None:
                os.sync()  # one call for all: a hundred thousand files one by one would take longer than tracking
                self._take_place()
        except OSError as failed:
            raise WriteError(f"{self._target} could not be written: {reason(failed)}") from failed
        finally:
            shutil.rmtree(self.path, ignore_errors=True)

    def _take_place(self) -> None:
        """Take the final name; the folder that had it goes. Raises OSError, with that folder where it was."""
        old = self._target.with_name(self._target.name + ".replaced")
        shutil.rmtree(old, ignore_errors=True)
        if not self._target.exists():
            self.path.rename(self._target)
            return
        self._target.rename(old)
        try:
            self.path.rename(self._target)
        except OSError:
            old.rename(self._target)
            raise
        shutil.rmtree(old, ignore_errors=True)
