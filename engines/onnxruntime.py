"""ONNX Runtime on the CPU: the portable baseline."""

from __future__ import annotations

from collections.abc import Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np

from engines.base import (
    Array,
    EngineInferError,
    EngineLoadError,
    EngineOptions,
    EngineUnavailable,
    TensorSpec,
    check_feeds,
)

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
    """An ONNX file in ONNX Runtime's CPU provider."""

    def __init__(self, model: Path, options: EngineOptions) -> None:
        """Load `model` (.onnx).

        Raises:
            EngineUnavailable: onnxruntime is not installed, or a device other than the CPU or another precision than
                the model's is asked for.
            EngineLoadError: not an ONNX file, or one that ONNX Runtime refuses.
        """
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise EngineUnavailable(f"onnxruntime cannot be imported ({error}); pip install onnxruntime") from None
        if options.device not in ("auto", "cpu"):
            raise EngineUnavailable(f"onnxruntime runs on the cpu here, device {options.device} was asked for")
        if model.suffix.lower() in (".xml", ".tflite"):
            raise EngineLoadError(f"onnxruntime reads .onnx, {model} is {model.suffix}; use --runtime openvino")
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = 4
        # Spinning workers take the cores from decoding and encoding: twice the time an image for the whole pipeline.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has no common public base class for these
            reason = str(error).strip().splitlines()[0]
            raise EngineLoadError(f"onnxruntime cannot load {model}: {reason}") from None
        self.runtime, self.device = f"onnxruntime {ort.__version__}", "cpu"
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
            raise EngineInferError(f"onnxruntime failed: {str(error).strip().splitlines()[0]}") from None
        return dict(zip(self._names, arrays, strict=True))

    def close(self) -> None:
        """Nothing to do: the session goes with the object."""


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
