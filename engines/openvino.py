"""OpenVINO: fastest on x86-64 processors, in bfloat16 where they multiply it in hardware, and on Intel's GPUs."""

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
    EngineOutOfMemory,
    EngineUnavailable,
    TensorSpec,
    check_feeds,
    is_out_of_memory,
)
from engines.openvino_tflite import read_network
from engines.quiet import import_openvino

PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoEngine:
    """An ONNX, OpenVINO IR or TFLite file, compiled by OpenVINO for the processor or Intel's GPU here."""

    def __init__(self, model: Path, options: EngineOptions) -> None:
        """Compile `model` (.onnx, .xml, .tflite) for `options.device`: "auto" (the CPU), "cpu", "gpu" or "gpu:N".

        Raises:
            EngineUnavailable: openvino is not installed, or device or precision are not to be had here.
            EngineLoadError: not a model that OpenVINO reads.
        """
        try:
            openvino = import_openvino()
        except ImportError as error:
            raise EngineUnavailable(f"openvino cannot be imported ({error}); pip install openvino") from None
        core = openvino.Core()
        device = _device(core, options.device)
        config = _properties(core, device, options)
        try:
            network = read_network(openvino, core, model)
            if options.shape:
                network.reshape({name: list(shape) for name, shape in options.shape.items()})
            self._compiled = core.compile_model(network, device, config)
        except Exception as error:  # OpenVINO raises RuntimeError and its own, over several lines
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise EngineLoadError(
                f"openvino cannot load {model}: {lines[-1] if lines else type(error).__name__}"
            ) from None
        version = openvino.get_version().split("-")[0]
        self.runtime, self.device = f"openvino {version}", device.lower().replace(".", ":")
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
            kind = EngineOutOfMemory if is_out_of_memory(error) else EngineInferError
            raise kind(f"openvino failed: {str(error).strip().splitlines()[-1]}") from None
        finally:
            self._requests.put(request)

    def close(self) -> None:
        """Nothing to do: the compiled model goes with the object."""


def _device(core: Any, wanted: str) -> str:
    """OpenVINO's name of a device ("CPU", "GPU", "GPU.1"). Raises EngineUnavailable, naming what is there."""
    name = "CPU" if wanted == "auto" else wanted.upper().replace(":", ".")
    there = list(core.available_devices)
    # With one GPU it is "GPU", with several "GPU.0", "GPU.1", and "GPU" stands for the first.
    if name == "CPU" or name in there or (name == "GPU" and "GPU.0" in there):
        return name
    offered = ", ".join(found.lower().replace(".", ":") for found in there)
    raise EngineUnavailable(f"openvino has {offered or 'no device'} here, device {wanted} was asked for")


def _properties(core: Any, device: str, options: EngineOptions) -> dict[str, str]:
    """Compile properties for these options; EngineUnavailable where the device lacks the precision."""
    config = {"PERFORMANCE_HINT": "LATENCY"}
    if options.streams > 1:
        config = {"NUM_STREAMS": str(options.streams)}
    if device == "CPU":
        config["ENABLE_CPU_PINNING"] = "NO"
        if options.threads:
            config["INFERENCE_NUM_THREADS"] = str(options.threads * max(1, options.streams))
    if options.precision != "auto":
        able = {
            "f32",
            *(kind.lower().replace("fp", "f") for kind in core.get_property(device, "OPTIMIZATION_CAPABILITIES")),
        }
        wanted = PRECISIONS.get(options.precision, options.precision)
        if wanted not in able:
            offered = sorted(able & set(PRECISIONS.values()))
            raise EngineUnavailable(f"{device.lower()} has no {options.precision}; openvino offers {offered} there")
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
