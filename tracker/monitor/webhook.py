"""Each event as JSON by HTTP POST."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from tracker import __version__
from tracker.monitor.courier import DeliveryError, Rejected
from tracker.monitor.output_settings import WebhookSettings
from tracker.monitor.stored import StoredEvent

LONGEST_WAIT_S = 300.0
MOST_ANSWER = 65_536
OK, REDIRECT, REFUSED, FAILED = 200, 300, 400, 500
PERHAPS_LATER = (401, 403, 404, 405, 407, 408, 409, 425, 429)
"""Refusals that say nothing about the event: of the address, the token, or the moment."""


class WebhookOutput:
    """Keeps one connection open. The head `Idempotency-Key` tells a repeated event from a new one."""

    name = "webhook"

    def __init__(self, settings: WebhookSettings) -> None:
        """Nothing is connected yet.

        Raises:
            ConfigError: an environment variable is wanted and not set.
        """
        self._address: SplitResult = urlsplit(settings.address())
        self._timeout_s = settings.timeout_s
        self._connection: HTTPConnection | None = None
        token = settings.secret()
        self._head = {"Content-Type": "application/json", "User-Agent": f"tracker/{__version__}"}
        if token:
            self._head["Authorization"] = f"Bearer {token}"

    @property
    def place(self) -> str:
        """The address as it may be shown: services put their secrets into its path."""
        return f"{self._address.scheme}://{self._address.hostname}"

    def send(self, events: Sequence[StoredEvent], done: Callable[[int], None]) -> None:
        """Post one after the other. Raises DeliveryError, Rejected."""
        for event in events:
            try:
                self._post(event)
            except (DeliveryError, Rejected):
                self._disconnect()
                raise
            except (OSError, HTTPException) as error:
                self._disconnect()
                raise DeliveryError(f"{self.place} cannot be reached: {_said(error)}") from None
            done(event.id)

    def close(self, timeout_s: float) -> None:
        """Disconnect."""
        self._disconnect()

    def _post(self, event: StoredEvent) -> None:
        """One event. Raises DeliveryError, Rejected, OSError, HTTPException."""
        head = self._head | {"Idempotency-Key": f"{event.store}-{event.id}"}
        body = json.dumps(event.as_dict()).encode()
        path = (self._address.path or "/") + (f"?{self._address.query}" if self._address.query else "")
        fresh = self._connection is None
        connection = self._connection = self._connection or self._connect()
        try:
            connection.request("POST", path, body, head)
            answer = connection.getresponse()
        except (OSError, HTTPException) as error:
            if fresh or isinstance(error, TimeoutError):
                raise
            self._disconnect()  # a kept connection that the server had closed meanwhile
            return self._post(event)
        content = answer.read(MOST_ANSWER)
        if not answer.isclosed() or len(content) == MOST_ANSWER:
            self._disconnect()  # nobody reads on
        self._judge(answer)

    def _judge(self, answer: HTTPResponse) -> None:
        """Raise DeliveryError or Rejected unless the event was taken."""
        status = answer.status
        if OK <= status < REDIRECT:
            return
        said = f"{self.place} answered {status} {answer.reason}"
        if REDIRECT <= status < REFUSED:
            raise DeliveryError(f"{said}: it has moved; set webhook.url to its new address")
        if REFUSED <= status < FAILED and status not in PERHAPS_LATER:
            raise Rejected(said)
        raise DeliveryError(said, _seconds(answer.getheader("Retry-After")))

    def _connect(self) -> HTTPConnection:
        """A connection that opens itself."""
        host, port = self._address.hostname or "", self._address.port
        if self._address.scheme == "https":
            return HTTPSConnection(host, port, timeout=self._timeout_s, context=ssl.create_default_context())
        return HTTPConnection(host, port, timeout=self._timeout_s)

    def _disconnect(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.close()


def _seconds(text: str | None) -> float:
    """Of a head Retry-After; 0.0 where there is none in seconds."""
    try:
        return min(max(float(text or 0), 0.0), LONGEST_WAIT_S)
    except ValueError:
        return 0.0


def _said(error: Exception) -> str:
    """What went wrong, in one line that is the same each time."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else "") or f"{type(error).__name__} {error}".strip()
