"""From what the user named to the videos of an archive, each with a name of its own and a fingerprint."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from tracker.batch.remote import digest as remote_digest
from tracker.batch.remote import expand, is_remote, masked_place, name_of
from tracker.capture.masking import mask_credentials
from tracker.errors import SourceError, UsageError

SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".vob", ".wmv", ".flv",
     ".3gp", ".ogv", ".mxf", ".dav", ".asf")
)  # fmt: skip
"""Of the files of a folder, those taken for videos; a file that is named itself may have any."""
ENDS_BYTES = 1 << 20
LONGEST_NAME = 200  # bytes: file systems allow 255, and ".partial.parquet" is to follow
RESERVED = (".partial", ".replaced", ".parquet", ".pictures")
"""Ends of names that mean something else in an archive's folders."""


@dataclass(frozen=True)
class Video:
    """One input.

    Attributes:
        name: what its outputs are named by; unique in the archive.
        path: where it lies; of a remote one, its name until it is fetched.
        url: of a remote one, else "".
    """

    name: str
    path: Path
    url: str = ""

    @property
    def place(self) -> str:
        """Path, or address without secrets: what it is known again by."""
        return masked_place(self.url) if self.url else str(self.path)

    @classmethod
    def at(cls, name: str, place: str) -> Video:
        """Of a path or an address, which may be a masked one."""
        return cls(name, Path(name_of(place)), place) if is_remote(place) else cls(name, Path(place))


@dataclass(frozen=True)
class Fingerprint:
    """What a file was when it was first seen. Two files with one `digest` and `size` count as the same."""

    size: int
    modified_ns: int
    digest: str


def fingerprint(video: Video, *, whole: bool = False) -> Fingerprint:
    """SHA-256 of the first and the last MiB, or of the whole file.

    Raises:
        SourceError: it cannot be read.
    """
    kind = "all:" if whole else "ends:"
    if video.url:
        size, sha = remote_digest(video.url, ENDS_BYTES, whole=whole)
        return Fingerprint(size, 0, kind + sha)
    path, digest = video.path, hashlib.sha256()
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            if whole:
                while chunk := file.read(ENDS_BYTES):
                    digest.update(chunk)
            else:
                digest.update(file.read(ENDS_BYTES))
                file.seek(max(stat.st_size - ENDS_BYTES, 0))
                digest.update(file.read(ENDS_BYTES))
    except OSError as error:
        raise SourceError(f"'{path}' cannot be read: {error.strerror or error}") from None
    return Fingerprint(stat.st_size, stat.st_mtime_ns, kind + digest.hexdigest())


def untouched(video: Video, before: Fingerprint) -> bool:
    """Whether a file has the size and the time of change that it had."""
    if video.url:
        return False
    try:
        stat = video.path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (before.size, before.modified_ns)


def find_videos(inputs: Sequence[str], output: Path) -> list[Video]:
    """The videos of files, folders (with their subfolders) and globs, in a steady order, each once.

    What lies in `output` is none: it may be inside a folder that is named.

    Raises:
        UsageError: an input that is not there, a name that is no text, or no video at all.
    """
    found: dict[str, str] = {}  # path or address -> its place below the input that named it
    inside = output.resolve()
    for text in inputs:
        if is_remote(text):
            for url, place in expand(text, has_suffix):
                found.setdefault(url, place)
            continue
        for path, place in _expand(text):
            resolved = path.resolve()
            _check_text(resolved)
            if not resolved.is_relative_to(inside):
                found.setdefault(str(resolved), place)
    if not found:
        shown = ", ".join(f"'{mask_credentials(text)}'" for text in inputs[:3])
        raise UsageError(f"no video in {shown}; wanted video files, folders of them, or globs such as 'clips/*.mp4'")
    where = sorted(found, key=lambda one: (found[one], one))
    masked = Counter(masked_place(one) for one in where if is_remote(one))
    if twice := [place for place, count in masked.items() if count > 1]:
        raise UsageError(f"{twice[0]} is several videos that differ only in secrets; annotate each into its own folder")
    return [Video.at(name, one) for name, one in zip(_names([found[one] for one in where]), where, strict=True)]


def _expand(text: str) -> Iterable[tuple[Path, str]]:
    """Paths of one input with their places below it. Raises UsageError."""
    path = Path(text)
    if path.is_dir():
        walk = os.walk(path, followlinks=False, onerror=_refuse_folder)
        below = (Path(folder, name) for folder, _, names in walk for name in names)
        return [(one, one.relative_to(path).as_posix()) for one in below if _is_video(one)]
    if path.exists():
        return [(path, path.name)]
    if glob.has_magic(text):
        return [(Path(one), Path(one).name) for one in glob.glob(text, recursive=True) if _is_video(Path(one))]
    raise UsageError(f"no such file or folder: '{text}'; check the path")


def _check_text(path: Path) -> None:
    """Raise UsageError where a name is not UTF-8: neither the manifest nor an export could hold it."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"{str(path)!a} has a name that is not UTF-8; rename it") from None


def _refuse_folder(error: OSError) -> None:
    """Raise UsageError: the videos of a folder that cannot be listed would be missing without a word."""
    raise UsageError(f"'{error.filename}' cannot be listed: {error.strerror}; check its rights")


def _is_video(path: Path) -> bool:
    """Whether a file of a folder is taken."""
    return has_suffix(path) and path.is_file()


def has_suffix(path: PurePath) -> bool:
    """Whether it is called like a video. Hidden files, such as the `._x.mp4` of macOS, are not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _names(places: Sequence[str]) -> list[str]:
    """A name of its own for each place: its stem, with as much of the folders and the suffix as it takes."""
    stems = [Path(place).stem for place in places]
    folders = ["__".join(Path(place).with_suffix("").parts) for place in places]
    full = ["__".join(Path(place).parts) for place in places]
    stems, folders, full = ([_usable(name) for name in column] for column in (stems, folders, full))
    names = list(stems)
    for longer in (folders, full):
        # Some file systems take upper for lower case.
        taken = Counter(name.casefold() for name in names)
        names = [more if taken[name.casefold()] > 1 else name for name, more in zip(names, longer, strict=True)]
    used: set[str] = set()
    for k, name in enumerate(names):
        number, unique = 2, name
        while unique.casefold() in used:
            unique, number = f"{name}~{number}", number + 1
        names[k] = unique
        used.add(unique.casefold())
    return names


def _usable(name: str) -> str:
    """The name as one of files, in which none of the archive's own files can be meant."""
    name = "".join(letter if letter.isprintable() else "_" for letter in name)
    if name.casefold().endswith(RESERVED):
        stem, _, end = name.rpartition(".")
        name = f"{stem}_{end}"
    whole = name.encode("utf-8")
    if len(whole) <= LONGEST_NAME:
        return name
    return f"{whole[: LONGEST_NAME - 9].decode('utf-8', 'ignore')}~{hashlib.sha256(whole).hexdigest()[:8]}"
