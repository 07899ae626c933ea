"""What every inference engine is: named arrays in, named arrays out. Knows nothing of frames or boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int | None, ...]


class EngineError(Exception):
    """Base of all errors of this package. The message is one line."""


class EngineUnavailable(EngineError):
    """The runtime's library, driver or device is not there."""


class EngineLoadError(EngineError):
    """The model file is not there, is not a model, or the runtime refuses it."""


class EngineInferError(EngineError):
    """Inputs that do not fit, or a failure of the runtime while it ran."""


class EngineOutOfMemory(EngineInferError, EngineLoadError):
    """The device has no memory left, for loading or for this many pictures at once. A smaller batch may fit."""


class EngineStopped(EngineError):
    """A build ended because it was told to."""


def never() -> bool:
    """Never told to stop."""
    return False


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape (None: dynamic) and dtype of one input or output."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class EngineOptions:
    """How to load a model.

    Attributes:
        shape: shapes of the inputs by name where the graph leaves them open. A runtime that compiles for fixed shapes
            compiles for these.
        precision: "auto" (what the runtime does best on this device), "fp32", "fp16" or "bf16".
        device: "auto", "cpu", "cuda:N", or "gpu" and "gpu:N" for Intel's (openvino).
        threads: threads of one inference; 0: as the runtime likes.
        streams: inferences that run side by side (calls of `infer` from as many threads).
        stopped: asked several times a second while something is compiled; True ends it (EngineStopped).
    """

    shape: Mapping[str, tuple[int, ...]]
    precision: str = "auto"
    device: str = "auto"
    threads: int = 0
    streams: int = 1
    stopped: Callable[[], bool] = field(default=never, repr=False, compare=False)


class Engine(Protocol):
    """A loaded model. `infer` may be called from several threads."""

    @property
    def runtime(self) -> str:
        """The library that really runs, with its version: "openvino 2026.4"."""

    @property
    def precision(self) -> str:
        """Precision that really is in use: "fp32", "bf16", ...; "int8+bf16": a quantised graph, bf16 between."""

    @property
    def device(self) -> str:
        """Device that really is in use: "cpu", "cuda:0"."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs, as compiled."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs, as compiled."""

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once. The arrays returned belong to the caller.

        Raises:
            EngineInferError: a missing or unknown input, a wrong dtype or shape, a failure of the runtime.
        """

    def close(self) -> None:
        """Let go of the runtime's memory. May be called twice."""


def check_feeds(inputs: tuple[TensorSpec, ...], feeds: Mapping[str, Array]) -> None:
    """Raise EngineInferError unless `feeds` are the inputs, with their dtypes and shapes."""
    if set(feeds) != {spec.name for spec in inputs}:
        raise EngineInferError(f"inputs must be {sorted(s.name for s in inputs)}, got {sorted(feeds)}")
    for spec in inputs:
        array = feeds[spec.name]
        fits = len(array.shape) == len(spec.shape) and all(
            want in (None, got) for want, got in zip(spec.shape, array.shape, strict=False)
        )
        if not fits or array.dtype != spec.dtype:
            raise EngineInferError(
                f"input {spec.name} must be {spec.dtype} {spec.shape}, got {array.dtype} {array.shape}"
            )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a runtime's own error says that memory ran out; none of them has a type for it that the others know."""
    text = str(error).lower()
    signs = ("out of memory", "failed to allocate memory", "can't allocate memory", "bad_alloc")
    return isinstance(error, MemoryError) or any(sign in text for sign in signs)
