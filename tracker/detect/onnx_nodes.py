"""Nodes of an ONNX graph, written as calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Nodes:
    """Nodes in the making; every call gives the name of what the node makes.

    Attributes:
        nodes, held: the nodes in their order, and the stored tensors that they read.
    """

    def __init__(self, prefix: str, opset: int) -> None:
        """Names begin with `prefix`; `opset` is the model's."""
        import onnx

        self._onnx, self._prefix, self._opset = onnx, prefix, opset
        self.nodes: list[Any] = []
        self.held: list[Any] = []

    def __call__(self, kind: str, *given: str | Array | float, name: str = "", **attributes: Any) -> str:
        """One node with one output, called `name` if it must be; arrays and floats (FP32) become stored tensors."""
        return self._add(kind, given, 1, name, attributes)[0]

    def pair(self, kind: str, *given: str | Array | float, **attributes: Any) -> tuple[str, str]:
        """One node with two outputs."""
        first, second = self._add(kind, given, 2, "", attributes)
        return first, second

    def cast(self, source: str, kind: str) -> str:
        """To a type by its name in onnx.TensorProto."""
        return self("Cast", source, to=getattr(self._onnx.TensorProto, kind))

    def part(self, source: str, begin: int, end: int, axis: int) -> str:
        """The entries begin..end of an axis."""
        return self("Slice", source, *(np.array([side]) for side in (begin, end, axis)))

    def shape(self, source: str, *sides: int) -> str:
        """Another shape; -1: what is left over."""
        return self("Reshape", source, np.array(sides))

    def largest(self, source: str, axis: int) -> str:
        """Maximum along an axis, which goes. Opset 18 made the axis an input."""
        if self._opset >= 18:
            return self("ReduceMax", source, np.array([axis]), keepdims=0)
        return self("ReduceMax", source, axes=[axis], keepdims=0)

    def _add(
        self, kind: str, given: tuple[str | Array | float, ...], count: int, name: str, attributes: dict[str, Any]
    ) -> list[str]:
        label = f"{self._prefix}/{kind}_{len(self.nodes)}"
        inputs = [each if isinstance(each, str) else self._hold(each, f"{label}/{k}") for k, each in enumerate(given)]
        outputs = [name] if name else [f"{label}/out_{k}" for k in range(count)]
        self.nodes.append(self._onnx.helper.make_node(kind, inputs, outputs, name=label, **attributes))
        return outputs

    def _hold(self, value: Array | float, name: str) -> str:
        array = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
        self.held.append(self._onnx.numpy_helper.from_array(array, name))
        return name
