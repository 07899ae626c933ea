"""Where files that can be made again are kept (fetched models, compiled plans), and how they are told apart."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from engines.base import EngineUnavailable


def cache_folder() -> Path:
    """The cache folder, whether it is there or not: `TRACKER_CACHE`, else the user's cache folder of this system.

    Raises:
        EngineUnavailable: the user has no home folder and TRACKER_CACHE is not set.
    """
    if given := os.environ.get("TRACKER_CACHE"):
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        base = base if os.path.isabs(base) else os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        raise EngineUnavailable("there is no home folder to keep models in; set TRACKER_CACHE to a folder")
    return Path(base) / "tracker"


def sha256_of(*paths: Path) -> str:
    """SHA-256 of files, one behind the other, hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()


def replace_text(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all. Raises OSError."""
    draft = path.with_name(f"{path.stem}.partial{path.suffix}")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o600)
    sync(draft)
    draft.replace(path)


def sync(path: Path) -> None:
    """See a file on the disk before it gets its name. Raises OSError."""
    # Windows flushes only what is open for writing.
    with path.open("r+b") as file:
        os.fsync(file.fileno())
