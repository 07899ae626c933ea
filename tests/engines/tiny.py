"""A small network in the shape of a detector, for tests of conversions and builds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUT = (1, 3, 32, 32)


def save_tiny(path: Path, *, batch: int | str = 1, stuck: bool = False, seed: int = 0) -> Path:
    """Conv, SiLU, depthwise Conv, Conv, Reshape, decoding to pixels; `stuck`: a batch of 1 is also in a Concat."""
    rng = np.random.default_rng(seed)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        return numpy_helper.from_array((rng.normal(size=shape) * scale).astype(np.float32), name)

    held = [
        weight("w1", 16, 3, 3, 3), weight("w2", 16, 1, 3, 3), weight("w3", 16, 16, 1, 1), weight("w4", 6, 16, 1, 1),
        numpy_helper.from_array(np.array([1 if batch == 1 else 0, 6, -1], np.int64), "shape"),
        numpy_helper.from_array(np.float32(400.25), "stride"),
        numpy_helper.from_array(np.zeros((1, 6, 1), np.float32), "z"),
    ]  # fmt: skip
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["images", "w1"], ["a"], strides=[2, 2], **pads),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Mul", ["a", "b"], ["c"]),
        helper.make_node("Conv", ["c", "w2"], ["d"], group=16, **pads),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("Conv", ["e", "w3"], ["f"]),
        helper.make_node("Relu", ["f"], ["g"]),
        helper.make_node("Conv", ["g", "w4"], ["h"]),
        helper.make_node("Reshape", ["h", "shape"], ["i"]),
        helper.make_node("Sigmoid", ["i"], ["j"]),
        helper.make_node("Mul", ["j", "stride"], ["k"]),
        helper.make_node("Concat", ["k", "z"], ["boxes"], axis=2)
        if stuck
        else helper.make_node("Identity", ["k"], ["boxes"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("images", TensorProto.FLOAT, (batch, *INPUT[1:]))],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, (batch, 6, 257 if stuck else 256))], held,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def pictures(count: int, seed: int = 1) -> list[dict[str, np.ndarray]]:
    """Inputs of the network."""
    rng = np.random.default_rng(seed)
    return [{"images": rng.uniform(0, 1, INPUT).astype(np.float32)} for _ in range(count)]
