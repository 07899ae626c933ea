"""One process at a time works on a file of the cache; the system frees the lock of a process that dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_S = 0.1
SAY_EVERY_S = 5.0


@contextmanager
def locked(
    path: Path, waiting: Callable[[], None] = lambda: None, poll: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; it is made, and taken away again where the system allows it.

    Args:
        path: of the lock file; its folder must be there.
        waiting: called at once and every SAY_EVERY_S seconds while another process has the lock; what it raises ends
            the wait. poll: called every POLL_S seconds, likewise.

    Raises:
        OSError: the file cannot be made.
    """
    file = _take(path, waiting, poll)
    try:
        yield
    finally:
        # Windows takes away no file that somebody who waits has open.
        with suppress(OSError):
            path.unlink()
        os.close(file)


def _take(path: Path, waiting: Callable[[], None], poll: Callable[[], None]) -> int:
    """The lock's file descriptor, as soon as it is ours. Raises OSError."""
    told_s = -SAY_EVERY_S
    while (file := _try(path)) is None:
        if time.monotonic() - told_s >= SAY_EVERY_S:
            told_s = time.monotonic()
            waiting()
        poll()
        time.sleep(POLL_S)
    return file


def _try(path: Path) -> int | None:
    """The same, None where another process holds it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Whoever had it before us may have taken the file away between our open and our lock: then it is nobody's.
        if _free(file) and os.path.samestat(os.fstat(file), path.stat()):
            return file
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None


def _free(file: int) -> bool:
    """Take the lock of an open file if nobody has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
