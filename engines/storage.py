"""Where files that can be made again are kept: fetched models, compiled plans."""

from __future__ import annotations

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
