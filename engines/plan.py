"""From a request to a loaded plan, whatever the runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engines.base import Engine, EngineLoadError, EngineOutOfMemory
from engines.build import Request, build_plan
from engines.build_cache import Plan, Say, notes_path

E = TypeVar("E", bound=Engine)


def load_built(request: Request, load: Callable[[Path], E], say: Say, folder: Path | None) -> tuple[E, Plan]:
    """The plan of a request, built where there is none, and loaded; one that does not load is built again, once.

    Raises:
        EngineError: as `build_plan` and `load` raise.
    """
    plan = build_plan(request, say, folder)
    try:
        return load(plan.path), plan
    except EngineLoadError as error:
        if plan.built or isinstance(error, EngineOutOfMemory):
            raise
        say(f"{plan.path.name} does not load ({error}); building it again")
    notes_path(plan.path).unlink(missing_ok=True)
    plan = build_plan(request, say, folder)
    return load(plan.path), plan
