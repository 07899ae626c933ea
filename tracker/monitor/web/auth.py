"""Who is let in: with a token, whoever shows it as a bearer token or has logged in with it.

A session is the time of its end and a MAC of it under the token: it outlives restarts and ends with the token.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Collection
from time import monotonic, time

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tracker.monitor.web.security import refusal

SESSION_S = 30 * 86400.0
WINDOW_S, MOST_FAILURES = 60.0, 10


class Gate:
    """Knows the token. Safe to use from several threads."""

    def __init__(self, token: str, cookie: str, wall: Callable[[], float] = time) -> None:
        """Make it.

        Args:
            token: "" lets everybody in.
            cookie: its name; cookies of one machine are shared by all its ports.
            wall: seconds since 1970.
        """
        self._token, self.cookie, self._wall = token.encode(), cookie, wall
        self._failures: deque[float] = deque(maxlen=MOST_FAILURES)

    @property
    def closed(self) -> bool:
        """Whether there is a token."""
        return bool(self._token)

    def is_token(self, shown: str) -> bool:
        """Whether this is the token; takes as long for any that is not."""
        # Digests are compared so that not even the length shows.
        digests = (hashlib.sha256(each).digest() for each in (shown.encode("utf-8", "surrogateescape"), self._token))
        right = hmac.compare_digest(*digests)
        if not right:
            self._failures.append(monotonic())
        return right

    def too_many(self) -> bool:
        """Whether so many wrong tokens were shown in the last minute that the next wrong one is told to wait."""
        failures = self._failures
        return len(failures) == MOST_FAILURES and monotonic() - failures[0] < WINDOW_S

    def session(self) -> str:
        """The value of a cookie that lets in."""
        end = str(int(self._wall() + SESSION_S))
        return f"{end}.{self._mac(end)}"

    def is_session(self, value: str) -> bool:
        """Whether `session` made it, and not too long ago."""
        end, _, mac = value.partition(".")
        if not value.isascii() or not hmac.compare_digest(self._mac(end).encode(), mac.encode()):
            return False
        return self._wall() < int(end)  # a sound MAC: it is our number

    def admits(self, headers: Headers) -> bool:
        """Whether a request shows what it takes."""
        if not self.closed:
            return True
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.is_token(shown.strip())
        # Other services of this machine may have set cookies that the standard library takes for malformed.
        return self.is_session(cookie_parser(headers.get("cookie", "")).get(self.cookie, ""))

    def _mac(self, end: str) -> str:
        """Of the end of a session."""
        return hmac.new(self._token, f"tracker session {end}".encode(), hashlib.sha256).hexdigest()


class Login:
    """Turns away who is not let in: a browser to the login page, others with 401."""

    def __init__(self, app: ASGIApp, gate: Gate, public: Collection[str]) -> None:
        """Around `app`; `public`: paths that everybody may have."""
        self._app, self._gate, self._public = app, gate, frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        open_to_all = scope["path"] in self._public
        app = self._app if open_to_all or self._gate.admits(Headers(scope=scope)) else self._turn_away(scope)
        await app(scope, receive, send)

    def _turn_away(self, scope: Scope) -> Response:
        """The answer."""
        if scope["path"] == "/" and scope["method"] == "GET":
            return RedirectResponse("/login", 303)
        if self._gate.too_many():
            return refusal(429, "too many wrong tokens; wait a minute", {"retry-after": str(int(WINDOW_S))})
        wanted = "a token is wanted: 'Authorization: Bearer ...', or log in at /login"
        return refusal(401, wanted, {"www-authenticate": 'Bearer realm="tracker"'})
