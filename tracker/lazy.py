"""Names of a package that are imported when they are first asked for: who needs one does not pay for the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def names_of(package: str, modules: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """A package's `__getattr__` (PEP 562). `modules`: the names that each of its modules gives."""

    def asked(name: str) -> Any:
        """The name from its module. Raises AttributeError."""
        for module, names in modules.items():
            if name in names:
                return getattr(import_module(f"{package}.{module}"), name)
        raise AttributeError(f"module {package} has no attribute {name}")

    return asked
