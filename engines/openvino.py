"""OpenVINO on the CPU: fastest on x86-64, in bfloat16 where the processor multiplies it in hardware."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

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
from engines.quiet import import_openvino

PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoEngine:
    """An ONNX, OpenVINO IR or TFLite file, compiled by OpenVINO for this processor."""

    def __init__(self, model: Path, options: EngineOptions) -> None:
        """Compile `model` (.onnx, .xml, .tflite).

        Raises:
            EngineUnavailable: openvino is not installed, or device or precision are not to be had here.
            EngineLoadError: not a model that OpenVINO reads.
        """
        try:
            openvino = import_openvino()
        except ImportError as error:
            raise EngineUnavailable(f"openvino cannot be imported ({error}); pip install openvino") from None
        if options.device not in ("auto", "cpu"):
            raise EngineUnavailable(f"openvino runs on the cpu here, device {options.device} was asked for")
        core = openvino.Core()
        config = _properties(core, options)
        try:
            network = core.read_model(str(model))
            if options.shape:
                network.reshape({name: list(shape) for name, shape in options.shape.items()})
            self._compiled = core.compile_model(network, "CPU", config)
        except Exception as error:  # OpenVINO raises RuntimeError and its own, over several lines
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise EngineLoadError(
                f"openvino cannot load {model}: {lines[-1] if lines else type(error).__name__}"
            ) from None
        version = openvino.get_version().split("-")[0]
        self.runtime, self.device = f"openvino {version}", "cpu"
        kind = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        floats = {value: key for key, value in PRECISIONS.items()}.get(kind, kind)
        self.precision = f"int8+{floats}" if _quantised(network) else floats
        self.inputs = tuple(spec_of(port) for port in self._compiled.inputs)
        self.outputs = tuple(spec_of(port) for port in self._compiled.outputs)
        # One request an inference in flight; they are handed out and given back, so any thread may call.
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(max(1, options.streams)):
            self._requests.put(self._compiled.create_infer_request())

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Engine.infer`."""
        check_feeds(self.inputs, feeds)
        request = self._requests.get()
        try:
            request.infer(dict(feeds), share_inputs=True)
            # Copied: the request's own memory is written again by the next inference.
            return {spec.name: np.array(request.get_output_tensor(k).data) for k, spec in enumerate(self.outputs)}
        except RuntimeError as error:
            raise EngineInferError(f"openvino failed: {str(error).strip().splitlines()[-1]}") from None
        finally:
            self._requests.put(request)

    def close(self) -> None:
        """Nothing to do: the compiled model goes with the object."""


def _properties(core: Any, options: EngineOptions) -> dict[str, str]:
    """Compile properties for these options; EngineUnavailable where the processor lacks the precision."""
    config = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": "NO"}
    if options.streams > 1:
        config = {"NUM_STREAMS": str(options.streams), "ENABLE_CPU_PINNING": "NO"}
    if options.threads:
        config["INFERENCE_NUM_THREADS"] = str(options.threads * max(1, options.streams))
    if options.precision != "auto":
        able = {
            "f32",
            *(kind.lower().replace("fp", "f") for kind in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        }
        wanted = PRECISIONS.get(options.precision, options.precision)
        if wanted not in able:
            raise EngineUnavailable(
                f"this processor has no {options.precision} (openvino offers {sorted(able & set(PRECISIONS.values()))})"
            )
        config["INFERENCE_PRECISION_HINT"] = wanted
    return config


def _quantised(network: Any) -> bool:
    """True if the graph computes in 8-bit integers: it holds FakeQuantize, or weights of one byte."""
    return any(
        node.get_type_name() == "FakeQuantize"
        or (
            node.get_type_name() == "Constant"
            and node.get_element_type().get_type_name() in ("i8", "u8")
            and len(node.get_output_shape(0)) > 1
        )
        for node in network.get_ops()
    )


def spec_of(port: Any) -> TensorSpec:
    """Spec of a compiled model's port; a nameless one goes by its node's name."""
    name = port.get_any_name() if port.get_names() else port.get_node().get_friendly_name()
    shape = tuple(size.get_length() if size.is_static else None for size in port.get_partial_shape())
    return TensorSpec(name, shape, np.dtype(port.get_element_type().to_dtype()))
