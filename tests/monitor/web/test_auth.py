"""Who is let in."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from tests.monitor.web.site import TOKEN, Site
from tracker.monitor.web.auth import SESSION_S, Gate

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OURS = {"Sec-Fetch-Site": "same-origin"}


def log_in(site: Site, token: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    sent = {"Authorization": "", "Origin": f"http://127.0.0.1:{site.port}"} | FORM | headers
    return site.ask("/login", "POST", urlencode({"token": token}).encode(), sent)


def test_nothing_of_use_is_given_without_a_token(locked: Site) -> None:
    for path in ("/api/status", "/metrics", "/api/openapi.json", "/app.js", "/api/cameras/gate/live", "/api/none"):
        for shown in ("", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN):
            status, headers, content = locked.ask(path, headers={"Authorization": shown})
            assert status in (401, 429), path
            assert TOKEN.encode() not in content
            assert status == 429 or headers["www-authenticate"].startswith("Bearer")
        assert b"gate" not in content
    assert locked.ask("/api/cameras/gate/pause", "POST", headers={"Authorization": ""})[0] in (401, 429)
    assert locked.supervisor.camera("gate").status()["state"] == "up"


def test_the_token_opens_whatever_came_before(locked: Site) -> None:
    for _ in range(12):
        locked.ask("/api/status", headers={"Authorization": "Bearer wrong"})
    status, headers, _ = locked.ask("/api/status", headers={"Authorization": "Bearer wrong"})
    assert (status, headers["retry-after"]) == (429, "60")
    assert locked.ask("/api/status")[0] == 200
    assert locked.json("/api/status")["login"]


def test_probes_and_the_login_page_are_for_everybody(locked: Site) -> None:
    nobody = {"Authorization": ""}
    assert locked.ask("/healthz", headers=nobody)[0] == 200
    assert locked.ask("/readyz", headers=nobody)[0] == 200
    assert locked.ask("/style.css", headers=nobody)[0] == 200
    status, headers, _ = locked.ask("/", headers=nobody)
    assert (status, headers["location"]) == (303, "/login")
    status, headers, _ = locked.ask("/login", headers=nobody)
    assert (status, headers["referrer-policy"]) == (200, "same-origin")


def test_a_browser_logs_in_and_out(locked: Site) -> None:
    status, headers, _ = log_in(locked, TOKEN)
    cookie = headers["set-cookie"]
    assert (status, headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    shown = {"Authorization": "", "Cookie": cookie.partition(";")[0]}
    assert locked.ask("/api/status", headers=shown)[0] == 200
    assert locked.ask("/", headers=shown)[0] == 200
    status, headers, _ = locked.ask("/logout", "POST", headers=shown | OURS)
    assert status == 303
    assert "Max-Age=0" in headers["set-cookie"]


def test_cookies_of_others_do_not_lock_out(locked: Site) -> None:
    ours = log_in(locked, TOKEN)[1]["set-cookie"].partition(";")[0]
    name, _, value = ours.partition("=")
    for shown, status in (
        (f'theirs={{"a": "b"}}; {ours}', 200), (f"=; \x7f; {ours}; also", 200), (f'{name}="{value}"', 200),
        (f"{name}x={value}", 401), (f"{name}=", 401), (name, 401),
    ):  # fmt: skip
        assert locked.ask("/api/status", headers={"Authorization": "", "Cookie": shown})[0] == status, shown


def test_behind_tls_the_cookie_stays_there(locked: Site) -> None:
    host = f"127.0.0.1:{locked.port}"
    assert "Secure" in log_in(locked, TOKEN, Origin=f"https://{host}")[1]["set-cookie"]


def test_a_wrong_token_is_told_on_the_page(locked: Site) -> None:
    status, headers, content = log_in(locked, "wrong")
    assert status == 401
    assert b'<p id="failed" role="alert">' in content
    assert "set-cookie" not in headers
    for _ in range(12):
        status, headers, content = log_in(locked, "wrong")
    assert (status, headers["content-type"]) == (429, "text/html; charset=utf-8")
    assert b"Wait a minute" in content
    assert log_in(locked, TOKEN)[0] == 303, "whoever knows it is not kept out"


@pytest.mark.parametrize("body", [b"", b"token=a&token=b", b"other=1", b"token=%ff%fe&x", b"\xff\xfe", b"&" * 1000])
def test_a_login_that_is_none_is_refused(locked: Site, body: bytes) -> None:
    status, _, content = locked.ask("/login", "POST", body, FORM)
    assert status == 400
    assert json.loads(content)["error"]


def test_a_session_ends_and_is_bound_to_the_token() -> None:
    now = [1_700_000_000.0]
    gate = Gate(TOKEN, "c", wall=lambda: now[0])
    session = gate.session()
    assert gate.is_session(session)
    assert Gate(TOKEN, "c", wall=lambda: now[0]).is_session(session), "it outlives a restart"
    assert not Gate(TOKEN + "2", "c", wall=lambda: now[0]).is_session(session)
    end, _, mac = session.partition(".")
    for forged in (f"{int(end) + 1}.{mac}", f"{end}.", f"{end}", "", ".", f"{end}.{mac}0", f"9{end}.{mac}", "ü.ü"):
        assert not gate.is_session(forged), forged
    now[0] += SESSION_S + 1
    assert not gate.is_session(session)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "https://127.0.0.1:{port}"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example:{port}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "file://"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_another_page_changes_nothing(standing: Site, headers: dict[str, str], status: int) -> None:
    sent = {name: value.replace("{port}", str(standing.port)) for name, value in headers.items()}
    assert standing.ask("/api/cameras/gate/resume", "POST", headers=sent)[0] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "http://evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null", "Sec-Fetch-Mode": "navigate"}, 403),
    ],
)
def test_another_page_may_link_here_and_load_nothing(standing: Site, headers: dict[str, str], status: int) -> None:
    for path in ("/", "/api/status", "/api/cameras/gate/picture"):
        assert standing.ask(path, headers=headers)[0] == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:9999", 200), ("localhost:8080", 200), ("LOCALHOST", 200), ("[::1]:80", 200),
        ("192.168.1.7", 200), ("evil.example", 421), ("evil.example:8080", 421), ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421), ("", 421), ("[::1", 421), ("a b", 421), ("user@localhost.evil", 421),
    ],
)  # fmt: skip
def test_a_name_that_was_rebound_is_not_served(standing: Site, host: str, status: int) -> None:
    assert standing.ask("/api/status", headers={"Host": host})[0] == status


def test_names_of_ones_own_are_served() -> None:
    with Site(None, hosts=("cams.example.org",)) as site:
        assert site.ask("/api/status", headers={"Host": "Cams.example.org"})[0] == 200
