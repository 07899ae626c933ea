"""The page, log in and out, probes, metrics, the OpenAPI document: the rest of the table."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import JSONResponse, RedirectResponse, Response

from tracker.monitor.web.assets import ICON, LOGIN, MEDIA_TYPES, PAGE, SCRIPTS, STYLE
from tracker.monitor.web.auth import SESSION_S
from tracker.monitor.web.operations import Answer, Call, Operation
from tracker.monitor.web.schemas import Health
from tracker.monitor.web.service import Service

PLAIN_TEXT = "text/plain"


def asset(name: str, *, public: bool = False) -> Operation[Service]:
    """The operation that gives a file of the page."""
    path = "/" if name == PAGE else f"/{name}"
    kind = MEDIA_TYPES[name.rpartition(".")[2]].partition(";")[0]
    answers = {200: Answer("a file", media_type=kind), 304: Answer("as the browser has it")}

    def answer(service: Service, call: Call) -> Response:
        return service.assets[name].answer(call.headers)

    return Operation("GET", path, answer, f"Page: {name}", answers, public=public)


def ask(service: Service, call: Call) -> Response:
    """The login page. Browsers keep back the origin of a form where the policy is no-referrer."""
    if not service.gate.closed:
        return RedirectResponse("/", 303)
    return service.assets[LOGIN].answer(call.headers, referrer_policy="same-origin")


def log_in(service: Service, call: Call) -> Response:
    """A session for who knows the token."""
    gate = service.gate
    if not gate.closed:
        return RedirectResponse("/", 303)
    if not gate.is_token(call.body["token"]):
        page, status = ("wait.html", 429) if gate.too_many() else ("failed.html", 401)
        return service.assets[page].answer(call.headers, status, referrer_policy="same-origin")
    answer = RedirectResponse("/", 303)
    encrypted = urlsplit(call.headers.get("origin", "")).scheme == "https"  # also behind a proxy
    answer.set_cookie(
        gate.cookie, gate.session(), max_age=int(SESSION_S), httponly=True, samesite="strict", secure=encrypted
    )
    return answer


def log_out(service: Service, call: Call) -> Response:
    """Forget the session in this browser."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(service.gate.cookie, httponly=True, samesite="strict")
    return answer


def healthz(service: Service, call: Call) -> Response:
    """Whether the supervisor lives, whatever the cameras do."""
    why = service.trouble()
    return JSONResponse({"ok": not why, "why": why}, 503 if why else 200)


def readyz(service: Service, call: Call) -> Response:
    """Whether something is watched. Names of cameras are not for everybody, so none are in it."""
    why = service.trouble()
    states = [camera["state"] for camera in service.status()["cameras"].values()]
    if not why and "up" not in states:
        counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        why = f"no camera is up: {counts}" if states else "there is no camera"
    return JSONResponse({"ok": not why, "why": why}, 503 if why else 200)


def metrics(service: Service, call: Call) -> Response:
    """Figures for Prometheus."""
    text, kind = service.metrics.text(call.headers.get("accept", ""))
    return Response(text, headers={"content-type": kind})


def document(service: Service, call: Call) -> Response:
    """What all this is."""
    return JSONResponse(service.document)


PAGES: tuple[Operation[Service], ...] = (
    asset(PAGE), asset(STYLE, public=True), asset(ICON, public=True), *(asset(name) for name in SCRIPTS),
    Operation("GET", "/login", ask, "Page: log in",
              {200: Answer("a form", media_type="text/html"), 303: Answer("no token is wanted"),
               304: Answer("as the browser has it")}, public=True),
    Operation("POST", "/login", log_in, "Log in with the token",
              {303: Answer("to the page, with a cookie"), 401: Answer("the form again", media_type="text/html"),
               429: Answer("the form again: wait a minute", media_type="text/html")}, form=("token",), public=True),
    Operation("POST", "/logout", log_out, "Log out in this browser", {303: Answer("to the login page")}),
    Operation("GET", "/healthz", healthz, "Whether the supervisor lives, whatever the cameras do",
              {200: Answer("it lives", Health), 503: Answer("the detector is gone", Health)}, public=True),
    Operation("GET", "/readyz", readyz, "Whether the detector is loaded and a camera is up",
              {200: Answer("it watches", Health), 503: Answer("why not", Health)}, public=True),
    Operation("GET", "/metrics", metrics, "Figures for Prometheus",
              {200: Answer("text or OpenMetrics, as asked for", media_type=PLAIN_TEXT)}),
    Operation("GET", "/api/openapi.json", document, "This document",
              {200: Answer("OpenAPI 3.1", media_type="application/json")}),
)  # fmt: skip
