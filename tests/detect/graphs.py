"""Tiny ONNX models that give the same outputs whatever they see, shaped and valued like those of real families."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tracker.detect.heads import cells

Array = NDArray[Any]
HEIGHT, WIDTH = SIZE = (64, 96)
COUNT = 8 * 12 + 4 * 6 + 2 * 3


def save(
    path: Path,
    outputs: Mapping[str, Array],
    *,
    shape: tuple[int | str, ...] = (1, 3, HEIGHT, WIDTH),
    open_rows: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a model with one input `x` of this shape; `open_rows`: the graph does not state its outputs' rows."""
    node, number = helper.make_node, numpy_helper.from_array
    held, infos = [number(np.float32(0), "zero"), number(np.int64(0), "first"), number(np.int64(1), "step")], []
    nodes = [node("ReduceMean", ["x"], ["mean"], keepdims=0), node("Mul", ["mean", "zero"], ["z"])]
    for name, array in outputs.items():
        held.append(number(array.astype(np.float32), f"{name}_held"))
        sum_ = f"{name}_sum" if open_rows else name
        nodes.append(node("Add", [f"{name}_held", "z"], [sum_]))
        if open_rows:  # All rows, by a number that only the run tells.
            held.append(number(np.float32(array.shape[1]), f"{name}_rows"))
            nodes += [
                node("Add", [f"{name}_rows", "z"], [f"{name}_limit"]),
                node("Cast", [f"{name}_limit"], [f"{name}_whole"], to=TensorProto.INT64),
                node("Range", ["first", f"{name}_whole", "step"], [f"{name}_indices"]),
                node("Gather", [sum_, f"{name}_indices"], [name], axis=1),
            ]
        sides = [array.shape[0], "rows" if open_rows else array.shape[1], *array.shape[2:]]
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sides))
    graph = helper.make_graph(
        nodes, "held", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)], infos, held
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, path)
    return path


def centres(size_hw: tuple[int, int] = SIZE) -> Array:
    """Centre of each cell, pixels, off by a little as those of a real network are."""
    grid, stride = cells(*size_hw)
    return (grid + 0.5) * stride + np.random.default_rng(1).normal(0, 0.4, grid.shape) * stride


def raw_grid(classes: int, size_hw: tuple[int, int] = SIZE) -> Array:
    """YOLOX: offsets in strides, objectness and classes far below any score."""
    rows = len(centres(size_hw))
    random = np.random.default_rng(2)
    return np.concatenate((random.normal(0.5, 0.5, (rows, 4)), random.random((rows, 1 + classes)) / 100), 1)[None]


def decoded(classes: int, objectness: float | None = None) -> Array:
    """The same after decoding in the graph; YOLOv6 where the objectness is all ones."""
    grid = raw_grid(classes)
    grid[0, :, :2], grid[0, :, 2:4] = centres(), 20
    if objectness is not None:
        grid[0, :, 4] = objectness
    return grid


def corners() -> Array:
    """YOLO-NAS: a box of 20 x 20 pixels about each cell."""
    return np.concatenate((centres() - 10, centres() + 10), 1)[None]
