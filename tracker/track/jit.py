"""How the kernels are compiled: without the GIL, and kept on disk. Imports numba, so only their files import this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Function = Callable[..., Any]


def kernel(function: Function) -> Any:
    """A dispatcher that keeps its machine code on disk; where no folder can be written, in memory only."""
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        return njit(nogil=True, error_model="numpy")(function)


inner: Callable[[Function], Function] = njit(nogil=True, error_model="numpy")
"""For what only kernels call: its machine code is part of theirs."""
