"""Download one file: whole and of the right SHA-256 under its name, or not there at all.

Only https, also behind redirects; plain http from this machine itself, for tests. What is there of a download that
broke off is continued, if the server still has the same file. A file without a pinned SHA-256, or with the first digits
of one only, is trusted on first use: what came first is recorded beside it (`<file>.sha256`), and anything else that
comes later under its name is refused.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from engines.lock import locked
from tracker.detect.card import recorded_sha256, sha256_of
from tracker.errors import TrackerError, WriteError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LIMIT_BYTES = 2 << 30
"""Most that is taken where the card does not tell the size."""
PIECE = 1 << 18
TIMEOUT_S = 30.0
TRIES = 5
PARTIAL_CONTENT, NOT_SATISFIABLE = 206, 416

Progress = Callable[[int, int | None], None]


class _CutOff(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True)
class Wanted:
    """What to download.

    Attributes:
        url: https. target: where the file is to be.
        sha256: hexadecimal, or its first digits where no more of it is published; empty: trust on first use.
        size: bytes; 0: not known.
    """

    url: str
    target: Path
    sha256: str = ""
    size: int = 0

    @property
    def partial(self) -> Path:
        """The file while it comes in."""
        return self.target.with_name(f"{self.target.stem}.partial{self.target.suffix}")

    @property
    def mark(self) -> Path:
        """What tells the server's file from another one of the same name: its ETag or date."""
        return self.partial.with_name(f"{self.partial.name}.etag")


def fetch(
    wanted: Wanted, progress: Progress = lambda done, total: None, say: Callable[[str], None] = lambda text: None
) -> bool:
    """Have `wanted.target` there and right; False if it was there already. One process downloads, others wait for it.

    Args:
        progress: called with the bytes there and in all (None: not told).
        say: called with a line on what is waited for.

    Raises:
        TrackerError: another address than https, unreachable, refused, cut off, too large, another SHA-256.
        WriteError: the folder or the file cannot be written.
    """
    check_address(wanted.url, wanted.url)
    try:
        wanted.target.parent.mkdir(parents=True, exist_ok=True)
        lock = wanted.target.with_name(f"{wanted.target.name}.lock")
        with locked(lock, lambda: say(f"another process fetches {wanted.target.name}; waiting for it")):
            known = known_sha256(wanted)
            if known and wanted.target.exists() and sha256_of(wanted.target).startswith(known):
                return False
            _download(wanted, progress)
            _accept(wanted, known)
    except OSError as error:
        raise WriteError(f"{wanted.target} cannot be written: {error.strerror or error}") from None
    return True


def known_sha256(wanted: Wanted) -> str:
    """What is known of the file's SHA-256: all of it if it is pinned or recorded, else its first digits, or nothing."""
    recorded, pinned = recorded_sha256(wanted.target).lower(), wanted.sha256.lower()
    return recorded if recorded.startswith(pinned) else pinned


def check_address(url: str, first: str) -> None:
    """Raise TrackerError unless `url` is https, or http to this machine itself where `first` was that too."""
    parts, start = urlsplit(url), urlsplit(first)
    local = parts.scheme == start.scheme == "http" and {parts.hostname, start.hostname} <= set(LOOPBACK)
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise TrackerError(f"models come over https only, {parts.scheme or 'no'}://{parts.hostname or ''} was given")


class _SafeRedirect(HTTPRedirectHandler):
    """Follows redirects that stay on https."""

    def __init__(self, first: str) -> None:
        self._first = first

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        """Refuse another scheme, else as the base class."""
        check_address(newurl, self._first)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener(url: str) -> OpenerDirector:
    """Follows safe redirects; a proxy of the environment is used, except to reach this machine itself."""
    handlers = [_SafeRedirect(url)]
    return build_opener(*handlers, ProxyHandler({})) if urlsplit(url).hostname in LOOPBACK else build_opener(*handlers)


def _download(wanted: Wanted, progress: Progress) -> None:
    """Bring the partial file to its full length, over several connections if need be."""
    if not _resumable(wanted):
        _discard(wanted)
    for left in reversed(range(TRIES)):
        before = _size(wanted.partial)
        try:
            return _transfer(wanted, progress)
        except _CutOff as cut:
            done = _size(wanted.partial)
            if left == 0 or done <= before:
                reached = f" after {done / 1e6:.1f} MB; the same command continues" if done else ""
                raise TrackerError(f"{wanted.url}: {cut}{reached}") from None


def _resumable(wanted: Wanted) -> bool:
    """Whether the partial file can be told to be the beginning of what the server has, now or in the end."""
    return bool(wanted.sha256) or wanted.mark.exists()


def _transfer(wanted: Wanted, progress: Progress) -> None:
    """One connection: append to the partial file, or begin it anew where the server does not continue it."""
    start = _size(wanted.partial)
    if wanted.size and start == wanted.size:
        return
    request = Request(wanted.url, headers={"User-Agent": "tracker", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if wanted.mark.exists():
            request.add_header("If-Range", wanted.mark.read_text(encoding="ascii"))
    try:
        with _opener(wanted.url).open(request, timeout=TIMEOUT_S) as response:
            _store(response, wanted, start, progress)
    except HTTPError as error:
        error.close()
        if error.code != NOT_SATISFIABLE or not start:
            reason = " ".join(str(error.reason).split())
            raise TrackerError(f"{wanted.url}: the server says {error.code} {reason}") from None
        if error.headers.get("Content-Range", "") != f"bytes */{start}":
            _discard(wanted)
            raise TrackerError(f"{wanted.url}: another file than before; run the same command to begin anew") from None
    except (URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        raise _CutOff(f"cannot be reached: {str(cause) or type(cause).__name__}") from None


def _store(response: HTTPResponse, wanted: Wanted, start: int, progress: Progress) -> None:
    """Write what comes; the partial file then ends where it should."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise TrackerError(f"{wanted.url}: the server sends it packed, which was not asked for")
    if response.status != PARTIAL_CONTENT or not _continues(response, start):
        start = 0
    limit = wanted.size or LIMIT_BYTES
    length = response.headers.get("Content-Length")
    total = start + int(length) if length is not None and length.isdecimal() else None
    if (total or 0) > limit:
        _too_large(wanted, limit)
    tag = response.headers.get("ETag", "")
    mark = response.headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
    wanted.mark.unlink(missing_ok=True)
    done = start
    with wanted.partial.open("r+b" if start else "wb") as file:
        if mark.isascii() and mark:
            wanted.mark.write_text(mark, encoding="ascii")
        file.seek(start)
        while piece := response.read(PIECE):
            done += len(piece)
            if done > limit:
                _too_large(wanted, limit)
            file.write(piece)
            progress(done, total or wanted.size or None)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    if done < (total or wanted.size):
        raise _CutOff("cut off")


def _continues(response: HTTPResponse, start: int) -> bool:
    """Whether the answer begins at this byte, as was asked for."""
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _too_large(wanted: Wanted, limit: int) -> None:
    """Delete what came and say so."""
    _discard(wanted)
    raise TrackerError(f"{wanted.url}: larger than the {limit / 1e6:.1f} MB that were expected; it was deleted")


def _accept(wanted: Wanted, known: str) -> None:
    """Give the whole file its name if it has the known SHA-256; with none known, record the one it has."""
    found = sha256_of(wanted.partial)
    if not found.startswith(known):
        _discard(wanted)
        record = (
            ""
            if known == wanted.sha256.lower()
            else f", which the first download had (recorded in {wanted.target.name}.sha256)"
        )
        raise TrackerError(f"{wanted.url}: SHA-256 is {found}, wanted is {known}{record}; it was deleted")
    if len(known) < len(found):
        record_file = wanted.target.with_name(f"{wanted.target.name}.sha256")
        record_file.write_text(f"{found}  {wanted.target.name}\n", encoding="ascii")
    os.replace(wanted.partial, wanted.target)
    wanted.mark.unlink(missing_ok=True)


def _discard(wanted: Wanted) -> None:
    """Delete what is there of the download."""
    for path in (wanted.partial, wanted.mark):
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
