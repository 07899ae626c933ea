"""What every answer says to browsers, and which requests are refused before anything looks at them."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_HEAD, LARGEST_BODY = 16 * 1024, 64 * 1024
SAFE = ("GET", "HEAD")
CLOSE = {"connection": "close"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An answer that says what is wrong. `message` never quotes the request."""
    return JSONResponse({"error": message}, status, headers)


class SecurityHeaders:
    """Adds `HEADERS` to whatever is answered; what an answer says itself holds."""

    def __init__(self, app: ASGIApp) -> None:
        """Around `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


class Guard:
    """Refuses requests for other hosts (DNS rebinding), from other pages (CSRF), and with bodies that are too large.

    Another page may link here. It may not have pictures or figures loaded: a live stream costs an encoding.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        """Around `app`; `hosts`: names besides localhost, this machine's name and bare addresses."""
        self._app = app
        self._hosts = {"localhost", socket.gethostname().lower(), *hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        answer = self.refused(scope["method"], Headers(scope=scope))
        await (answer or self._app)(scope, receive, send)

    def refused(self, method: str, headers: Headers) -> Response | None:
        """The refusal, None where there is nothing against this request."""
        if len(headers.getlist("host")) != 1 or not self._is_ours(headers["host"]):
            return refusal(421, "this host is not served here; add its name to serve.hosts if it is yours")
        if not _is_from_here(headers) and not (method in SAFE and _is_link(headers)):
            return refusal(403, "this request came from another page")
        if sum(len(name) + len(value) for name, value in headers.raw) > LARGEST_HEAD:
            return refusal(431, f"headers must not be larger than {LARGEST_HEAD} bytes", CLOSE)
        size = headers.get("content-length", "0")
        if not (size.isascii() and size.isdigit() and len(size) < 10) or int(size) > LARGEST_BODY:
            return refusal(413, f"a body must not be larger than {LARGEST_BODY} bytes", CLOSE)
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether the header names this server: an address can't be rebound, a name can."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


def _is_link(headers: Headers) -> bool:
    """Whether somebody follows a link from another page."""
    return "origin" not in headers and headers.get("sec-fetch-mode") == "navigate"


def _is_from_here(headers: Headers) -> bool:
    """Whether a browser sent this from our own page; what sends neither header is no browser."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    try:
        parts = urlsplit(origin)
        default = {"http": 80, "https": 443}[parts.scheme]
        ours = urlsplit(f"//{headers['host']}")
        return (parts.hostname, parts.port or default) == (ours.hostname, ours.port or default)
    except (ValueError, KeyError):
        return False
