"""The RTSP server of `rtsp_server.py` as a test has it: started, killed, frozen, commanded."""

from __future__ import annotations

import json
import signal
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("rtsp_server.py")
NEEDS = """
import gi
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp, GstRtspServer
Gst.init(None)
missing = [name for name in ("qtdemux", "h264parse", "rtph264pay", "appsrc") if Gst.ElementFactory.find(name) is None]
raise SystemExit(f"no {', '.join(missing)}" if missing else 0)
"""


@cache
def missing() -> str:
    """Why there can be no server, "" where there can."""
    try:
        done = subprocess.run([PYTHON, "-c", NEEDS], capture_output=True, text=True)
    except OSError as error:
        return f"{PYTHON}: {error.strerror}"
    return (done.stderr.strip().splitlines() or ["failed"])[-1] if done.returncode else ""


class RtspServer:
    """On loopback, the same port in all its lives."""

    def __init__(self, mounts: dict[str, dict[str, Any]]) -> None:
        """`mounts`: as `rtsp_server.py` takes them. Skips the test where GStreamer is not there."""
        if missing():
            pytest.skip(
                f"no RTSP server: {missing()} (Debian: gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 "
                "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad python3-gi)"
            )
        self._mounts = mounts
        self.port = "0"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> RtspServer:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [PYTHON, str(SCRIPT), self.port, json.dumps(self._mounts)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        bound = self._process.stdout.readline().strip()
        assert bound.isdigit(), "the RTSP server did not start"
        self.port = bound

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def freeze(self) -> None:
        """As a camera that hangs: its connections stand, new ones are taken by the kernel, nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def command(self, line: str) -> None:
        """See `rtsp_server.py`; returns when it is done."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip() == "done"

    def url(self, name: str, login: str = "") -> str:
        return f"rtsp://{f'{login}@' if login else ''}127.0.0.1:{self.port}/{name}"
