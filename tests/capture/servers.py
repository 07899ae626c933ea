"""A camera to be rude with: MJPEG over HTTP on loopback, which streams, falls silent, refuses, goes and comes back."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import cv2

from tests.capture.clips import flat

JPEGS = [cv2.imencode(".jpg", flat(index, (64, 48)))[1].tobytes() for index in range(24)]
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


class Camera:
    """Behaviour of the moment:

    "stream" sends pictures at `rate`; "once" a few pictures and closes; "silent" accepts and says nothing; "stall"
    sends a few pictures and then nothing; "401", "404", "503" answer with that; "noise" answers with bytes that are no
    video; "file" serves `file` with its length, and ranges of it; "cut" the same, but never more than half of it.
    """

    def __init__(self, behaviour: str = "stream", *, rate: float = 100.0, file: Path | None = None) -> None:
        self.behaviour, self.rate, self.file = behaviour, rate, file
        self.connections = 0
        self.sent = 0
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._port = 0
        self._gone = threading.Event()

    @property
    def url(self) -> str:
        return f"http://admin:s3cret@127.0.0.1:{self._port}/video?token=t0ken"

    def __enter__(self) -> Camera:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Come (back), on the same port."""
        self._gone.clear()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(8)
        self._listener, self._port = listener, listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Go: connections are refused from now on, those that stand are broken off."""
        self._gone.set()
        for each in [self._listener, *self._open]:
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        self._open.clear()

    def hang_up(self) -> None:
        """Break off the connections that stand; new ones are welcome."""
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while not self._gone.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            request = connection.recv(4096)
            self.connections += 1
            behaviour = self.behaviour
            if behaviour.isdigit():
                connection.sendall(f"HTTP/1.0 {behaviour} No\r\nContent-Length: 0\r\n\r\n".encode())
            elif behaviour == "noise":
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>" + b"<p>no</p>" * 1000)
            elif behaviour in {"file", "cut"}:
                self._serve_file(connection, request, cut=behaviour == "cut")
            else:
                self._stream(connection, behaviour)
        self._open.discard(connection)
        connection.close()

    def _stream(self, connection: socket.socket, behaviour: str) -> None:
        if behaviour != "silent":
            connection.sendall(HEAD)
        number = 0
        while not self._gone.is_set() and connection in self._open:
            if behaviour == "silent" or (behaviour == "stall" and number >= 5):
                self._gone.wait(0.05)
                continue
            if behaviour == "once" and number >= 5:
                return
            jpeg = JPEGS[self.sent % len(JPEGS)]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            connection.sendall(head + jpeg + b"\r\n")
            number, self.sent = number + 1, self.sent + 1
            self._gone.wait(1 / self.rate)

    def _serve_file(self, connection: socket.socket, request: bytes, *, cut: bool) -> None:
        assert self.file is not None
        data = self.file.read_bytes()
        start = 0
        for line in request.decode().splitlines():
            if line.lower().startswith("range: bytes="):
                start = int(line.split("=")[1].split("-")[0])
        head = f"HTTP/1.1 {'206 Partial' if start else '200 OK'}\r\nContent-Length: {len(data) - start}\r\n"
        head += f"Accept-Ranges: bytes\r\nContent-Range: bytes {start}-{len(data) - 1}/{len(data)}\r\n"
        head += "Connection: close\r\n\r\n"
        connection.sendall(head.encode())
        connection.sendall(data[start : max(start, len(data) // 2) if cut else len(data)])
