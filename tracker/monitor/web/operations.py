"""What one route is: the table of the API consists of these, and routes and OpenAPI document are made from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.datastructures import Headers
from starlette.responses import Response

from tracker.config import nearest

S = TypeVar("S")
REQUIRED = object()
PART = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Refused(Exception):
    """An answer of 4xx or 503; the message is one line and never quotes a secret."""

    def __init__(self, status: int, message: str) -> None:
        """`status`: of HTTP."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query; what a request says twice, or what is not in the table, is refused.

    Attributes:
        name, text: for people.
        kind: its type, with limits.
        default: where the request does not say; None: left out; REQUIRED: it must say.
    """

    name: str
    kind: Any
    text: str
    default: Any = None

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Checks a value."""
        return TypeAdapter(self.kind)

    @property
    def required(self) -> bool:
        """Whether the request must say."""
        return self.default is REQUIRED

    def of(self, texts: Sequence[str]) -> Any:
        """The value, of what the request says: at most once. Raises Refused."""
        if not texts and self.required:
            raise Refused(400, f"{self.name}: is wanted")
        if not texts:
            return self.default
        try:
            return self.adapter.validate_python(texts[0])
        except ValidationError as error:
            raise Refused(400, f"{self.name}: {said(error)}") from None


@dataclass(frozen=True)
class Answer:
    """One possible answer.

    Attributes:
        text: for people.
        body: model of a JSON body; None where it is something else or nothing.
        media_type: of what is no JSON, "" where there is no body.
    """

    text: str
    body: type[BaseModel] | None = None
    media_type: str = ""


@dataclass(frozen=True)
class Call:
    """A request whose path, query and body have been checked.

    Attributes:
        path: parameters of the path.
        query: every parameter of the operation, by name.
        body: the model, the fields of a form, or None where the operation takes none.
        headers: as they came.
    """

    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    headers: Headers


@dataclass(frozen=True)
class Operation(Generic[S]):
    """A method of a path.

    Attributes:
        method, path: of HTTP; parts of the path in braces are parameters.
        handle: answers; runs in a thread, may raise Refused.
        text: one line for people.
        answers: by status, beside the refusals that every operation may give.
        query: its parameters.
        body: model of the JSON that it takes.
        form: names of the fields of the form that it takes instead.
        public: for everybody, without a token.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handle: Callable[[S, Call], Response]
    text: str
    answers: Mapping[int, Answer]
    query: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    form: tuple[str, ...] = field(default=())
    public: bool = False

    def parameters(self, asked: Mapping[str, list[str]]) -> dict[str, Any]:
        """Values of all parameters. Raises Refused."""
        known = [each.name for each in self.query]
        for name in asked:
            if name not in known:
                hint = f"; known: {', '.join(known)}" if known else ""
                raise Refused(400, f"this address does not take that parameter{hint}")
            if len(asked[name]) > 1:
                raise Refused(400, f"{name}: given twice")
        return {each.name: each.of(asked.get(each.name, [])) for each in self.query}


def said(error: ValidationError, known: Sequence[str] = ()) -> str:
    """What is wrong, in one line, without what came: it may be a password. `known`: keys on the highest level."""
    first = min(error.errors(include_input=False), key=lambda each: each["type"] != "extra_forbidden")
    place = ".".join(str(part) if PART.fullmatch(str(part)) else "?" for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        return f"unknown key, {nearest(place, list(known))}" if known and len(first["loc"]) == 1 else "unknown key"
    message = first["msg"].removeprefix("Value error, ")
    return " ".join(f"{f'{place}: ' if place else ''}{message[:1].lower()}{message[1:]}".split())
