"""Credentials in and out of addresses."""

from __future__ import annotations

import pytest

from tracker.capture import Access, split_credentials


@pytest.mark.parametrize(
    ("address", "split"),
    [
        ("rtsp://h/x", ("rtsp://h/x", "", "")),
        ("rtsp://u:p@h:8554/x?a=b", ("rtsp://h:8554/x?a=b", "u", "p")),
        ("rtsp://u@h/x", ("rtsp://h/x", "u", "")),
        ("rtsp://u:p%40%3A%2F@[::1]:554/x", ("rtsp://[::1]:554/x", "u", "p@:/")),
        ("rtsp://u:p@q@h/x", ("rtsp://h/x", "u", "p@q")),
        ("clips/yard.mp4", ("clips/yard.mp4", "", "")),
        ("rtsp://[::1/x", ("rtsp://[::1/x", "", "")),
    ],
)
def test_credentials_are_taken_out(address: str, split: tuple[str, str, str]) -> None:
    assert split_credentials(address) == split


@pytest.mark.parametrize("password", ["plain", "p@:/?#[]% ü", ""])
def test_what_is_put_in_is_what_is_taken_out(password: str) -> None:
    access = Access("us:er" if password else "user", password)
    url = access.url("rtsp://[::1]:554/x?y=1")
    assert split_credentials(url) == ("rtsp://[::1]:554/x?y=1", access.username, password)


def test_credentials_replace_those_in_the_address_and_show_nowhere() -> None:
    access = Access("u", "hunter2")
    assert access.url("rtsp://a:b@h/x") == "rtsp://u:hunter2@h/x"
    assert Access().url("rtsp://a:b@h/x") == "rtsp://a:b@h/x"
    assert "hunter2" not in repr(access)
