"""The files of the page."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from tests.monitor.web.site import Site
from tracker.monitor.web.assets import FAILED, NOT_IT, SCRIPTS, load_assets

PAGE = files("tracker.monitor.web").joinpath("page")
ALL = sorted(each.name for each in PAGE.iterdir())


def test_every_file_is_served_and_every_name_used_is_a_file(standing: Site) -> None:
    html = standing.ask("/")[2].decode()
    wanted = set(re.findall(r'(?:href|src)="/([\w.]+)"', html))
    for name in SCRIPTS:
        status, headers, content = standing.ask(f"/{name}")
        assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        wanted |= set(re.findall(r'from "/([\w.]+)"', content.decode()))
    assert wanted | {"index.html", "login.html"} == set(ALL)


def test_the_page_is_light() -> None:
    assert sum(len(PAGE.joinpath(name).read_bytes()) for name in ALL) < 60_000


@pytest.mark.parametrize("name", ALL)
def test_nothing_comes_from_another_host_and_nothing_is_inline(name: str) -> None:
    text = PAGE.joinpath(name).read_text(encoding="utf-8")
    addresses = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
    assert not addresses
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=|javascript:|@import|innerHTML|eval\(", text)


def test_what_the_scripts_look_for_is_in_the_page() -> None:
    html = PAGE.joinpath("index.html").read_text(encoding="utf-8")
    ids = set(re.findall(r'\bid="([\w-]+)"', html))
    for name in SCRIPTS:
        text = PAGE.joinpath(name).read_text(encoding="utf-8")
        assert set(re.findall(r'(?:byId|getElementById)\("([\w-]+)"\)', text)) <= ids
        assert {f"i-{icon}" for icon in re.findall(r'icon\("(\w+)"\)', text)} <= ids


def test_browsers_are_told_to_be_careful(standing: Site) -> None:
    headers = standing.ask("/")[1]
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    for path in ("/none", "/api/status", "/healthz"):
        assert standing.ask(path)[1]["content-security-policy"] == policy
    assert standing.ask("/api/status")[1]["cache-control"] == "no-store"


def test_what_a_browser_has_is_not_sent_again(standing: Site) -> None:
    status, headers, _ = standing.ask("/app.js")
    assert (status, headers["cache-control"]) == (200, "no-cache")
    again, _, content = standing.ask("/app.js", headers={"If-None-Match": headers["etag"]})
    assert (again, content) == (304, b"")


def test_the_login_page_can_say_that_it_failed() -> None:
    assets = load_assets()
    assert FAILED in assets["login.html"].content
    assert FAILED not in assets["failed.html"].content
    assert NOT_IT in assets["failed.html"].content
    assert NOT_IT not in assets["wait.html"].content
