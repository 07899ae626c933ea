"""Videos of object stores and other servers, through fsspec: `s3://`, `gs://`, `https://`, whatever is installed.

A video is fetched when its turn comes and removed when it is done: decoding jumps about in it, and a worker that is
killed goes on with the file that is there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from tracker.capture.masking import mask_credentials
from tracker.errors import RequirementError, SourceError, UsageError, WriteError

SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*(::[a-zA-Z0-9+.-]+)*://")
MASK = "***"
PIECE = 1 << 20  # bytes
MAGIC = re.compile(r"[*?\[]")


def is_remote(text: str) -> bool:
    """Whether an input is an address rather than a path."""
    return bool(SCHEME.match(text))


def expand(text: str, is_video: Callable[[PurePosixPath], bool]) -> list[tuple[str, str]]:
    """Addresses of the videos that an address means (a file, a folder, a glob) with their places below it.

    Args:
        text: the address. is_video: tells by a file's name whether a folder's file is one.

    Raises:
        RequirementError: fsspec, or its part for this kind of store, is not installed.
        UsageError: nothing there.
    """
    files, path = connect(text)
    try:
        if MAGIC.search(path):
            found = [one for one in files.glob(path) if is_video(PurePosixPath(one))]
        elif files.isfile(path):
            return [(files.unstrip_protocol(path), name_of(files.unstrip_protocol(path)))]
        else:
            found = [one for one in files.find(path) if is_video(PurePosixPath(one))]
    except Exception as error:  # each store has errors of its own
        raise UsageError(f"'{mask_credentials(text)}' cannot be listed: {line_of(error)}") from None
    root = path.rstrip("/") + "/"
    return [(files.unstrip_protocol(one), one.removeprefix(root)) for one in sorted(found)]


def within(url: str, folder: str) -> bool:
    """Whether an address lies in the folder that another one (or a path) names, or where its glob looks."""
    (files, path), (others, root) = connect(url), connect(folder)
    if magic := MAGIC.search(root):
        root = root[: magic.start()].rpartition("/")[0]
    return type(files) is type(others) and f"{path.rstrip('/')}/".startswith(f"{root.rstrip('/')}/")


def masked_place(url: str) -> str:
    """An address without secrets. With one in it the whole query goes: what is signed anew has another date, too."""
    masked = mask_credentials(url)
    head, mark, query = masked.partition("?")
    return f"{head}?{MASK}" if mark and MASK in query else masked


def name_of(url: str) -> str:
    """The file's name in an address; the signature or token behind it is not for file names, exports and messages."""
    if url.startswith(("http://", "https://")):
        url = re.split(r"[?#]", url)[0]
    return PurePosixPath(url).name


def digest(url: str, ends: int, *, whole: bool) -> tuple[int, str]:
    """Size and SHA-256 of the first and the last `ends` bytes, or of all. Raises SourceError, RequirementError."""
    if MASK in url:
        raise SourceError(f"'{url}' has secrets, which are not kept: name it as an input again")
    files, path = connect(url)
    sha = hashlib.sha256()
    try:
        with files.open(path, "rb") as file:
            size = int(files.size(path))
            if whole:
                while piece := file.read(PIECE):
                    sha.update(piece)
            else:
                sha.update(file.read(ends))
                file.seek(max(size - ends, 0))
                sha.update(file.read(ends))
    except Exception as error:
        raise SourceError(f"'{mask_credentials(url)}' cannot be read: {line_of(error)}") from None
    return size, sha.hexdigest()


@contextmanager
def fetched(url: str, target: Path, *, keep: bool = False) -> Iterator[Path]:
    """The video as the local file `target` while the block runs; one that is there whole is not fetched again.

    keep: leave it there for the next one.

    Raises:
        SourceError: it cannot be read. WriteError: it cannot be kept. RequirementError: see `expand`.
    """
    files, path = connect(url)
    partial = target.with_name(f"{target.name}.partial")
    if not target.is_file():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            out = partial.open("wb")
        except OSError as error:
            raise WriteError(f"{target} could not be written: {error.strerror}") from error
        with out:
            _copy(files, path, url, out, target)
        partial.replace(target)
    try:
        yield target
    finally:
        if not keep:
            target.unlink(missing_ok=True)
            with suppress(OSError):  # others are still there
                target.parent.rmdir()


def _copy(files: Any, path: str, url: str, out: Any, target: Path) -> None:
    """Bytes from there to here. Raises SourceError, WriteError."""
    try:
        source = files.open(path, "rb")
    except Exception as error:
        raise SourceError(f"'{mask_credentials(url)}' cannot be read: {line_of(error)}") from None
    with source:
        while True:
            try:
                piece = source.read(PIECE)
            except Exception as error:
                raise SourceError(f"'{mask_credentials(url)}' cannot be read: {line_of(error)}") from None
            if not piece:
                return
            try:
                out.write(piece)
            except OSError as error:
                raise WriteError(f"{target} could not be written: {error.strerror}") from error


def connect(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it. Raises RequirementError, UsageError."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise RequirementError("addresses such as s3:// need fsspec: pip install 'tracker[annotate]'") from None
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        raise RequirementError(f"'{mask_credentials(url)}': {line_of(error)}") from None
    except Exception as error:
        raise UsageError(f"'{mask_credentials(url)}' is no address that can be read: {line_of(error)}") from None
    return files, str(path)


def line_of(error: BaseException) -> str:
    """An error on one line, without passwords."""
    return mask_credentials(" ".join(str(error).split())[:200] or type(error).__name__)
