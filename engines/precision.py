"""ONNX -> ONNX in another precision. Strongly typed compilers take the precision from the graph, so the graph says it.

FP16: what is safe in half precision is converted, node by node, from a list; all else stays FP32 between two casts.
So does everything behind the last layer with weights: decoding makes pixels, and 416.25 has no place in half precision;
and what is rounded to whole numbers later on: a picture in the making.
(onnxruntime.transformers.float16 and onnxconverter-common take a list of nodes to leave out, too, but write a cast's
name twice where two of them read one tensor; no runtime loads that.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import Array, EngineLoadError, EngineUnavailable
from engines.precision_int8 import to_int8
from engines.precision_nodes import WEIGHTED, name_nodes, rounded, tail

PRECISIONS = ("fp32", "fp16", "int8")
RECIPE = 2
"""Part of every plan's key: raised when a conversion here changes what it writes."""
HALF = WEIGHTED | {
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "DepthToSpace", "Div",
    "Elu", "Expand", "Flatten", "Gelu", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish",
    "Identity", "LeakyRelu", "MaxPool", "Mish", "Mul", "PRelu", "Pad", "Relu", "Reshape", "Resize", "Sigmoid",
    "Silu", "Slice", "Softplus", "SpaceToDepth", "Split", "Squeeze", "Sub", "Tanh", "Tile", "Transpose",
    "Unsqueeze",
}  # fmt: skip
"""Operators that may run in half precision."""
FLOAT_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
"""Inputs that the standard wants in FP32 whatever the others are."""
HALF_MAX = 65504.0


def load_onnx(path: Path) -> Any:
    """The model in this file, external weights included.

    Raises:
        EngineUnavailable: the library `onnx` is not installed.
        EngineLoadError: not an ONNX file.
    """
    try:
        import onnx
    except ImportError as error:
        raise EngineUnavailable(f"onnx cannot be imported ({error}); pip install 'tracker[build]'") from None
    try:
        return onnx.load(str(path))
    except Exception as error:  # protobuf's DecodeError, OSError, onnx's own
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise EngineLoadError(f"{path} is not an ONNX model: {reason}") from None


def convert(model: Any, precision: str, feeds: Sequence[Mapping[str, Array]], folder: Path) -> Any:
    """`model` (an onnx.ModelProto, left as it is) in one of PRECISIONS; `feeds`, `folder`: see `to_int8`.

    Raises:
        EngineLoadError: the model cannot be converted. ValueError: no such precision.
    """
    if precision == "fp32":
        return model
    if precision == "fp16":
        return to_fp16(model)
    if precision == "int8":
        return to_int8(model, feeds, folder)
    raise ValueError(f"precision must be one of {PRECISIONS}, got {precision}")


def to_fp16(model: Any) -> Any:
    """A copy of `model` in half precision but for its inputs, its outputs and what is sensitive.

    Raises:
        EngineLoadError: the types in the graph cannot be inferred.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    name_nodes(made)
    try:
        known = onnx.shape_inference.infer_shapes(made, strict_mode=True)
    except Exception as error:  # onnx.shape_inference.InferenceError, RuntimeError
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise EngineLoadError(f"the model cannot be converted to FP16: {reason}") from None
    _Halver(made, known).run()
    del made.graph.value_info[:]
    return made


class _Halver:
    """One conversion: which tensors are FP32, which of them exist in half precision and under what name."""

    def __init__(self, model: Any, known: Any) -> None:
        """Of `model`, in place; `known`: the same with the types of all tensors."""
        import onnx

        self._onnx, self._graph = onnx, model.graph
        single = onnx.TensorProto.FLOAT
        graph = known.graph
        values = (*graph.value_info, *graph.input, *graph.output)
        self._single = {value.name for value in values if value.type.tensor_type.elem_type == single}
        self._weights = {w.name: w for w in model.graph.initializer if w.data_type == single}
        self._single |= set(self._weights)
        self._outputs = {value.name for value in graph.output}
        behind = tail(model)[0]
        self._exact = behind | rounded(model, behind)
        self._halved: dict[str, str] = {}  # FP32 tensor -> its half-precision version
        self._widened: set[str] = set()  # FP32 tensors that are cast back from a half-precision one
        self._native: set[str] = set()  # FP32 tensors whose producer runs in half precision now
        self._nodes: list[Any] = []

    def run(self) -> None:
        """Rewrite the nodes, in their order (which is topological), and drop weights that nobody reads any more."""
        for node in list(self._graph.node):
            if self._is_half(node):
                self._halve(node)
            else:
                for name in self._read_by(node):
                    self._widen(name)
                self._nodes.append(node)
        for name in sorted(self._outputs):
            self._widen(name)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        used = {name for node in self._graph.node for name in self._read_by(node)} | self._outputs
        kept = [weight for weight in self._graph.initializer if weight.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _is_half(self, node: Any) -> bool:
        if node.op_type not in HALF or node.name in self._exact or node.domain not in ("", "ai.onnx"):
            return False
        return any(name in self._single for name in node.output)

    def _read_by(self, node: Any) -> Iterator[str]:
        """Tensors that a node reads, its subgraphs (If, Loop) included."""
        yield from node.input
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                for inner in graph.node:
                    yield from self._read_by(inner)
                yield from (value.name for value in graph.output)

    def _halve(self, node: Any) -> None:
        """Let `node` run in half precision."""
        keep = FLOAT_INPUTS.get(node.op_type, ())
        for place, name in enumerate(node.input):
            if name in self._single and place in keep:
                self._widen(name)
            elif name in self._single:
                node.input[place] = self._half(name)
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to":
                attribute.i = self._onnx.TensorProto.FLOAT16
            elif node.op_type == "Constant" and attribute.name == "value":
                attribute.t.CopyFrom(self._half_tensor(attribute.t, attribute.t.name))
        for place, name in enumerate(node.output):
            if name in self._single:
                self._native.add(name)
                self._halved[name] = node.output[place] = f"{name}/half"
        self._nodes.append(node)

    def _half(self, name: str) -> str:
        """Name of the half-precision version of an FP32 tensor, made where there is none yet."""
        if name not in self._halved:
            self._halved[name] = f"{name}/half"
            if name in self._weights:
                self._graph.initializer.append(self._half_tensor(self._weights[name], f"{name}/half"))
            else:
                self._cast(name, f"{name}/half", self._onnx.TensorProto.FLOAT16)
        return self._halved[name]

    def _widen(self, name: str) -> None:
        """See to it that the FP32 tensor `name` exists although its producer runs in half precision."""
        if name in self._native and name not in self._widened:
            self._widened.add(name)
            self._cast(self._halved[name], name, self._onnx.TensorProto.FLOAT)

    def _cast(self, source: str, target: str, kind: int) -> None:
        name = f"{target}/cast"
        self._nodes.append(self._onnx.helper.make_node("Cast", [source], [target], name=name, to=kind))

    def _half_tensor(self, tensor: Any, name: str) -> Any:
        """A tensor's copy in half precision; what is too large for it becomes the largest that is not."""
        values = self._onnx.numpy_helper.to_array(tensor)
        finite = np.where(np.isfinite(values), np.clip(values, -HALF_MAX, HALF_MAX), values)
        return self._onnx.numpy_helper.from_array(finite.astype(np.float16), name)
