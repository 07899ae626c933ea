"""What a child process that compiles says while it is at it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import IO

from engines.base import EngineStopped, never
from engines.build_cache import Say

SAY_EVERY_S, POLL_S = 5.0, 0.2


def follow(child: subprocess.Popen[bytes], say: Say, stopped: Callable[[], bool] = never) -> None:
    """Pass on the child's lines until it ends; where it has none, say how long it has been at it.

    Raises:
        EngineStopped: `stopped` said so, which is asked every POLL_S seconds. The child still runs then.
    """
    lines: SimpleQueue[bytes] = SimpleQueue()
    assert child.stdout is not None
    Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
    told_s = started_s = monotonic()
    while True:
        if stopped():
            raise EngineStopped("the build was ended")
        try:
            line = lines.get(timeout=POLL_S)
        except Empty:
            if monotonic() - told_s >= SAY_EVERY_S:
                told_s = monotonic()
                say(f"compiling, {told_s - started_s:.0f} s")
            continue
        if not line:
            child.wait()
            return
        told_s = monotonic()
        say(f"compiling, {monotonic() - started_s:.0f} s: {line.decode(errors='replace').strip()}")


def _read(out: IO[bytes], lines: SimpleQueue[bytes]) -> None:
    """Lines of the child, and an empty one at the end."""
    for line in out:
        lines.put(line)
    lines.put(b"")
