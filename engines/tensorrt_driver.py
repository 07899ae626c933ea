"""The NVIDIA driver through ctypes: whether a GPU is there, and the few calls that running a plan needs.

Asked before any TensorRT library is touched: without a driver, TensorRT 8 to 10 end the process instead of raising.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

from engines.base import EngineInferError, EngineUnavailable

CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


@dataclass(frozen=True)
class Gpu:
    """A GPU: its place, name, compute capability ("sm89") and the driver's major version."""

    index: int
    name: str
    target: str
    driver_major: int


NAME = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def library() -> Any:
    """The driver's library, initialised.

    Raises:
        EngineUnavailable: no driver, or one without a GPU that works.
    """
    try:
        cuda = ctypes.CDLL(NAME)
    except OSError:
        raise EngineUnavailable(f"no NVIDIA driver here ({NAME} cannot be loaded)") from None
    code = cuda.cuInit(0)
    if code:
        raise EngineUnavailable(f"the NVIDIA driver finds no GPU that works (cuInit: error {code})")
    return cuda


def survey() -> dict[str, Any]:
    """What the driver says: there, code (of cuInit, 0: it works), cuda ("13.0"), devices (name, memory_gb, capability).

    May hang where the driver is broken: call it in a process of its own.
    """
    try:
        cuda = ctypes.CDLL(NAME)
    except OSError:
        return {"there": False}
    code, version, count = cuda.cuInit(0), ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    if code == 0:
        cuda.cuDeviceGetCount(ctypes.byref(count))
    devices = []
    for gpu in map(find_gpu, range(count.value)):
        device, memory = ctypes.c_int(), ctypes.c_size_t()
        cuda.cuDeviceGet(ctypes.byref(device), gpu.index)
        cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
        devices.append({"name": gpu.name, "memory_gb": round(memory.value / 1e9, 1), "capability": gpu.target})
    api = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return {"there": True, "code": code, "cuda": api, "devices": devices}


def find_gpu(index: int = 0) -> Gpu:
    """GPU number `index`.

    Raises:
        EngineUnavailable: no driver, or no such GPU.
    """
    cuda = library()
    device, value, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    code = cuda.cuDeviceGet(ctypes.byref(device), index)
    if code:
        raise EngineUnavailable(f"there is no GPU {index} (cuDeviceGet: error {code})")
    cuda.cuDeviceGetName(name, len(name), device)
    digits = ""
    for attribute in (CAPABILITY_MAJOR, CAPABILITY_MINOR):
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        digits += str(value.value)
    return Gpu(index, name.value.decode(errors="replace"), f"sm{digits}", _driver_major(cuda))


def _driver_major(cuda: Any) -> int:
    """Major version of the driver (580); where NVML does not tell it, the CUDA version that it supports (13)."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        text = ctypes.create_string_buffer(96)
        if nvml.nvmlInit_v2() == 0 and nvml.nvmlSystemGetDriverVersion(text, len(text)) == 0:
            return int(text.value.split(b".")[0])
    except (OSError, AttributeError, ValueError):
        pass
    version = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    return version.value // 1000


class Cuda:
    """The primary context of one GPU, in which TensorRT lives too: memory, streams, copies."""

    def __init__(self, index: int) -> None:
        """Of GPU `index`. Raises EngineUnavailable."""
        self._cuda = library()
        self._device, self._context = ctypes.c_int(), ctypes.c_void_p()
        try:
            self.call("cuDeviceGet", ctypes.byref(self._device), index)
            self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        except EngineInferError as error:
            raise EngineUnavailable(f"GPU {index} cannot be used: {error}") from None
        self.enter()

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver. Raises EngineInferError with its name and code."""
        code = getattr(self._cuda, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._cuda.cuGetErrorString(code, ctypes.byref(text))
            raise EngineInferError(f"{name} failed: {(text.value or b'').decode() or f'error {code}'}")

    def enter(self) -> None:
        """Make the context this thread's own."""
        self.call("cuCtxSetCurrent", self._context)

    def stream(self) -> int:
        """A new stream that does not wait for the default one."""
        handle = ctypes.c_void_p()
        self.call("cuStreamCreate", ctypes.byref(handle), 1)
        return handle.value or 0

    def device_memory(self, size: int) -> int:
        """Address of `size` bytes on the GPU."""
        address = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(1, size)))
        return address.value

    def pinned_memory(self, size: int) -> int:
        """Address of `size` bytes of the host that the GPU copies from and to by itself."""
        address = ctypes.c_void_p()
        self.call("cuMemAllocHost_v2", ctypes.byref(address), ctypes.c_size_t(max(1, size)))
        return address.value or 0

    def upload(self, device: int, host: int, size: int, stream: int) -> None:
        """Queue a copy to the GPU."""
        self.call(
            "cuMemcpyHtoDAsync_v2", ctypes.c_uint64(device), ctypes.c_void_p(host), ctypes.c_size_t(size),
            ctypes.c_void_p(stream),
        )  # fmt: skip

    def download(self, host: int, device: int, size: int, stream: int) -> None:
        """Queue a copy from the GPU."""
        self.call(
            "cuMemcpyDtoHAsync_v2", ctypes.c_void_p(host), ctypes.c_uint64(device), ctypes.c_size_t(size),
            ctypes.c_void_p(stream),
        )  # fmt: skip

    def wait(self, stream: int) -> None:
        """Until all that was queued is done."""
        self.call("cuStreamSynchronize", ctypes.c_void_p(stream))

    def free(self, stream: int, device: list[int], pinned: list[int]) -> None:
        """Give back a stream and memory."""
        self.call("cuStreamDestroy_v2", ctypes.c_void_p(stream))
        for address in device:
            self.call("cuMemFree_v2", ctypes.c_uint64(address))
        for address in pinned:
            self.call("cuMemFreeHost", ctypes.c_void_p(address))

    def close(self) -> None:
        """Let go of the context."""
        self.call("cuDevicePrimaryCtxRelease_v2", self._device)
