"""Arithmetic on sizes that follow an open batch: numpy arrays of Python and of PyTorch's symbolic integers.

Exporters compute shapes in the graph (Shape, Gather, Concat, ...). Under torch.export the batch is a symbol, which a
tensor cannot hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from engines.torch_node import Node

Sizes = NDArray[np.object_]


def evaluate(node: Node, inputs: Sequence[Any]) -> Sizes:
    """The result of a node of TABLE: (any shape) of integers. Raises Unsupported."""
    return np.asarray(TABLE[node.op](node, *inputs), object)


def to_tensor(sizes: Sizes) -> torch.Tensor:
    """Sizes as an int64 tensor of the same shape."""
    flat = [torch.full((), size, dtype=torch.int64) for size in sizes.reshape(-1).tolist()]
    return torch.stack(flat).reshape(sizes.shape) if flat else torch.zeros(sizes.shape, dtype=torch.int64)


def _shape(node: Node, x: torch.Tensor) -> Sizes:
    return _array(list(x.shape)[node.get("start", 0) : node.get("end")])


def _array(values: Sequence[Any]) -> Sizes:
    """(N,); numpy alone would ask a symbol for its value."""
    made = np.empty(len(values), object)
    for place, value in enumerate(values):
        made[place] = value
    return made


def _cast(node: Node, x: Sizes) -> Sizes:
    if node.get("to") not in (onnx.TensorProto.INT32, onnx.TensorProto.INT64):
        raise node.refuse("sizes that follow the open batch as other than integers; build for a fixed batch")
    return x


def _axes(node: Node, given: Any) -> tuple[int, ...]:
    axes = node.get("axes", given)
    return tuple(int(axis) for axis in np.asarray(axes).reshape(-1))


def _slice(node: Node, x: Sizes, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Sizes:
    start, end = (
        int(np.asarray(node.get(name, value)).reshape(-1)[0]) for name, value in (("starts", starts), ("ends", ends))
    )
    return x[start : end : 1 if steps is None else int(steps[0])]


def _reshape(node: Node, x: Sizes, shape: Any) -> Sizes:
    return x.reshape([int(side) for side in shape])


def _divide(node: Node, x: Any, y: Any) -> Any:
    return np.asarray(x, object) // np.asarray(y, object)  # sizes are never negative


def _equal(node: Node, x: Any, y: Any) -> Any:
    return np.vectorize(lambda a, b: bool(a == b), otypes=[bool])(np.asarray(x, object), np.asarray(y, object))


def _where(node: Node, which: Any, x: Any, y: Any) -> Any:
    return np.where(np.asarray(which, bool), np.asarray(x, object), np.asarray(y, object))


SOURCES = frozenset({"Shape", "Size"})
"""Operators that tell the sizes of a tensor."""
TABLE: Mapping[str, Callable[..., Any]] = {
    "Add": lambda node, x, y: x + y,
    "Cast": _cast,
    "Concat": lambda node, *inputs: np.concatenate([np.asarray(x, object) for x in inputs]),
    "Div": _divide,
    "Equal": _equal,
    "Gather": lambda node, x, indices: x[np.asarray(indices)],
    "Identity": lambda node, x: x,
    "Mul": lambda node, x, y: x * y,
    "ReduceProd": lambda node, x, *axes: reduce(lambda a, b: a * b, x.tolist()),
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": lambda node, x: x.numel(),
    "Slice": _slice,
    "Squeeze": lambda node, x, axes=None: x.reshape(()) if x.size == 1 else x,
    "Sub": lambda node, x, y: x - y,
    "Unsqueeze": lambda node, x, axes=None: np.expand_dims(x, _axes(node, axes)),
    "Where": _where,
}
"""ONNX operator -> its result on sizes."""
