"""What a child process that compiles says while it is at it."""

from __future__ import annotations

import subprocess
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import IO

from engines.build_cache import Say

SAY_EVERY_S = 5.0


def follow(child: subprocess.Popen[bytes], say: Say) -> None:
    """Pass on the child's lines until it ends; where it has none, say how long it has been at it."""
    lines: SimpleQueue[bytes] = SimpleQueue()
    assert child.stdout is not None
    Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
    started_s = monotonic()
    while True:
        try:
            line = lines.get(timeout=SAY_EVERY_S)
        except Empty:
            say(f"compiling, {monotonic() - started_s:.0f} s")
            continue
        if not line:
            child.wait()
            return
        say(f"compiling, {monotonic() - started_s:.0f} s: {line.decode(errors='replace').strip()}")


def _read(out: IO[bytes], lines: SimpleQueue[bytes]) -> None:
    """Lines of the child, and an empty one at the end."""
    for line in out:
        lines.put(line)
    lines.put(b"")
