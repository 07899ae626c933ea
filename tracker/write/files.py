"""Files that appear under their final name only when whole: `out.partial.mp4` while written, `out.mp4` when done."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tracker.errors import OutputError, WriteError


def partial_path(target: Path) -> Path:
    """Name of the file while it is being written: `a/out.mp4` -> `a/out.partial.mp4`."""
    return target.with_name(f"{target.stem}.partial{target.suffix}")


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise OutputError where writing `target` could not start or would replace something."""
    partial = partial_path(target)
    if target.is_dir():
        raise OutputError(f"{target} is a folder, an output file was wanted; choose another name")
    if not target.parent.is_dir():
        raise OutputError(f"{target} cannot be written: no folder {target.parent}; create it or choose another output")
    if overwrite:
        return
    if target.exists():
        raise OutputError(f"{target} exists; add --overwrite or choose another --output")
    if partial.exists():
        raise OutputError(f"{partial} exists, left by a run that did not finish; add --overwrite or rename it")


class PartialFile:
    """A file grown by whole pieces: what is on the disk always ends where a piece ends.

    Not for several threads at once.
    """

    def __init__(self, target: Path | str, *, overwrite: bool = False) -> None:
        """Create `partial_path(target)`.

        Raises:
            OutputError: target or leftover exists without `overwrite`, or the file cannot be created.
        """
        self.target = Path(target)
        self.partial = partial_path(self.target)
        self.size = 0
        self._overwrite = overwrite
        check_target(self.target, overwrite=overwrite)
        try:
            # A leftover is unlinked, not truncated: a process that still writes it keeps its own file.
            self.partial.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._fd = os.open(self.partial, flags, 0o666)
        except OSError as error:
            raise OutputError(f"{self.target} cannot be written: {reason(error)}; choose another output") from error

    def append(self, data: bytes) -> None:
        """Add one piece, whole or not at all.

        Raises:
            WriteError: disk full, device gone, file closed. What was written before stays.
        """
        if self._fd < 0:
            raise WriteError(f"{self.partial} is closed; nothing can be written to it any more")
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self._cut_back()
            raise self._failed(error) from error
        self.size += len(data)

    def patch(self, offset: int, data: bytes) -> None:
        """Replace bytes in place, at `offset` from the start.

        Raises:
            WriteError: as `append`.
        """
        try:
            os.lseek(self._fd, offset, os.SEEK_SET)
            os.write(self._fd, data)
            os.lseek(self._fd, self.size, os.SEEK_SET)
        except OSError as error:
            raise self._failed(error) from error

    def rewrite(self, data: bytes) -> None:
        """Replace all that was written, whole or not at all: a kill leaves what there was or what there is now.

        Raises:
            OutputError: another run took the partial.
            WriteError: as `append`; what was written before stays.
        """
        if self._fd < 0:
            raise WriteError(f"{self.partial} is closed; nothing can be written to it any more")
        try:
            ours = os.path.samestat(os.fstat(self._fd), os.stat(self.partial))
        except OSError as error:
            raise self._failed(error) from error
        if not ours:
            raise self._taken()
        fresh = PartialFile(self.partial, overwrite=True)
        fd = os.dup(fresh._fd)
        try:
            fresh.append(data)
            fresh.commit()
        except BaseException:
            os.close(fd)
            fresh.discard()
            raise
        os.close(self._fd)
        self._fd, self.size = fd, len(data)

    def sync(self) -> None:
        """Wait until the disk has everything.

        Raises:
            WriteError: as `append`.
        """
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._failed(error) from error

    def commit(self) -> None:
        """Finish: on the disk first, then under the final name. Does nothing the second time.

        Raises:
            OutputError: somebody else made the target meanwhile, or took the partial; what is there is kept.
            WriteError: as `append`.
        """
        if self._fd < 0:
            return
        self.sync()
        ours = os.fstat(self._fd)
        self.keep()
        if self.target.exists() and not self._overwrite:
            raise OutputError(f"{self.target} was made by somebody else meanwhile; see {self.partial} for this output")
        try:
            if not os.path.samestat(ours, os.stat(self.partial)):
                raise self._taken()
            os.replace(self.partial, self.target)
            _sync_folder(self.target.parent)
        except OSError as error:
            raise self._failed(error) from error

    def keep(self) -> None:
        """Stop under the partial name. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Stop and leave no file."""
        self.keep()
        self.partial.unlink(missing_ok=True)

    def _cut_back(self) -> None:
        """Take back the part of a piece that reached a disk now full."""
        with suppress(OSError):  # the caller already gets the error that came first
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)

    def _failed(self, error: OSError) -> WriteError:
        """The WriteError for what the system said."""
        kept = f"; {self.partial} holds what was done" if self.size else ""
        return WriteError(f"{self.target} could not be written: {reason(error)}{kept}")

    def _taken(self) -> OutputError:
        """The error where the partial is not ours any more."""
        return OutputError(f"{self.partial} was replaced by another run; give each run its own output")


def reason(error: OSError) -> str:
    """What the system said, in its words: "No space left on device"."""
    return error.strerror or str(error)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where folders can be synced."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
