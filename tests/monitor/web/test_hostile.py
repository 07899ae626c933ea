"""Requests of people who mean harm: each is refused, none leaves a trace, and the service goes on."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from tests.monitor.fakes import wait_for
from tests.monitor.web.site import PASSWORD, TOKEN, Site
from tracker.errors import ConfigError
from tracker.monitor.web import app as app_module
from tracker.monitor.web import server as server_module

JSON = {"Content-Type": "application/json"}
GOOD = {"name": "x", "source": "rtsp://h/x"}

REFUSED: dict[str, tuple[str, str, bytes | None, dict[str, str], tuple[int, ...]]] = {
    "traversal": ("GET", "/../../etc/passwd", None, {}, (404,)),
    "traversal, coded": ("GET", "/%2e%2e/%2e%2e/etc/passwd", None, {}, (404,)),
    "traversal, coded twice": ("GET", "/%252e%252e/etc/passwd", None, {}, (404,)),
    "traversal behind a file": ("GET", "/app.js/../../../etc/passwd", None, {}, (404,)),
    "traversal in an id": ("GET", "/api/events/..%2f..%2fetc%2fpasswd/snapshot", None, {}, (404,)),
    "traversal in an id, dots": ("GET", "/api/events/../snapshot", None, {}, (404,)),
    "backslashes": ("GET", "/..\\..\\etc\\passwd", None, {}, (404,)),
    "a file of the package": ("GET", "/page/index.html", None, {}, (404,)),
    "a null byte": ("GET", "/app.js%00.html", None, {}, (404,)),
    "no UTF-8": ("GET", "/%ff%fe", None, {}, (404,)),
    "a slash too many": ("GET", "//etc/passwd", None, {}, (404,)),
    "a slash at the end": ("GET", "/healthz/", None, {}, (404,)),
    "an id that is none": ("GET", "/api/events/1;drop%20table%20events", None, {}, (404,)),
    "a negative id": ("GET", "/api/events/-1", None, {}, (404,)),
    "a huge id": ("GET", f"/api/events/{'9' * 400}", None, {}, (404,)),
    "digits that are none": ("GET", "/api/events/%C2%B2", None, {}, (404,)),
    "SQL in the query": ("GET", "/api/events?camera=x'%20or%201=1--", None, {}, (400,)),
    "an unknown parameter": ("GET", "/api/events?file=/etc/passwd", None, {}, (400,)),
    "a parameter twice": ("GET", "/api/events?limit=1&limit=2", None, {}, (400,)),
    "a limit without limit": ("GET", "/api/events?limit=1e9", None, {}, (400,)),
    "a thousand parameters": ("GET", f"/api/events?{'&'.join(f'a{i}=1' for i in range(1000))}", None, {}, (400,)),
    "a width that is none": ("GET", "/api/cameras/gate/live?width=NaN", None, {}, (400,)),
    "a huge width": ("GET", "/api/cameras/gate/live?width=100000", None, {}, (400,)),
    "cameras that are none": ("GET", "/api/live?cameras=gate,../x", None, {}, (404,)),
    "no cameras": ("GET", "/api/live?cameras=", None, {}, (400,)),
    "cameras left out": ("GET", "/api/live", None, {}, (400,)),
    "a snapshot as wide as can be": ("GET", "/api/events/1/snapshot?width=999999", None, {}, (400,)),
    "a snapshot without width": ("GET", "/api/events/1/snapshot?width=0", None, {}, (400,)),
    "a WebSocket": (
        "GET",
        "/api/none",
        None,
        {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
        (404,),
    ),
    "hours without end": ("GET", "/api/cameras/gate/series?hours=inf", None, {}, (400,)),
    "DELETE of a page": ("DELETE", "/", None, {}, (405,)),
    "PUT": ("PUT", "/api/cameras/gate", b"{}", JSON, (405,)),
    "PATCH": ("PATCH", "/api/status", b"{}", JSON, (405,)),
    "OPTIONS": ("OPTIONS", "/api/status", None, {}, (405,)),
    "TRACE": ("TRACE", "/", None, {}, (405,)),
    "CONNECT": ("CONNECT", "/", None, {}, (405,)),
    "a method of its own": ("HACK", "/", None, {}, (405,)),
    "GET of what changes something": ("GET", "/api/cameras/gate/pause", None, {}, (405,)),
    "POST of what only shows": ("POST", "/api/status", b"{}", JSON, (405,)),
    "no JSON": ("POST", "/api/cameras", b"{", JSON, (400,)),
    "nothing": ("POST", "/api/cameras", b"", JSON, (400,)),
    "a list": ("POST", "/api/cameras", b"[]", JSON, (400,)),
    "a number": ("POST", "/api/cameras", b"1e999", JSON, (400,)),
    "no UTF-8 in a body": ("POST", "/api/cameras", b'{"name": "\xff\xfe"}', JSON, (400,)),
    "a lone surrogate": ("POST", "/api/cameras", b'{"name": "\\ud800", "source": "rtsp://h/x"}', JSON, (400,)),
    "deep JSON": ("POST", "/api/cameras", b"[" * 60_000, JSON, (400,)),
    "deep JSON in a field": ("POST", "/api/cameras", b'{"tracker":' * 5_000 + b"1" + b"}" * 5_000, JSON, (400,)),
    "a form in place of JSON": ("POST", "/api/cameras", b"name=x", {"Content-Type": "text/plain"}, (415,)),
    "no type": ("POST", "/api/cameras", json.dumps(GOOD).encode(), {}, (415,)),
    "a body that is too large": ("POST", "/api/cameras", b" " * 70_000, JSON, (413,)),
    "a huge body where none is wanted": ("POST", "/api/reload", b" " * 70_000, {}, (413,)),
    "a local file as a camera": ("POST", "/api/cameras", b'{"name": "x", "source": "/etc/passwd"}', JSON, (400,)),
    "a protocol of its own": ("POST", "/api/cameras", b'{"name": "x", "source": "concat:/etc/passwd"}', JSON, (400,)),
    "a newline in an address": ("POST", "/api/cameras", b'{"name": "x", "source": "rtsp://h/\\nx"}', JSON, (400,)),
    "a file as a network": (
        "POST",
        "/api/cameras",
        b'{"name": "x", "source": "rtsp://h/x", "tracker": {"appearance": "/etc/passwd"}}',
        JSON,
        (400,),
    ),
    "HTML as a name": ("POST", "/api/cameras", b'{"name": "<script>", "source": "rtsp://h"}', JSON, (400,)),
    "another host": ("GET", "/api/status", None, {"Host": "evil.example"}, (421,)),
    "a picture for another page": (
        "GET",
        "/api/cameras/gate/live",
        None,
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        (403,),
    ),
    "another page": ("POST", "/api/reload", None, {"Origin": "http://evil.example"}, (403,)),
    "a large head": ("GET", "/", None, {"X-Large": "x" * 20_000}, (400, 431)),
    "a broken cookie": ("GET", "/api/none", None, {"Cookie": "tracker_1=\x7f; =;;;; $Path=x"}, (400, 404)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_in_one_line(standing: Site, what: str, capfd: pytest.CaptureFixture[str]) -> None:
    method, path, body, headers, wanted = REFUSED[what]
    status, found, content = standing.ask(path, method, body, headers)
    assert status in wanted, content
    assert b"Traceback" not in content
    assert b"root:" not in content
    assert b".py" not in content
    assert len(content) < 300
    if status not in (400, 431) or found.get("content-type") == "application/json":
        assert content.count(b"\n") == 0
        assert method == "HEAD" or json.loads(content)["error"]
        assert found["x-content-type-options"] == "nosniff"
    assert standing.ask("/healthz")[0] == 200
    assert standing.supervisor.names() == ["gate", "yard"]
    assert capfd.readouterr() == ("", "")


RAW = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n",
    "a header that goes on": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n c\x00\r\n\r\n",
    "an injected header": b"GET /\rSet-Cookie:x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no host, old": b"GET / HTTP/1.0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
    "two lengths": b"POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a negative length": b"POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "a length of letters": b"POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1x\r\n\r\n",
    "a huge length": b"POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "an encoding of its own": b"POST /api/reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x\r\n\r\n",
    "chunks that are none": b"POST /api/cameras HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "chunks without end": b"POST /api/cameras HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 6,
    "another server's address": b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP of tomorrow": b"GET / HTTP/39\r\nHost: localhost\r\n\r\n",
}  # fmt: skip


def raw(port: int, sent: bytes) -> bytes:
    """The beginning of what comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        return connection.recv(65536)


@pytest.mark.parametrize("what", RAW)
def test_what_is_hardly_http_is_refused(standing: Site, what: str, capfd: pytest.CaptureFixture[str]) -> None:
    got = raw(standing.port, RAW[what])
    assert got.startswith(b"HTTP/1.1 4"), got
    assert b"Traceback" not in got
    assert b"Set-Cookie" not in got
    assert standing.ask("/healthz")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_whoever_dawdles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_S", 0.3)
    monkeypatch.setattr(app_module, "BODY_S", 0.3)
    with Site(None) as site:
        beginnings = (
            b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /h",
            b"POST /api/cameras HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 9\r\n\r\n{",
        )  # fmt: skip
        connections = [socket.create_connection(("127.0.0.1", site.port), timeout=20) for _ in beginnings]
        for connection, begin in zip(connections, beginnings, strict=True):
            connection.sendall(begin)
        answers = []
        for connection in connections:
            got = b""
            try:
                while part := connection.recv(65536):
                    got += part
            except ConnectionResetError:
                pass
            answers.append(got[9:12])
            connection.close()
        assert answers == [b"", b"", b"200", b"408"]


def test_a_request_that_takes_its_time_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_S", 0.2)
    with Site(None) as site:

        class Slow(ConfigError):
            def __str__(self) -> str:
                time.sleep(0.6)
                return "slow"

        site.changes = Slow()
        assert site.ask("/api/reload", "POST")[0] == 409


def test_no_secret_is_ever_told(locked: Site) -> None:
    """The password of a camera and the token: in no answer, no log, whatever fails."""
    locked.refuse.add("gate")
    wait_for(lambda: locked.supervisor.camera("gate").status()["state"] == "down")
    add = {"name": "late", "source": f"rtsp://me:{PASSWORD}2@10.0.0.9/late"}
    told: list[Any] = [locked.ask("/api/cameras", "POST", add)]
    for _ in range(2):
        told += [locked.ask("/api/cameras", "POST", add | {"password": PASSWORD})]
    told += [locked.ask("/api/cameras", "POST", {"name": PASSWORD, "source": PASSWORD, "passwd": PASSWORD})]
    told += [locked.ask(f"/login?token={TOKEN.replace(' ', '+')}")]
    told += [locked.ask("/api/status", headers={"Authorization": f"Bearer {TOKEN}x"})]
    for path in ("/", "/metrics", "/readyz", "/api/status", "/api/cameras", "/api/cameras/gate", "/api/cameras/late",
                 "/api/events", "/api/openapi.json"):  # fmt: skip
        told.append(locked.ask(path))
    everything = str(told) + locked.log.text.getvalue()
    assert "***" in everything
    for secret in (PASSWORD, TOKEN):
        assert secret not in everything
