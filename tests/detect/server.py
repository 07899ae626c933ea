"""A server on loopback with one file, that does what a test wants of it: cut off, redirect, lie."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """What the server does, and what it was asked."""

    content: bytes = CONTENT
    ranges: bool = True
    etag: str = '"one"'
    status: int = 200
    location: str = ""
    cut_after: list[int] = field(default_factory=list)  # bytes of each of the next answers, then whole ones
    tells_length: bool = True
    slow_s: float = 0.0  # between two pieces
    asked: list[str] = field(default_factory=list)  # Range of each request


class Handler(BaseHTTPRequestHandler):
    """Serves one file as its server's Behaviour says."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        how: Behaviour = self.server.how  # type: ignore[attr-defined]
        wanted = self.headers.get("Range", "")
        how.asked.append(wanted)
        if how.status != 200 or (how.location and self.path != "/there"):
            self.send_response(how.status if how.status != 200 else 302)
            self.send_header("Location", how.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(match[1]) if how.ranges and (match := re.match(r"bytes=(\d+)-", wanted)) else 0
        if self.headers.get("If-Range", how.etag) != how.etag:
            start = 0
        body = how.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(how.content) - 1}/{len(how.content)}")
        if how.tells_length:
            self.send_header("Content-Length", str(len(body)))
        if how.etag:
            self.send_header("ETag", how.etag)
        self.end_headers()
        body = body[: how.cut_after.pop(0)] if how.cut_after else body
        with suppress(ConnectionError):
            for first in range(0, len(body), 1 << 18):
                self.wfile.write(body[first : first + (1 << 18)])
                time.sleep(how.slow_s)


@pytest.fixture
def how() -> Behaviour:
    return Behaviour()


@pytest.fixture
def url(how: Behaviour) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.how = how  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/m.onnx"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "m.onnx"


def left(target: Path) -> set[str]:
    """What lies in the folder, but for the lock."""
    return {path.name for path in target.parent.iterdir()} - {"m.onnx.lock"}
