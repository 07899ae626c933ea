"""The cache of compiled plans: what a plan's key is made of, what lies beside it, and whether it can be trusted."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import lock
from engines.base import EngineLoadError, EngineStopped, never
from engines.storage import cache_folder, replace_text, sha256_of, sync

FORMAT = 1
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """A compiled model in the cache or wherever the user wants it.

    Attributes:
        path: of the file to load; `<path>.json` beside it holds the notes.
        notes: ingredients (what the key is made of), key, files (bytes and SHA-256 by suffix), seconds (of the whole
            build), inputs and outputs (name, shape, dtype), created (Unix time, seconds).
        built: True if it was compiled now, False if it lay there.
    """

    path: Path
    notes: Mapping[str, Any]
    built: bool


def plan_folder() -> Path:
    """Where plans lie, in the user's cache folder. Raises EngineUnavailable: see `cache_folder`."""
    return cache_folder() / "plans"


def key_of(ingredients: Mapping[str, Any]) -> str:
    """SHA-256 of all that decides what a plan is, hexadecimal."""
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


def notes_path(plan: Path) -> Path:
    """The file beside a plan that says what it is."""
    return plan.with_name(plan.name + ".json")


def read_notes(plan: Path) -> dict[str, Any]:
    """The notes beside a plan.

    Raises:
        ValueError: there are none, or they are not ours.
    """
    try:
        notes = json.loads(notes_path(plan).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ValueError("its notes are missing or damaged") from None
    if not isinstance(notes, dict) or notes.get("format") != FORMAT:
        raise ValueError("its notes are of another version of tracker")
    if not isinstance(notes.get("files"), dict) or not isinstance(notes.get("ingredients"), dict):
        raise ValueError("its notes are missing or damaged")
    return notes


def fault(plan: Path, key: str | None = None, *, own: bool = True) -> str | None:
    """Why the plan cannot be used, in a few words; None if it can. Never raises.

    Args:
        plan: the file. key: what it must have been built for; None: whatever its notes say.
        own: whether a file that another user could have written is refused.
    """
    try:
        notes = read_notes(plan)
        if notes.get("key") != key_of(notes["ingredients"]) or key not in (None, notes["key"]):
            return "it was built for something else"
        for suffix, wanted in notes["files"].items():
            reason = _file_fault(plan.with_suffix(suffix), wanted, own)
            if reason:
                return reason
        return _file_fault(notes_path(plan), None, own) if notes["files"] else "its notes are missing or damaged"
    except ValueError as error:
        return str(error)
    except (OSError, TypeError, KeyError, AttributeError):
        return "it cannot be read"


def _file_fault(path: Path, wanted: Mapping[str, Any] | None, own: bool) -> str | None:
    """The same for one file of a plan."""
    if not path.exists():
        return f"its {path.suffix} file is missing"
    found = path.stat()
    if own and _others(found):
        return "another user made it or may change it"
    if wanted is None:
        return None
    if found.st_size != wanted["bytes"]:
        return f"it is cut short or changed ({found.st_size} of {wanted['bytes']} bytes)"
    return None if sha256_of(path) == wanted["sha256"] else "its checksum is wrong"


def _others(found: os.stat_result) -> bool:
    """Whether another user than ours made a file, or may change it. Windows keeps the user's cache to the user."""
    return os.name != "nt" and (found.st_uid != os.getuid() or bool(found.st_mode & 0o022))


def publish(made: Mapping[str, Path], plan: Path, notes: Mapping[str, Any]) -> dict[str, Any]:
    """Move the files of a build (suffix -> file, on the same disk) to where the plan belongs; the notes come last.

    A process killed in between leaves a plan without fitting notes, which `fault` refuses.

    Returns:
        The notes, completed. Raises OSError.
    """
    files = {suffix: {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for suffix, path in made.items()}
    whole = {"format": FORMAT, **notes, "key": key_of(notes["ingredients"]), "files": files, "created": time.time()}
    for suffix, path in made.items():
        sync(path)
        path.chmod(0o600)
        path.replace(plan.with_suffix(suffix))
    replace_text(notes_path(plan), _text(whole))
    return whole


def add_notes(plan: Path, **facts: Any) -> None:
    """Write facts about a plan into its notes; what its key is made of stays.

    Raises:
        ValueError: it has no notes. OSError: they cannot be written.
    """
    replace_text(notes_path(plan), _text(read_notes(plan) | facts))


def _text(notes: Mapping[str, Any]) -> str:
    return json.dumps(notes, indent=1) + "\n"


def plans(folder: Path) -> Iterator[Path]:
    """All plans of a folder, those without notes and half of a pair included, by name."""
    if not folder.is_dir():
        return
    found = {path for path in folder.iterdir() if path.suffix in (".plan", ".xml", ".pt2")}
    found |= {path.with_suffix("") for path in folder.glob("*.json") if ".partial" not in path.name}
    yield from sorted(found)


@contextmanager
def locked(path: Path, say: Say, stopped: Callable[[], bool] = never) -> Iterator[None]:
    """Hold the lock file `path`: one process builds, the others wait, say so, and find the plan.

    Raises:
        EngineLoadError: the folder cannot be written. EngineStopped: `stopped` ended the wait.
    """

    def poll() -> None:
        if stopped():
            raise EngineStopped("the wait for another build was ended")

    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            told = "another process builds this plan; waiting for it"
            stack.enter_context(lock.locked(path, lambda: say(told), poll))
        except OSError as error:
            raise EngineLoadError(f"the plan cache {path.parent} cannot be written: {error.strerror}") from None
        yield
