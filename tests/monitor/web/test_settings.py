"""Where the service may be reached, and by whom."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from tests.monitor.web.site import TOKEN, Site
from tracker.errors import ConfigError, OutputError
from tracker.monitor.web import Bind, ServeSettings
from tracker.monitor.web.server import listen


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:80", "::1", 80), ("localhost:0", "localhost", 0)],
)
def test_an_address_is_read_and_written(text: str, host: str, port: int) -> None:
    assert Bind.of(text) == Bind(host, port)
    assert str(Bind.of(text)) == text


@pytest.mark.parametrize("text", ["8080", ":8080", "127.0.0.1", "a:b", "h:1/x", "u@h:1", "h:99999", "[::1", "", "h:1 "])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must be like 127\.0\.0\.1:8080"):
        Bind.of(text)


@pytest.mark.parametrize("text", ["0.0.0.0:8080", "[::]:8080", "192.0.2.7:80"])
def test_other_machines_are_let_in_with_a_token_only(text: str) -> None:
    with pytest.raises(ConfigError, match="wants a token") as caught:
        Bind.of(text).check("")
    assert caught.value.exit_code == 2
    Bind.of(text).check(TOKEN)


@pytest.mark.parametrize("text", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"])
def test_loopback_needs_none(text: str) -> None:
    Bind.of(text).check("")


def test_the_token_comes_from_the_environment_and_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ServeSettings(token_env="PAGE_TOKEN")
    monkeypatch.delenv("PAGE_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="PAGE_TOKEN is not set"):
        settings.token()
    monkeypatch.setenv("PAGE_TOKEN", "short")
    with pytest.raises(ConfigError, match="has 5 characters") as caught:
        settings.token()
    assert "short" not in str(caught.value)
    monkeypatch.setenv("PAGE_TOKEN", TOKEN)
    assert settings.token() == TOKEN
    assert ServeSettings().token() == ""


@pytest.mark.parametrize("values", [{"bind": "8080"}, {"hosts": ["http://x"]}, {"hosts": ["*"]}, {"live_rate": 0}])
def test_settings_that_cannot_be_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServeSettings(**values)


@contextmanager
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_an_address_that_is_taken_is_told_in_one_line() -> None:
    with taken() as port, pytest.raises(OutputError, match=rf"cannot serve at 127\.0\.0\.1:{port}: .*in use") as caught:
        listen(Bind("127.0.0.1", port))
    assert caught.value.exit_code == 2


def test_closing_frees_the_address_and_ends_the_threads() -> None:
    with Site(None) as site:
        address = ("127.0.0.1", site.port)
        assert site.ask("/healthz")[0] == 200
    with socket.create_server(address):
        pass
