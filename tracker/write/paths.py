"""Whether outputs can be written where they are wanted, asked before anything is opened."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tracker.errors import OutputError
from tracker.write.files import PartialFile, partial_path
from tracker.write.originals import in_the_way

FOLDERS = ("--pictures",)
"""Options that name a folder for many files."""


def check_paths(wanted: Mapping[str, Path], *, overwrite: bool, source: str, leftovers: bool = False) -> None:
    """Refuse outputs (option -> path) before anything is opened; touches nothing. `leftovers`: may be replaced.

    Raises:
        OutputError: two outputs of one name, the source itself, a folder that is not there, or a file (or a leftover
            of a killed run) that exists without `overwrite`. A folder of pictures may hold files of other names.
    """
    if len({path.absolute() for path in wanted.values()}) < len(wanted):
        raise OutputError("two outputs have the same name; give each its own")
    for option, path in wanted.items():
        try:
            if option in FOLDERS:
                _check_folder(option, path, _file_of(source) or source, overwrite or leftovers)
                continue
            _check_path(option, path, _file_of(source), overwrite, leftovers)
        except OSError as error:
            raise OutputError(f"{option} {path} cannot be written: {error.strerror}; choose another name") from None


def _file_of(source: str) -> Path | None:
    """The file behind a source, None where it is none."""
    local = source
    if source.startswith("file:"):
        from urllib.request import url2pathname  # 20 ms, for an address that few give

        local = url2pathname(urlsplit(source).path)
    try:
        return Path(local) if Path(local).exists() else None
    except OSError:  # an address too long for a name
        return None


def _check_path(option: str, path: Path, source: Path | None, overwrite: bool, leftovers: bool) -> None:
    """Check one output; raises OutputError or OSError."""
    if source is not None and path.exists() and path.samefile(source):
        raise OutputError(f"{option} {path} is the source itself; choose another name")
    if path.is_dir():
        raise OutputError(f"{option} {path} is a folder; give the name of a file")
    for taken in (path,) if leftovers else (path, partial_path(path)):
        if taken.exists() and not overwrite:
            left = " (left by a run that did not finish)" if taken != path else ""
            raise OutputError(f"{taken} exists{left}; add --overwrite or choose another {option}")
    _check_place(option, path)


def _check_folder(option: str, path: Path, source: str | Path, overwrite: bool) -> None:
    """Check a folder of pictures, whose originals are never replaced; raises OutputError or OSError."""
    if path.exists() and not path.is_dir():
        raise OutputError(f"{option} {path} is a file; give the name of a folder")
    for taken, original in in_the_way(path, source):
        if original is not None and taken.samefile(original):
            raise OutputError(f"{option} {path}: {taken} is the source itself; choose another folder")
        if not overwrite:
            raise OutputError(f"{taken} exists; add --overwrite or choose another folder for {option}")
    _check_place(option, path / "1.jpg")


def _check_place(option: str, path: Path) -> None:
    """Whether a file can be made where `path` is to be. Raises OutputError."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise OutputError(f"{option} {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{option} {path} cannot be written: no permission in the folder {folder}; choose another name"
        )


def make_folders(wanted: Mapping[str, Path]) -> None:
    """Make the folders of all outputs. Raises OutputError."""
    for option, path in wanted.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{option} {path}: folder {path.parent} cannot be made: {error.strerror}") from None


def write_json(option: str, path: Path, content: Any, *, overwrite: bool) -> None:
    """The file appears when it is whole. Raises OutputError or WriteError."""
    make_folders({option: path})
    file = PartialFile(path, overwrite=overwrite)
    try:
        file.append((json.dumps(content, indent=1) + "\n").encode())
        file.commit()
    finally:
        file.keep()
