"""The application: the table as routes, behind the guards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from urllib.parse import parse_qs, parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tracker.monitor.web.api import API
from tracker.monitor.web.auth import Login
from tracker.monitor.web.openapi import openapi
from tracker.monitor.web.operations import Call, Operation, Refused, said
from tracker.monitor.web.pages import PAGES
from tracker.monitor.web.security import LARGEST_BODY, Guard, SecurityHeaders, refusal
from tracker.monitor.web.service import Service

BODY_S = 10.0
OPERATIONS: tuple[Operation[Service], ...] = (*PAGES, *API)
WORDS = {404: "there is nothing at this address", 405: "this address does not take that method"}


def make_app(service: Service, hosts: Sequence[str] = ()) -> ASGIApp:
    """The application of a service; `hosts`: names by which it may be reached, see `Guard`."""
    service.document = openapi(OPERATIONS)
    by_path: dict[str, dict[str, Operation[Service]]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    routes = [
        Route(path, partial(_answer, service, methods), methods=list(methods)) for path, methods in by_path.items()
    ]
    starlette = Starlette(routes=routes, exception_handlers={HTTPException: _no_route})
    # Addresses with a slash too many are wrong, not to be guessed.
    starlette.router.redirect_slashes = False
    public = [operation.path for operation in OPERATIONS if operation.public]
    return SecurityHeaders(Guard(Login(starlette, service.gate, public), hosts))


async def _answer(service: Service, operations: dict[str, Operation[Service]], request: Request) -> Response:
    """Check a request, have it answered in a thread, and turn whatever goes wrong into an answer."""
    operation = operations["GET" if request.method == "HEAD" else request.method]
    try:
        query = operation.parameters(_query(request))
        call = Call(request.path_params, query, await _body(operation, request), request.headers)
        return await run_in_threadpool(operation.handle, service, call)
    except Refused as error:
        return refusal(error.status, str(error))
    except ClientDisconnect:
        return refusal(400, "the connection was closed")
    except Exception as error:
        said = f"{operation.method} {operation.path} failed: {type(error).__name__}: {error}"
        service.journal.tell("web", said, level="error")
        return refusal(500, "a fault of the service; its log says more")


def _query(request: Request) -> dict[str, list[str]]:
    """Parameters as they came. Raises Refused."""
    try:
        return parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise Refused(400, "too many parameters") from None


async def _body(operation: Operation[Service], request: Request) -> BaseModel | dict[str, str] | None:
    """The body of a request, checked. Raises Refused, ClientDisconnect."""
    if operation.body is None and not operation.form:
        return None
    wanted = "application/json" if operation.body is not None else "application/x-www-form-urlencoded"
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != wanted:
        raise Refused(415, f"the body must be {wanted}")
    try:
        content = await asyncio.wait_for(_read(request), BODY_S)
    except asyncio.TimeoutError:
        raise Refused(408, f"the body did not come within {BODY_S:g} s") from None
    if operation.body is None:
        return _form(operation, content)
    try:
        return operation.body.model_validate_json(content)
    except ValidationError as error:
        raise Refused(400, said(error, list(operation.body.model_fields))) from None


async def _read(request: Request) -> bytes:
    """All of it, or Refused where that is too much."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > LARGEST_BODY:
            raise Refused(413, f"a body must not be larger than {LARGEST_BODY} bytes")
    return bytes(content)


def _form(operation: Operation[Service], content: bytes) -> dict[str, str]:
    """Fields of a form, each once. Raises Refused."""
    try:
        fields = parse_qsl(content.decode("utf-8"), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        fields = []
    if sorted(name for name, _ in fields) != sorted(operation.form):
        raise Refused(400, f"a form with {', '.join(operation.form)} is wanted")
    return dict(fields)


async def _no_route(request: Request, error: Exception) -> Response:
    """There is nothing, or not by this method."""
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, WORDS.get(error.status_code, error.detail), dict(error.headers or {}))
