"""Whether the association runs compiled (numba, the extra `fast`) or in NumPy alone, decided here and nowhere else.

Both give the same results to the last bit, so the tracks do not depend on the moment of the change. Starting numba
costs 0.5 s of CPU from its cache on disk and some 7 s where that is still to be filled. A short job is done before: it
stays with NumPy until the time that the kernels would have saved by then is what their start costs. Who knows that the
work is long (a camera) or measures (`bench`) calls `load()` first. `TRACKER_NO_NUMBA=1` keeps numba out.

Machine code is kept by numba beside this file, else in the user's cache folder, else where NUMBA_CACHE_DIR says; where
nothing can be written it is made anew in each process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

WARM_S, COLD_S = 0.5, 7.5  # CPU time of numba's start, with its machine code on disk and without


class Kernels(NamedTuple):
    """The compiled functions, of the arguments and results that `tracker.track.kernels` tells."""

    predict: Callable[..., Any]
    update: Callable[..., Any]
    overlaps: Callable[..., Any]
    choose: Callable[..., Any]
    likeness: Callable[..., Any]
    calibrate: Callable[..., Any]
    learn: Callable[..., Any]


class _Start:
    """The start of numba, once a process: what it would have saved so far, and what came of it."""

    def __init__(self) -> None:
        """Not started; numba is not even looked for unless somebody asks."""
        self.saved_s = 0.0
        self.due_s = WARM_S
        self.kernels: Kernels | None = None
        self.why_not = ""
        self._lock = threading.Lock()

    def now(self, *, cold: bool) -> None:
        """Load the kernels, unless tried before; with `cold` also if they are still to be compiled, for seconds.

        While one thread does, the others go on in NumPy.
        """
        if not self._lock.acquire(blocking=cold):
            return
        try:
            if self.kernels is None and not self.why_not:
                self._load(cold or self.due_s >= COLD_S)
        # Numba fails in many ways (a NumPy it does not know, a full disk, an odd processor), and nothing needs it.
        except Exception as error:
            self.why_not = f"numba failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        finally:
            self._lock.release()

    def _load(self, cold: bool) -> None:
        """Import numba, compile or take from the cache."""
        self.why_not = refusal()
        if self.why_not:
            return
        from tracker.track.kernels import signatures

        kernels = signatures()
        if not cold and not all(map(_cached, kernels)):
            self.due_s = COLD_S
            return
        self.kernels = _compiled(kernels)


_start = _Start()  # the library is one for the process, as its import is


def refusal() -> str:
    """Why numba cannot be used, as far as is known without importing it; empty where it can."""
    if os.environ.get("TRACKER_NO_NUMBA"):
        return "TRACKER_NO_NUMBA is set"
    if find_spec("numba") is None:
        return "numba is not installed: pip install 'tracker[fast]'"
    return ""


def _compiled(kernels: dict[Any, Any]) -> Kernels:
    """Each for its types, taken from disk where it is there."""
    for kernel, types in kernels.items():
        kernel.compile(types)
        kernel.disable_compile()
    return Kernels(*kernels)


def _cached(kernel: Any) -> bool:
    """Whether machine code of this kernel is on disk, newer than its source."""
    function = kernel.py_func
    name, age = f"{function.__module__.rpartition('.')[2]}.{function.__name__}-*.nbi", os.path.getmtime
    source = age(function.__code__.co_filename)
    return any(age(index) >= source for index in Path(kernel.stats.cache_path or os.devnull).glob(name))


def kernels(saving_s: float) -> Kernels | None:
    """The compiled functions, for a call in which they save about so many seconds; None while NumPy is to do it."""
    if _start.kernels is None and not _start.why_not:
        _start.saved_s += saving_s
        if _start.saved_s >= _start.due_s:
            _start.now(cold=False)
    return _start.kernels


def expect(saving_s: float) -> None:
    """Start numba now if work is to come in which the kernels save more than what is left to wait for."""
    if _start.saved_s + saving_s >= _start.due_s:
        _start.now(cold=False)


def load() -> str:
    """Start numba now if it is there, compile if need be (seconds, once a machine), and return `backend()`."""
    _start.now(cold=True)
    return backend()


def backend() -> str:
    """What the association runs on at this moment: "numba" or "numpy"."""
    return "numpy" if _start.kernels is None else "numba"


def reason() -> str:
    """Why it runs on NumPy, in words for the summary and `doctor`; empty where it is numba."""
    if _start.kernels is not None:
        return ""
    return _start.why_not or refusal() or "too little work so far for numba's start"
