"""Events by HTTP to servers that fail in every way."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from tests.monitor.fakes import wait_for
from tests.monitor.saving import Told, fill, opened
from tests.monitor.test_spool import delivering
from tracker.errors import ConfigError
from tracker.monitor.courier import DeliveryError
from tracker.monitor.output_settings import OutputSettings, WebhookSettings
from tracker.monitor.store import Store
from tracker.monitor.webhook import WebhookOutput


class Server:
    """Answers as `answer(number of the request)` says: a status, "hang" or "close"."""

    def __init__(self) -> None:
        self.answer: Callable[[int], Any] = lambda number: 200
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.taken: list[int] = []
        self.connections = 0
        self.free = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = outer.answer(len(outer.requests))
                outer.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
                if answer == "hang":
                    outer.free.wait(30)
                if answer in ("hang", "close"):
                    self.close_connection = True
                    return
                if answer == 200:
                    outer.taken.append(int(body["value"]))
                self.send_response(answer)
                for name, value in {429: {"Retry-After": "7"}, 302: {"Location": "/new"}}.get(answer, {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self._thread = Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.free.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@contextmanager
def posting(store: Store, port: int, path: str = "/hook?key=1", say: Any = None, **values: Any) -> Iterator[Any]:
    """The output at work."""
    output = WebhookOutput(WebhookSettings(**({"url": f"http://127.0.0.1:{port}{path}", "timeout_s": 1.0} | values)))
    with delivering(store, output, say=say) as courier:
        yield courier


def test_each_event_is_a_post_over_one_connection(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "very-secret")
    with opened(tmp_path) as store:
        with posting(store, server.port, token_env="HOOK_TOKEN"):
            fill(store, 0, 20)
            wait_for(lambda: len(server.taken) == 20)
        events = store.after(0, 99)
    assert server.taken == list(range(20))
    assert server.connections == 1
    path, head, body = server.requests[4]
    assert (path, body) == ("/hook?key=1", events[4].as_dict())
    assert head["authorization"] == "Bearer very-secret"
    assert head["idempotency-key"] == f"{events[4].store}-5"
    assert head["content-type"] == "application/json"


@pytest.mark.parametrize("failure", [500, 503, 429, 404, 302, "close", "hang"])
def test_a_failure_is_tried_again_and_nothing_is_lost(tmp_path: Path, server: Server, failure: Any) -> None:
    server.answer = lambda number: failure if number in (1, 2) else 200
    told = Told()
    with opened(tmp_path) as store, posting(store, server.port, say=told, timeout_s=0.3) as courier:
        fill(store, 0, 4)
        wait_for(lambda: courier.failures)
        server.free.set()
        wait_for(lambda: courier.hurry() or courier.spool.waiting == 0)  # 429 names a delay longer than a test has
    assert server.taken == [0, 1, 2, 3]
    assert "webhook: http://127.0.0.1" in told
    assert "hook?key" not in told, "an address may be a secret"


def test_the_delay_that_the_server_names_is_kept(server: Server, tmp_path: Path) -> None:
    server.answer = lambda number: 429
    output = WebhookOutput(WebhookSettings(url=f"http://127.0.0.1:{server.port}/"))
    with opened(tmp_path) as store:
        fill(store, 0, 1)
        with pytest.raises(DeliveryError, match="answered 429") as error:
            output.send(store.after(0, 1), lambda number: None)
    assert error.value.retry_s == 7


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_server_will_never_take_is_left_out(tmp_path: Path, server: Server, status: int) -> None:
    server.answer = lambda number: status if number == 1 else 200
    told = Told()
    with opened(tmp_path) as store, posting(store, server.port, say=told) as courier:
        fill(store, 0, 3)
        wait_for(lambda: courier.spool.waiting == 0)
    assert server.taken == [0, 2]
    assert f"answered {status}" in told


def test_a_connection_closed_while_idle_is_no_failure(tmp_path: Path, server: Server) -> None:
    with opened(tmp_path) as store, posting(store, server.port) as courier:
        fill(store, 0, 1)
        wait_for(lambda: server.taken == [0])
        courier.output._connection.sock.shutdown(socket.SHUT_RDWR)
        fill(store, 1, 1)
        wait_for(lambda: server.taken == [0, 1])
        assert courier.failures == 0


def test_a_server_that_is_not_there_is_said_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    told = Told()
    with opened(tmp_path) as store, posting(store, port, say=told) as courier:
        fill(store, 0, 1)
        wait_for(lambda: courier.failures > 3)
    assert len([line for line in told.lines if "Connection refused" in line]) == 1


def test_a_server_that_speaks_no_http_is_a_failure(tmp_path: Path) -> None:
    def talk() -> None:
        with server.accept()[0] as caller:
            caller.sendall(b"SSH-2.0-nothing\r\n\r\n" * 9)
            caller.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        talker = Thread(target=talk, daemon=True)
        talker.start()
        output = WebhookOutput(WebhookSettings(url=f"http://127.0.0.1:{server.getsockname()[1]}/", timeout_s=2))
        with opened(tmp_path) as store:
            fill(store, 0, 1)
            with pytest.raises(DeliveryError, match="cannot be reached"):
                output.send(store.after(0, 1), lambda number: None)
        talker.join(10)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "one of url and url_env"),
        ({"url": "ftp://a/b"}, "must be an address such as"),
        ({"url": "http://host:99999/secret"}, "must be an address such as"),
        ({"url": "http://a/b\r\nX: y"}, "must be an address such as"),
        ({"url": "http://a/", "url_env": "A"}, "one of url and url_env"),
        ({"url": "http://a/", "token": "x", "token_env": "T"}, "token and token_env are given"),
    ],
)
def test_settings_that_cannot_be(values: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        WebhookSettings(**values)  # type: ignore[arg-type]
    assert "secret" not in str(error.value)


def test_secrets_stay_out_of_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WebhookSettings(url="https://hooks.example.org/T0/SECRET", token="SECRET")  # type: ignore[arg-type]
    assert "SECRET" not in repr(settings) + str(settings.model_dump(mode="json"))
    every = OutputSettings(webhook=settings)
    assert "token_env" in every.warnings()[0]
    assert every.secrets() == ["SECRET", "https://hooks.example.org/T0/SECRET"]
    with pytest.raises(ConfigError, match="HOOK_URL is wanted and not set"):
        WebhookOutput(WebhookSettings(url_env="HOOK_URL"))
    monkeypatch.setenv("HOOK_URL", "SECRET")
    with pytest.raises(ConfigError, match="must be an address") as error:
        WebhookOutput(WebhookSettings(url_env="HOOK_URL"))
    assert "SECRET" not in str(error.value)
