"""The OpenAPI 3.1 document, made from the table that the routes are made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tracker import __version__
from tracker.monitor.web.operations import Answer, Operation, Parameter
from tracker.monitor.web.schemas import Problem

IN_BRACES = re.compile(r"\{(\w+)\}")
REFUSALS = {
    "400": "the request is malformed; the answer says how",
    "401": "a token is wanted",
    "403": "a browser sent this for another page",
    "408": "the body did not come",
    "413": "the body is too large",
    "415": "the body is of another type than wanted",
    "421": "the name in the header Host is not served here",
    "429": "too many wrong tokens",
    "431": "the headers are too large",
    "500": "a fault of the service",
}
BODY_ONLY, CLOSED_ONLY = ("408", "415"), ("401", "429")


def openapi(operations: Sequence[Operation[Any]]) -> dict[str, Any]:
    """The document."""
    models: set[type[BaseModel]] = {Problem}
    for operation in operations:
        models |= {answer.body for answer in operation.answers.values() if answer.body is not None}
        models |= {operation.body} if operation.body is not None else set()
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tracker monitor", "version": __version__,
            "description": "Every refusal is JSON with the field 'error'. HEAD is answered wherever GET is.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }  # fmt: skip


def _described(operation: Operation[Any]) -> dict[str, Any]:
    """One operation."""
    found: dict[str, Any] = {"summary": operation.text, "operationId": _id(operation), "responses": _answers(operation)}
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in IN_BRACES.findall(operation.path)
    ]
    in_query = [
        {
            "name": each.name, "in": "query", "required": each.required, "description": each.text,
            "schema": each.adapter.json_schema() | _default(each),
        }
        for each in operation.query
    ]  # fmt: skip
    if in_path or in_query:
        found["parameters"] = in_path + in_query
    if operation.public:
        found["security"] = [{}]
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(operation.body)}}}
    if operation.form:
        schema = {
            "type": "object", "required": list(operation.form), "additionalProperties": False,
            "properties": {name: {"type": "string"} for name in operation.form},
        }  # fmt: skip
        content = {"application/x-www-form-urlencoded": {"schema": schema}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _default(parameter: Parameter) -> dict[str, Any]:
    """Of its schema."""
    return {} if parameter.required or parameter.default is None else {"default": parameter.default}


def _answers(operation: Operation[Any]) -> dict[str, Any]:
    """By status, the refusals that are possible included."""
    takes = operation.body is not None or bool(operation.form)
    left_out = {
        *(() if takes else BODY_ONLY),
        *(CLOSED_ONLY if operation.public and not operation.form else ()),
    }
    refusals = {status: text for status, text in REFUSALS.items() if status not in left_out}
    found = {status: _answer(Answer(text, Problem)) for status, text in refusals.items()}
    own = {str(status): _answer(_with_problem(status, answer)) for status, answer in operation.answers.items()}
    return dict(sorted((found | own).items()))


def _with_problem(status: int, answer: Answer) -> Answer:
    """A refusal says why."""
    plain = status < 400 or answer.body is not None or answer.media_type
    return answer if plain else Answer(answer.text, Problem)


def _answer(answer: Answer) -> dict[str, Any]:
    """One answer."""
    if answer.body is not None:
        return {"description": answer.text, "content": {"application/json": {"schema": _ref(answer.body)}}}
    if answer.media_type:
        return {"description": answer.text, "content": {answer.media_type: {}}}
    return {"description": answer.text}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    """Where a model is."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _id(operation: Operation[Any]) -> str:
    """A name for generated clients: getCamerasNameLive."""
    words = re.findall(r"[A-Za-z0-9]+", operation.path.removeprefix("/api"))
    return operation.method.lower() + "".join(word[:1].upper() + word[1:] for word in words or ["page"])
