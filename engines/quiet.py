"""Imports OpenVINO so that it reports to nobody.

`import openvino` sends an event to its makers' statistics, from a forked process, unless `openvino_telemetry` is not
installed; it always is, as a dependency. A pipeline that reads cameras does not call outside by itself.
"""

from __future__ import annotations

import sys
from importlib import import_module
from threading import Lock
from typing import Any

TELEMETRY = "openvino_telemetry"
_lock = Lock()  # the table of modules is one for the process


def import_openvino() -> Any:
    """The module `openvino`, imported without its telemetry; left alone if somebody imported it before.

    Raises:
        ImportError: as the import itself.
    """
    with _lock:
        if "openvino" in sys.modules or TELEMETRY in sys.modules:
            return import_module("openvino")
        # None in the table of modules makes the import fail, and OpenVINO then takes its own stand-in.
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
        try:
            return import_module("openvino")
        finally:
            sys.modules.pop(TELEMETRY, None)
