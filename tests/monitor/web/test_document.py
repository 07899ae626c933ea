"""That the OpenAPI document is true."""

from __future__ import annotations

import json
from typing import Any

from starlette.routing import Route

from tests.monitor.web.site import Site
from tracker.monitor.web import app as module


def routes(site: Site) -> set[tuple[str, str]]:
    """What the application really answers, without HEAD."""
    app: Any = site.server._web._server.config.app
    while not hasattr(app, "routes"):
        app = app._app
    found = set()
    for route in app.routes:
        assert isinstance(route, Route)
        found |= {(method, route.path) for method in route.methods or () if method != "HEAD"}
    return found


def test_the_document_lists_exactly_the_routes(standing: Site) -> None:
    document = standing.json("/api/openapi.json")
    listed = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    assert document["openapi"].startswith("3.1.")
    assert listed == routes(standing)
    ids = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(set(ids)) == len(ids)


def test_every_reference_of_the_document_is_there(standing: Site) -> None:
    text = standing.ask("/api/openapi.json")[2].decode()
    schemas_ = json.loads(text)["components"]["schemas"]
    used = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert used <= set(schemas_)
    assert schemas_["NewCamera"]["additionalProperties"] is False


def test_parameters_are_as_the_document_says(standing: Site) -> None:
    document = standing.json("/api/openapi.json")
    limit = next(each for each in document["paths"]["/api/events"]["get"]["parameters"] if each["name"] == "limit")
    assert limit["schema"] | {"type": "integer", "minimum": 1, "maximum": 500, "default": 50} == limit["schema"]
    assert standing.ask("/api/events?limit=500")[0] == 200
    assert standing.ask("/api/events?limit=501")[0] == 400


def test_answers_are_among_those_documented(standing: Site) -> None:
    document = standing.json("/api/openapi.json")
    asked = [
        ("GET", "/", "/"), ("GET", "/login", "/login"), ("GET", "/healthz", "/healthz"),
        ("GET", "/metrics", "/metrics"),
        ("GET", "/api/cameras/{name}", "/api/cameras/none"), ("POST", "/api/reload", "/api/reload"),
        ("GET", "/api/events/{id}", "/api/events/x"), ("POST", "/api/cameras", "/api/cameras"),
        ("GET", "/api/cameras/{name}/picture", "/api/cameras/gate/picture?width=99999"),
    ]  # fmt: skip
    for method, template, path in asked:
        status = standing.ask(path, method)[0]
        assert str(status) in document["paths"][template][method.lower()]["responses"], (method, path, status)


def test_the_table_has_no_path_twice_with_one_method() -> None:
    pairs = [(operation.method, operation.path) for operation in module.OPERATIONS]
    assert len(set(pairs)) == len(pairs)
