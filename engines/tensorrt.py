"""Plans on an NVIDIA GPU: modules `tensorrt` (10.x, 11.x) and `tensorrt_rtx`, which are one API.

Pinned buffers, one stream and one execution context an inference in flight; nothing but the driver and the runtime is
needed. Plans come from `engines.build`; ONNX files are compiled there first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ctypes import c_uint8
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from engines.base import (
    Array,
    EngineInferError,
    EngineLoadError,
    EngineOptions,
    EngineOutOfMemory,
    EngineUnavailable,
    TensorSpec,
    check_feeds,
    is_out_of_memory,
)
from engines.build_cache import fault, notes_path, read_notes
from engines.tensorrt_driver import Cuda, find_gpu

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}


class TensorRtEngine:
    """A compiled plan on one GPU."""

    def __init__(self, plan: Path, options: EngineOptions, runtime: str = "tensorrt") -> None:
        """Load `plan` with `runtime` ("tensorrt" or "tensorrt-rtx") on `options.device`.

        Raises:
            EngineUnavailable: no driver, no such GPU, the library is not installed, or another precision than the
                plan's is asked for.
            EngineLoadError: not a plan, one that is damaged, or one that was built for another GPU or version.
            EngineOutOfMemory: the GPU cannot hold a context an inference in flight.
        """
        gpu = find_gpu(_index_of(options.device))  # before the library is touched: see tensorrt_driver
        trt = import_library(runtime)
        self.runtime, self.device = f"{runtime} {trt.__version__}", f"cuda:{gpu.index}"
        self.precision = _precision_of(plan, runtime, options.precision)
        try:
            content = plan.read_bytes()
        except OSError as error:
            raise EngineLoadError(f"plan {plan} cannot be read: {error.strerror}") from None
        self._cuda = Cuda(gpu.index)
        self._logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
        self._library = trt.Runtime(self._logger)
        self._engine = self._library.deserialize_cuda_engine(content)
        if self._engine is None:
            self._cuda.close()
            raise EngineLoadError(
                f"{self.runtime} on {gpu.name} ({gpu.target}) refused {plan}: it was built for another GPU or version; "
                "build it here with `tracker engine build`"
            )
        specs = {False: [], True: []}  # type: dict[bool, list[TensorSpec]]
        for place in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(place)
            is_input = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            shape = tuple(side if side >= 0 else None for side in self._engine.get_tensor_shape(name))
            specs[is_input].append(TensorSpec(name, shape, np.dtype(trt.nptype(self._engine.get_tensor_dtype(name)))))
        self.inputs, self.outputs = tuple(specs[True]), tuple(specs[False])
        self._lanes: SimpleQueue[_Lane] = SimpleQueue()
        self._all: list[_Lane] = []
        try:
            for _ in range(max(1, options.streams)):
                with _memory(self.device):
                    self._all.append(self._lane())
        except BaseException:
            self.close()
            raise
        for lane in self._all:
            self._lanes.put(lane)

    def _lane(self) -> _Lane:
        """A new context with its stream; every tensor has room for its largest shape."""
        largest = {
            spec.name: tuple(self._engine.get_tensor_profile_shape(spec.name, 0)[2])
            if None in spec.shape
            else tuple(side or 0 for side in spec.shape)
            for spec in self.inputs
        }
        return _Lane(self._cuda, self._engine.create_execution_context(), self.inputs, self.outputs, largest)

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Engine.infer`. Raises EngineOutOfMemory, too."""
        check_feeds(self.inputs, feeds)
        lane = self._lanes.get()
        try:
            with _memory(self.device):
                return lane.run(feeds)
        finally:
            self._lanes.put(lane)

    def close(self) -> None:
        """Let go of the GPU's memory."""
        if self._engine is None:
            return
        for lane in self._all:
            lane.close()
        self._all = []
        self._engine = self._library = None
        self._cuda.close()


class _Lane:
    """What one inference in flight needs: context, stream, pinned memory and memory on the GPU."""

    def __init__(
        self, cuda: Cuda, context: Any, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...],
        largest: Mapping[str, tuple[int, ...]],
    ) -> None:  # fmt: skip
        """`largest`: shapes of the inputs. Raises EngineLoadError for outputs whose size depends on the data."""
        if context is None:
            raise EngineOutOfMemory("the GPU has no memory left for an execution context; use fewer workers")
        self._cuda, self._context, self._inputs, self._outputs = cuda, context, inputs, outputs
        self._stream = cuda.stream()
        self._device: dict[str, int] = {}
        self._pinned: dict[str, int] = {}
        self._host: dict[str, Array] = {}
        self._limits = dict(largest)
        for name, shape in largest.items():
            context.set_input_shape(name, shape)
        try:
            for spec in (*inputs, *outputs):
                shape = largest[spec.name] if spec.name in largest else tuple(context.get_tensor_shape(spec.name))
                if min(shape, default=1) < 0:
                    raise EngineLoadError(f"the size of output {spec.name} depends on the data; export without NMS")
                self._reserve(spec, shape)
        except BaseException:
            self.close()
            raise

    def _reserve(self, spec: TensorSpec, shape: tuple[int, ...]) -> None:
        size = int(np.prod(shape)) * spec.dtype.itemsize
        self._device[spec.name] = self._cuda.device_memory(size)
        self._pinned[spec.name] = self._cuda.pinned_memory(size)
        self._host[spec.name] = np.ctypeslib.as_array((c_uint8 * max(1, size)).from_address(self._pinned[spec.name]))
        self._context.set_tensor_address(spec.name, self._device[spec.name])

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Copy in, run, copy out, wait once. Raises EngineInferError."""
        self._cuda.enter()
        for spec in self._inputs:
            array = np.ascontiguousarray(feeds[spec.name])
            if array.nbytes > self._host[spec.name].nbytes or not self._context.set_input_shape(spec.name, array.shape):
                raise EngineInferError(
                    f"input {spec.name} of shape {array.shape} is outside what the plan was built for, "
                    f"{self._limits[spec.name]} at most; with its notes (.json) beside it single frames are padded"
                )
            self._host[spec.name][: array.nbytes] = array.reshape(-1).view(np.uint8)
            self._cuda.upload(self._device[spec.name], self._pinned[spec.name], array.nbytes, self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise EngineInferError("TensorRT failed to run the plan")
        shapes = {spec.name: tuple(self._context.get_tensor_shape(spec.name)) for spec in self._outputs}
        sizes = {spec.name: int(np.prod(shapes[spec.name])) * spec.dtype.itemsize for spec in self._outputs}
        for name, size in sizes.items():
            self._cuda.download(self._pinned[name], self._device[name], size, self._stream)
        self._cuda.wait(self._stream)
        return {
            spec.name: self._host[spec.name][: sizes[spec.name]].copy().view(spec.dtype).reshape(shapes[spec.name])
            for spec in self._outputs
        }

    def close(self) -> None:
        """Give the memory back."""
        self._context = None
        self._host = {}
        with suppress(EngineInferError):
            self._cuda.enter()
            self._cuda.free(self._stream, list(self._device.values()), list(self._pinned.values()))


@contextmanager
def _memory(device: str) -> Iterator[None]:
    """While inside, the driver's error for memory that ran out is ours."""
    try:
        yield
    except EngineInferError as error:
        if isinstance(error, EngineOutOfMemory) or not is_out_of_memory(error):
            raise
        raise EngineOutOfMemory(
            f"{device} has no memory left ({error}); use a smaller batch or fewer workers"
        ) from None


def import_library(runtime: str) -> Any:
    """The Python module of a runtime. Ask the driver first: without one, some versions end the process.

    Raises:
        EngineUnavailable: it cannot be imported; names the extra that brings it.
    """
    try:
        return import_module(MODULES[runtime])
    except ImportError as error:
        raise EngineUnavailable(f"{runtime} cannot be imported ({error}); pip install 'tracker[{runtime}]'") from None


def _index_of(device: str) -> int:
    """Number of the GPU that a device names; EngineUnavailable for another device."""
    if device == "auto":
        return 0
    kind, _, number = device.partition(":")
    if kind != "cuda" or not number.isdigit():
        raise EngineUnavailable(f"TensorRT runs on a GPU, device {device} was asked for; say cuda:0")
    return int(number)


def _precision_of(plan: Path, runtime: str, wanted: str) -> str:
    """The precision in the plan's notes, which must fit the file; "as built" for a plan of somebody else.

    Raises:
        EngineLoadError: the plan is damaged, or another runtime's. EngineUnavailable: it is of another precision.
    """
    if not notes_path(plan).exists():
        return "as built"
    reason = fault(plan, own=False)  # the user named this file
    if reason is not None:
        raise EngineLoadError(f"plan {plan} cannot be used: {reason}; build it again with `tracker engine build`")
    made_of = read_notes(plan)["ingredients"]
    if made_of["runtime"] != runtime:
        raise EngineLoadError(f"plan {plan} was built for {made_of['runtime']}, not for {runtime}")
    precision = {"int8": "int8+fp32"}.get(made_of["precision"], made_of["precision"])
    if wanted not in ("auto", made_of["precision"]):
        raise EngineUnavailable(f"plan {plan} is {precision}, precision {wanted} was asked for; build another")
    return str(precision)
