"""The child process that compiles: `main()` reads job.json in its folder, writes the plan there and result.json.

A process of its own, because compilers hold the interpreter for minutes and end it with a signal when they fail. It
ends with its parent: the parent's end of its standard input closes. Progress goes to standard output, a line a step.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

EVERY_S = 2.0


def main() -> None:
    """Do the job in the working directory. Exit code 0, or 1 with the reason as the last line on standard error."""
    Thread(target=_end_with_parent, daemon=True).start()
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    compile_it = {"openvino": _openvino, "torch": _torch}.get(job["module"], _tensorrt)
    try:
        result = compile_it(job)
    except Exception as error:  # the parent has no other way to learn of it
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    Path("result.json").write_text(json.dumps(result), encoding="utf-8")


def _end_with_parent() -> None:
    """Wait for the end of standard input, then end at once, whatever the compiler does."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _tensorrt(job: dict[str, Any]) -> dict[str, Any]:
    """Compile model.onnx to `model.plan` with TensorRT or TensorRT for RTX."""
    trt = import_module(job["module"])
    errors: list[str] = []
    logger = _logger(trt, errors)
    builder = trt.Builder(logger)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(Path("model.onnx").read_bytes()):
        raise RuntimeError(f"the parser refused it: {_refusal(parser)}")
    config = builder.create_builder_config()
    if job["workspace_mb"]:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, job["workspace_mb"] << 20)
    if any(least != largest for least, _, largest in job["shapes"].values()):
        profile = builder.create_optimization_profile()
        for name, shapes in job["shapes"].items():
            profile.set_shape(name, *map(tuple, shapes))
        config.add_optimization_profile(profile)
    if job["targets"]:
        config.num_compute_capabilities = len(job["targets"])
        for place, target in enumerate(job["targets"]):
            config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), place)
    config.progress_monitor = _monitor(trt)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError(errors[-1] if errors else "the builder gave no plan and no reason")
    Path("model.plan").write_bytes(bytes(plan))
    tensors = {
        "inputs": [network.get_input(k) for k in range(network.num_inputs)],
        "outputs": [network.get_output(k) for k in range(network.num_outputs)],
    }
    return {kind: [_spec(trt, tensor) for tensor in found] for kind, found in tensors.items()}


def _refusal(parser: Any) -> str:
    """The parser's first complaint and the node that it is about."""
    if not parser.num_errors:
        return "no reason given"
    error = parser.get_error(0)
    node = f"{error.node_operator()} {error.node_name()}: " if hasattr(error, "node_operator") else ""
    return f"{node}{error.desc()}"


def _spec(trt: Any, tensor: Any) -> dict[str, Any]:
    """Name, shape (null: dynamic) and dtype of a network's tensor."""
    import numpy as np

    shape = [side if side >= 0 else None for side in tensor.shape]
    return {"name": tensor.name, "shape": shape, "dtype": np.dtype(trt.nptype(tensor.dtype)).name}


def _logger(trt: Any, errors: list[str]) -> Any:
    """Keeps errors; the rest is the compiler's own business. That there is no GPU is known before and no error."""

    class Keeper(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR) and "cudaError 35" not in message:
                errors.append(" ".join(message.split()))

    return Keeper()


def _monitor(trt: Any) -> Any:
    """Prints the phase and how far it is, every EVERY_S seconds at most."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.told_s = monotonic()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = max(1, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if monotonic() - self.told_s >= EVERY_S:
                self.told_s = monotonic()
                print(f"{phase_name}: {100 * (step + 1) // self.steps.get(phase_name, 1)}%", flush=True)
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


def _openvino(job: dict[str, Any]) -> dict[str, Any]:
    """Compile model.onnx for this processor, to see that it can be, and store it as `model.xml` and `model.bin`."""
    import numpy as np

    from engines.quiet import import_openvino

    openvino = import_openvino()
    core = openvino.Core()
    network = core.read_model("model.onnx")
    core.compile_model(network, "CPU")
    openvino.save_model(network, "model.xml", compress_to_fp16=job["precision"] == "fp16")

    def spec(port: Any) -> dict[str, Any]:
        shape = [side.get_length() if side.is_static else None for side in port.get_partial_shape()]
        return {"name": port.get_any_name(), "shape": shape, "dtype": np.dtype(port.get_element_type().to_dtype()).name}

    return {"inputs": [spec(port) for port in network.inputs], "outputs": [spec(port) for port in network.outputs]}


def _torch(job: dict[str, Any]) -> dict[str, Any]:
    """Export model.onnx as a program of PyTorch's, `model.pt2`."""
    import onnx
    import torch

    from engines.torch_graph import export, specs_of

    model = onnx.load("model.onnx")
    program = export(model, job["shapes"], torch.bfloat16 if job["precision"] == "bf16" else torch.float16)
    torch.export.save(program, "model.pt2")
    return specs_of(model, program)
