"""One process at a time works on a file of the cache."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

POLL_S = 0.2


class Locked:
    """Holds the lock of a file (`<file>.lock` beside it) while the block runs; the system frees it if we die."""

    def __init__(self, path: Path, waiting: Callable[[], None] = lambda: None) -> None:
        """`waiting` is called once if another process has the lock."""
        self._path = path.with_name(f"{path.name}.lock")
        self._waiting = waiting
        self._fd = -1

    def __enter__(self) -> None:
        """Wait for the lock. Raises OSError where it cannot be made."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        told = False
        try:
            while not _taken(self._fd):
                if not told:
                    told = True
                    self._waiting()
                time.sleep(POLL_S)
        except BaseException:
            os.close(self._fd)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free it. The file stays: whoever waits has it open."""
        os.close(self._fd)


def _taken(fd: int) -> bool:
    """Take the lock if it is free."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
