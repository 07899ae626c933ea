"""ONNX Runtime: the portable baseline on the CPU, and CUDA where its package for it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
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
from engines.tensorrt_driver import find_gpu

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(double)": np.float64,
    "tensor(bool)": np.bool_,
}
INT8_OPERATORS = (
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
)


class OnnxRuntimeEngine:
    """An ONNX file in ONNX Runtime."""

    def __init__(self, model: Path, options: EngineOptions) -> None:
        """Load `model` (.onnx) on `options.device` ("auto": the GPU, where driver and package have one).

        Raises:
            EngineUnavailable: onnxruntime is not installed, no such device, or another precision than the model's is
                asked for.
            EngineLoadError: not an ONNX file, or one that ONNX Runtime refuses.
            EngineOutOfMemory: the device cannot hold it.
        """
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise EngineUnavailable(f"onnxruntime cannot be imported ({error}); pip install onnxruntime") from None
        if model.suffix.lower() in (".xml", ".tflite"):
            raise EngineLoadError(f"onnxruntime reads .onnx, {model} is {model.suffix}; use --runtime openvino")
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = 4
        # Spinning workers take the cores from decoding and encoding: twice the time an image for the whole pipeline.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.runtime = f"onnxruntime {ort.__version__}"
        try:
            self._session, self.device = _open(ort, model, settings, options.device)
        except EngineUnavailable:
            raise
        except Exception as error:  # ONNX Runtime has no common public base class for these
            reason = str(error).strip().splitlines()[0]
            kind = EngineOutOfMemory if is_out_of_memory(error) else EngineLoadError
            raise kind(f"onnxruntime cannot load {model}: {reason}") from None
        self.inputs = tuple(spec_of(node, options.shape.get(node.name)) for node in self._session.get_inputs())
        self.outputs = tuple(spec_of(node, None) for node in self._session.get_outputs())
        floats = "fp16" if any(spec.dtype == np.float16 for spec in self.inputs + self.outputs) else "fp32"
        self.precision = f"int8+{floats}" if _quantised(model) else floats
        if options.precision not in ("auto", floats):
            raise EngineUnavailable(
                f"onnxruntime runs a model as it is ({self.precision}), precision {options.precision} was asked for"
            )
        self._names = [spec.name for spec in self.outputs]

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Engine.infer`."""
        check_feeds(self.inputs, feeds)
        try:
            arrays = self._session.run(self._names, dict(feeds))
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            if is_out_of_memory(error):
                raise EngineOutOfMemory(f"{self.device} has no memory left ({reason}); use a smaller batch") from None
            raise EngineInferError(f"onnxruntime failed: {reason}") from None
        return dict(zip(self._names, arrays, strict=True))

    def close(self) -> None:
        """Nothing to do: the session goes with the object."""


def _open(ort: Any, model: Path, settings: Any, device: str) -> tuple[Any, str]:
    """The session and the device that it really runs on.

    Raises:
        EngineUnavailable: the device asked for is not there. Whatever ONNX Runtime raises.
    """

    def session(*providers: Any) -> Any:
        # Without this it prints its troubles, takes the CPU instead and says nothing more of it.
        return ort.InferenceSession(str(model), settings, providers=list(providers), enable_fallback=0)

    try:
        index = _gpu_for(ort, device)
    except EngineUnavailable as error:
        if device != "auto":
            raise EngineUnavailable(f"device {device} is not there for onnxruntime: {error}") from None
        return session(CPU), "cpu"
    if index is None:
        return session(CPU), "cpu"
    try:
        opened = session((CUDA, {"device_id": str(index)}), CPU)
    except Exception:
        if device != "auto":
            raise
        return session(CPU), "cpu"
    if CUDA in opened.get_providers():
        return opened, f"cuda:{index}"
    if device != "auto":
        raise EngineUnavailable(
            f"device {device} is not there for onnxruntime: its CUDA provider does not load; "
            "CUDA and cuDNN of the versions that onnxruntime-gpu wants are missing"
        )
    return opened, "cpu"


def _gpu_for(ort: Any, device: str) -> int | None:
    """The number of the GPU to take; None: the CPU. Raises EngineUnavailable."""
    kind, _, number = device.partition(":")
    if device == "cpu":
        return None
    if device != "auto" and (kind != "cuda" or not number.isdigit()):
        raise EngineUnavailable("it runs on cpu and cuda:N")
    gpu = find_gpu(int(number or 0))
    if CUDA not in ort.get_available_providers():
        raise EngineUnavailable("this onnxruntime has no CUDA; pip install onnxruntime-gpu in its place")
    return gpu.index


def _quantised(model: Path) -> bool:
    """True if the graph computes in 8-bit integers. Searched in the file's bytes: the session does not tell its nodes.

    Protobuf writes a node's operator as the field's tag (0x22), the length and the name.
    """
    with model.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return any(content.find(bytes((0x22, len(name))) + name.encode()) >= 0 for name in INT8_OPERATORS)


def spec_of(node: object, fixed: tuple[int, ...] | None) -> TensorSpec:
    """Spec of a session's input or output; `fixed` fills the open dimensions."""
    name, shape, kind = (getattr(node, key) for key in ("name", "shape", "type"))
    sizes = [size if isinstance(size, int) and size > 0 else None for size in shape]
    if fixed is not None:
        sizes = [size or given for size, given in zip(sizes, fixed, strict=True)]
    if kind not in DTYPES:
        raise EngineLoadError(f"tensor {name} is a {kind}; tensors of {sorted(DTYPES)} are supported")
    return TensorSpec(name, tuple(sizes), np.dtype(DTYPES[kind]))
