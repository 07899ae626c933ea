"""uvicorn in a thread beside the supervisor."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from threading import Thread
from time import monotonic, sleep
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from tracker.errors import OutputError
from tracker.monitor.journal import Journal
from tracker.monitor.web.security import LARGEST_HEAD
from tracker.monitor.web.settings import Bind

HEAD_S, START_S = 10.0, 10.0
MOST_CONNECTIONS = 256
SEND_BUFFER = 256 * 1024
"""Of the system, bytes a connection: a larger one would hold seconds of live pictures for a slow viewer."""

GONE_MS = 20_000
UNFINISHED = "ASGI callable returned without completing response."


class Connection(H11Protocol):
    """Closes a connection that does not bring the head of a request in time; uvicorn would wait for ever."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A new one."""
        super().connection_made(transport)
        self._limit = self.loop.call_later(HEAD_S, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # nonsense behind a request that was answered already
            self.transport.abort()
            return
        if self._limit is not None and self.cycle is not None and not self.cycle.response_complete:
            self._limit.cancel()
            self._limit = None

    def on_response_complete(self) -> None:
        """The next head may come."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self.loop.call_later(HEAD_S, self._give_up)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self._limit is not None:
            self._limit.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        """Too late, unless a request that came along with the one before is being answered."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class Notes(logging.Handler):
    """What uvicorn says, one line each in the journal."""

    def __init__(self, journal: Journal) -> None:
        """Warnings and errors."""
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """One."""
        if record.getMessage() == UNFINISHED:  # a viewer that was too slow: told already
            return
        error = record.exc_info[1] if record.exc_info else None
        said = record.getMessage() + (f": {type(error).__name__}: {error}" if error is not None else "")
        # Of a kind of their own: somebody who sends nonsense must not use up the lines of true errors.
        if record.levelno >= logging.ERROR:
            self._journal.tell("web", said, level="error")
        else:
            self._journal.tell("request", said, level="warning")


def listen(bind: Bind) -> list[socket.socket]:
    """Sockets at an address, of every family that it has. Raises ConfigError, OutputError."""
    sockets: list[socket.socket] = []
    port = bind.port
    try:
        for family, address in bind.addresses():
            listener = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_MS)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, port))
            listener.listen(128)
            port = listener.getsockname()[1]  # the same free one for all families
    except OSError as error:
        for listener in sockets:
            listener.close()
        said = error.strerror or str(error)
        raise OutputError(f"cannot serve at {bind}: {said.lower()}; choose another address") from None
    return sockets


class Web:
    """The thread with its sockets.

    Attributes:
        port: that it listens at.
    """

    def __init__(self, app: ASGIApp, sockets: list[socket.socket], journal: Journal) -> None:
        """Start. Raises OutputError where it does not come up."""
        self.port: int = sockets[0].getsockname()[1]
        self._sockets, self._journal = sockets, journal
        self._notes, self._logger = Notes(journal), logging.getLogger("uvicorn.error")
        self._logger.addHandler(self._notes)
        self._before, self._logger.propagate = self._logger.propagate, False
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, loop="asyncio", http=Connection, ws="none", lifespan="off", interface="asgi3", log_config=None,
                access_log=False, proxy_headers=False, server_header=False, limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=5, timeout_graceful_shutdown=1, h11_max_incomplete_event_size=LARGEST_HEAD,
            )
        )  # fmt: skip
        self._thread = Thread(target=self._work, name="web", daemon=True)
        self._thread.start()
        until_s = monotonic() + START_S
        while not self._server.started:
            if not self._thread.is_alive() or monotonic() > until_s:
                self.close()
                raise OutputError("the web server did not start; the log says more")
            sleep(0.01)

    def close(self, timeout_s: float = 3.0) -> bool:
        """End it; returns whether it has ended in time."""
        self._server.should_exit = True
        self._thread.join(timeout_s)
        for listener in self._sockets:
            with suppress(OSError):
                listener.close()
        self._logger.removeHandler(self._notes)
        self._logger.propagate = self._before
        return not self._thread.is_alive()

    def _work(self) -> None:
        """The thread."""
        try:
            self._server.run(self._sockets)
        except BaseException as error:
            self._journal.tell("web", f"the web server ended: {type(error).__name__}: {error}", level="error")
