"""The page: files of the package, read once, known by their addresses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from starlette.datastructures import Headers
from starlette.responses import Response

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
PAGE, LOGIN, STYLE, ICON = "index.html", "login.html", "style.css", "icon.svg"
SCRIPTS = ("app.js", "wall.js", "live.js", "plots.js", "events.js", "format.js")
FAILED, NOT_IT = b'<p id="failed" role="alert" hidden>', b"This is not the token."


@dataclass(frozen=True)
class Asset:
    """A file in memory."""

    content: bytes
    media_type: str
    tag: str

    def answer(self, headers: Headers, status: int = 200, **more: str) -> Response:
        """It, or that the browser has it already."""
        cached = {"etag": self.tag, "cache-control": "no-cache"} | {k.replace("_", "-"): v for k, v in more.items()}
        if status == 200 and headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=cached)
        return Response(self.content, status, cached, self.media_type)


def load_assets() -> dict[str, Asset]:
    """All files by name; "failed.html" is the login page after a wrong token, "wait.html" after too many."""
    folder = files("tracker.monitor.web").joinpath("page")
    contents = {name: folder.joinpath(name).read_bytes() for name in (PAGE, LOGIN, STYLE, ICON, *SCRIPTS)}
    contents["failed.html"] = contents[LOGIN].replace(FAILED, FAILED.replace(b" hidden", b""))
    contents["wait.html"] = contents["failed.html"].replace(NOT_IT, b"Too many wrong tokens. Wait a minute.")
    return {name: _asset(name, content) for name, content in contents.items()}


def _asset(name: str, content: bytes) -> Asset:
    """With its tag."""
    return Asset(content, MEDIA_TYPES[name.rpartition(".")[2]], f'"{hashlib.sha256(content).hexdigest()[:20]}"')
