"""A node of an ONNX graph as PyTorch runs it: its attributes decoded, its function, the inputs that must be numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Function = Callable[..., Any]
KINDS = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool,
    10: torch.float16, 11: torch.float64, 16: torch.bfloat16,
}  # fmt: skip
"""onnx.TensorProto.DataType -> torch dtype."""


class Unsupported(Exception):
    """The graph asks for something that has no place in an exported program."""


@dataclass(frozen=True)
class Operator:
    """How an operator runs.

    Attributes:
        run: (Node, *inputs) -> tensor or tuple of tensors; an absent optional input is None.
        host: places of inputs that come as Python numbers and lists wherever the graph fixes them: shapes, axes.
        soft: whether these may also come as tensors, when the data decides them.
    """

    run: Function
    host: tuple[int, ...] = ()
    soft: bool = False


@dataclass(frozen=True)
class Node:
    """One node.

    Attributes:
        op: operator. name: for messages. inputs, outputs: tensor names, "" where an optional one is absent.
        attributes: by name; tensors are torch's, a graph is onnx's. opset: version of the operators.
        half: what stands for FLOAT16: torch.float16 or torch.bfloat16.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int
    half: torch.dtype

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def kind(self, number: int) -> torch.dtype:
        """The torch dtype for an onnx one. Raises Unsupported."""
        if number not in KINDS:
            raise Unsupported(f"tensors of ONNX type {number}")
        return self.half if KINDS[number] == torch.float16 else KINDS[number]

    def refuse(self, what: str) -> Unsupported:
        """The error for something that this operator's function leaves out."""
        return Unsupported(f"{what} ({self.op} {self.name})")


def tensor_of(proto: Any, half: torch.dtype) -> torch.Tensor:
    """A stored ONNX tensor as torch's. Raises Unsupported."""
    from onnx import numpy_helper

    if proto.data_type not in KINDS:
        raise Unsupported(f"tensors of ONNX type {proto.data_type} ({proto.name})")
    kind = KINDS[proto.data_type]
    array = np.array(numpy_helper.to_array(proto), np.float32 if kind == torch.bfloat16 else None)
    return torch.from_numpy(array).to(half if kind == torch.float16 else kind)


def nodes_of(graph: Any, opset: int, half: torch.dtype) -> list[Node]:
    """All nodes of an onnx.GraphProto, in their order, which is topological. Raises Unsupported."""
    return [
        Node(
            node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}",
            node.name or (node.output[0] if node.output else ""), tuple(node.input), tuple(node.output),
            {given.name: _attribute(given, half) for given in node.attribute}, opset, half,
        )
        for node in graph.node
    ]  # fmt: skip


def _attribute(given: Any, half: torch.dtype) -> Any:
    from onnx import AttributeProto, helper

    if given.type == AttributeProto.TENSOR:
        return tensor_of(given.t, half)
    if given.type == AttributeProto.GRAPH:
        return given.g
    value = helper.get_attribute_value(given)
    return value.decode() if isinstance(value, bytes) else value
