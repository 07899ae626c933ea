"""An ONNX graph as a torch.nn.Module that torch.export can trace, and as the exported program.

All that does not depend on the pictures is computed once, at conversion: weights that exporters keep behind casts,
anchors, shapes. What is left is one call of PyTorch a node. Where the batch stays open, the sizes that follow it are
carried as PyTorch's symbolic integers.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engines import torch_layers, torch_ops, torch_shapes, torch_sizes
from engines.torch_node import KINDS, Node, Operator, Unsupported, nodes_of, tensor_of

OPERATORS: Mapping[str, Operator] = {**torch_ops.TABLE, **torch_shapes.TABLE, **torch_layers.TABLE}


class OnnxModule(torch.nn.Module):  # type: ignore[misc]
    """The graph of an ONNX model, for inputs of fixed shapes or of an open batch.

    Attributes:
        kinds: the inputs, in their order: name -> dtype.
    """

    def __init__(self, model: Any, shapes: Mapping[str, Sequence[tuple[int, ...]]], half: torch.dtype) -> None:
        """Compute what can be computed now.

        Args:
            model: an onnx.ModelProto whose inputs have all their sides but an open batch, as
                `build_graph.prepare` leaves them.
            shapes: two shapes of each input, by name; they differ in the batch, if that is open.
            half: what stands for FLOAT16 inside: torch.float16, or torch.bfloat16.

        Raises:
            Unsupported: an operator, a type or a shape that depends on the data.
        """
        super().__init__()
        opset = next((given.version for given in model.opset_import if given.domain in ("", "ai.onnx")), 1)
        constants = {tensor.name: tensor_of(tensor, half) for tensor in model.graph.initializer}
        self._half = half
        self.kinds = {
            value.name: KINDS[value.type.tensor_type.elem_type]
            for value in model.graph.input
            if value.name not in constants
        }
        self._outputs = [(value.name, value.type.tensor_type.elem_type) for value in model.graph.output]
        nodes = nodes_of(model.graph, opset, half)
        first, second = (
            _probe(nodes, constants, {
                name: torch.empty(shapes[name][place], dtype=self._inner(kind), device="meta")
                for name, kind in self.kinds.items()
            })
            for place in (0, 1)
        )  # fmt: skip
        known = {name: value for name, value in first.known.items() if _same(value, second.known.get(name))}
        outputs = [name for name, _ in self._outputs]
        self._nodes = _with_silu(_needed(first.nodes, outputs, set(known)), outputs)
        self._sizes = _sizes(self._nodes, set(first.known) - set(known), set(known))
        self._numbers: dict[str, Any] = {}
        self._buffer_names: dict[str, str] = {}
        self._keep(known)

    def _inner(self, kind: torch.dtype) -> torch.dtype:
        return self._half if kind == torch.float16 else kind

    def _keep(self, known: Mapping[str, Tensor]) -> None:
        """What nodes read of the constants: as numbers, or as tensors, which become buffers."""
        read = [
            (name, self._on_sizes(node) or place in OPERATORS[node.op].host)
            for node in self._nodes
            for place, name in enumerate(node.inputs)
        ]
        for name, host in [*read, *((name, False) for name, _ in self._outputs)]:
            if name not in known:
                continue
            if host:
                self._numbers[name] = known[name].tolist()
            elif name not in self._buffer_names:
                self._buffer_names[name] = f"constant_{len(self._buffer_names)}"
                # A copy: two buffers in one piece of memory are more than torch.export.save takes.
                kept = known[name].clone(memory_format=torch.contiguous_format)
                self.register_buffer(self._buffer_names[name], kept)

    def _on_sizes(self, node: Node) -> bool:
        """Whether what a node makes are sizes that follow the batch."""
        return node.outputs[0] in self._sizes

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The graph's outputs, in its order."""
        values: dict[str, Any] = {name: x.to(self._inner(x.dtype)) for name, x in zip(self.kinds, inputs, strict=True)}
        for node in self._nodes:
            if self._on_sizes(node):
                given = [self._numbers.get(name, values.get(name)) for name in node.inputs]
                values[node.outputs[0]] = torch_sizes.evaluate(node, given)
                continue
            host = OPERATORS[node.op].host
            values |= _run(node, [self._take(name, values, place in host) for place, name in enumerate(node.inputs)])
        return tuple(self._take(name, values, False).to(KINDS[kind]) for name, kind in self._outputs)

    def _take(self, name: str, values: Mapping[str, Any], host: bool) -> Any:
        """An input of a node: a tensor, or Python numbers where it wants these and the graph fixes them."""
        if not name:
            return None
        if host and name in self._numbers:
            return self._numbers[name]
        if name in self._buffer_names:
            return getattr(self, self._buffer_names[name])
        value = values[name]
        if name in self._sizes:
            return value.tolist() if host else torch_sizes.to_tensor(value)
        return value


class _Probe:
    """One run over the shapes alone: what is known without the pictures, and the nodes that lead there."""

    def __init__(self, known: dict[str, Tensor]) -> None:
        self.known, self.nodes = known, list[Node]()


def _probe(nodes: Iterable[Node], constants: Mapping[str, Tensor], feeds: Mapping[str, Tensor]) -> _Probe:
    """Run with inputs that have no content ("meta"); what comes out with content is known. Raises Unsupported."""
    found, values, todo = _Probe(dict(constants)), dict(feeds), deque(nodes)
    while todo:
        node = todo.popleft()
        if node.op == "If":
            todo.extendleft(reversed(_branch(node, found.known)))
            continue
        if node.op not in OPERATORS:
            raise Unsupported(f"operator {node.op} ({node.name}) has no place in an exported program")
        host, known = OPERATORS[node.op].host, all(name in found.known for name in node.inputs if name)
        inputs: list[Any] = []
        for place, name in enumerate(node.inputs):
            value = found.known.get(name, values.get(name))
            if value is not None and place in host and name in found.known:
                inputs.append(value.tolist())
            else:
                inputs.append(value if value is None or known else value.to("meta"))
        results = _run(node, inputs)
        if known or node.op in ("Shape", "Size"):
            found.known |= results
        else:
            values |= {name: value.to("meta") for name, value in results.items()}
        found.nodes.append(node)
    return found


def _branch(node: Node, known: Mapping[str, Tensor]) -> list[Node]:
    """The nodes of the branch that a known condition takes, and its results under the names outside."""
    if node.inputs[0] not in known:
        raise node.refuse("a branch that depends on the data")
    graph = node.get("then_branch" if known[node.inputs[0]].item() else "else_branch")
    held = [
        Node(
            "Constant", tensor.name, (), (tensor.name,), {"value": tensor_of(tensor, node.half)}, node.opset, node.half
        )
        for tensor in graph.initializer
    ]
    renamed = [
        Node("Identity", outer, (inner.name,), (outer,), {}, node.opset, node.half)
        for inner, outer in zip(graph.output, node.outputs, strict=True)
    ]
    return [*held, *nodes_of(graph, node.opset, node.half), *renamed]


def _run(node: Node, inputs: Sequence[Any]) -> dict[str, Any]:
    """Outputs by name. Raises Unsupported."""
    operator = OPERATORS[node.op]
    for place in () if operator.soft else operator.host:
        if place < len(inputs) and isinstance(inputs[place], Tensor):
            raise node.refuse(f"input {place} depends on the data")
    try:
        results = operator.run(node, *inputs)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise node.refuse(reason) from error
    results = results if isinstance(results, tuple) else (results,)
    return {name: result for name, result in zip(node.outputs, results, strict=False) if name}


def _same(value: Tensor, other: Tensor | None) -> bool:
    return other is not None and value.shape == other.shape and torch.equal(value, other)


def _sizes(nodes: Sequence[Node], symbolic: set[str], known: set[str]) -> set[str]:
    """Of what follows the batch alone, the tensors that are computed as sizes; the others are PyTorch's."""
    found: set[str] = set()
    for node in nodes:
        able = node.op in torch_sizes.SOURCES or (
            node.op in torch_sizes.TABLE and all(name in known or name in found for name in node.inputs if name)
        )
        if able and symbolic.issuperset(node.outputs):
            found.update(node.outputs)
    return found


def _needed(nodes: Sequence[Node], outputs: Iterable[str], known: set[str]) -> list[Node]:
    """The nodes that the outputs need and whose results are not known already."""
    wanted, found = set(outputs) - known, list[Node]()
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            found.append(node)
            wanted.update(name for name in node.inputs if name and name not in known)
    return found[::-1]


def _with_silu(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes with x * Sigmoid(x), which exporters write for SiLU, as one: half the passes over the memory."""
    readers = Counter([name for node in nodes for name in node.inputs] + list(outputs))
    gates = {node.outputs[0]: node for node in nodes if node.op == "Sigmoid" and readers[node.outputs[0]] == 1}
    dropped, made = set[str](), list[Node]()
    for node in nodes:
        gate = next((gates[name] for name in node.inputs if name in gates), None)
        if node.op == "Mul" and gate and sorted(node.inputs) == sorted((gate.inputs[0], gate.outputs[0])):
            dropped.add(gate.outputs[0])
            made.append(replace(node, op="Silu", inputs=gate.inputs))
        else:
            made.append(node)
    return [node for node in made if node.outputs[0] not in dropped]


def export(model: Any, profiles: Mapping[str, Any], half: torch.dtype) -> Any:
    """`model` (see OnnxModule) as a torch.export.ExportedProgram, traced with an empty picture.

    Args:
        model: the graph. profiles: least, best and largest shape of each input by name; only the batch may be open.
        half: see OnnxModule.

    Raises:
        Unsupported: see OnnxModule; or another side than the batch is open.
    """
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    limits: dict[str, tuple[int, int]] = {}
    for name, (least, _, largest) in profiles.items():
        low, high = tuple(least), tuple(largest)
        if low[1:] != high[1:]:
            raise Unsupported(f"input {name} from {low} to {high}: only the batch of an exported program may be open")
        shapes[name] = (low, low)
        if low != high:
            # A batch of 1 would be taken for a constant; two different ones tell what follows the batch.
            shapes[name], limits[name] = ((2, *low[1:]), (3 if high[0] > 2 else 1, *low[1:])), (low[0], high[0])
    module = OnnxModule(model, shapes, half).eval()
    examples = tuple(torch.zeros(shapes[name][0], dtype=kind) for name, kind in module.kinds.items())
    sizes = {pair: torch.export.Dim(f"batch_{pair[0]}_{pair[1]}", min=pair[0], max=pair[1]) for pair in limits.values()}
    dynamic = [{0: sizes[limits[name]]} if name in limits else None for name in module.kinds]
    with torch.no_grad():
        program = torch.export.export(module, examples, dynamic_shapes=(tuple(dynamic),), strict=False)
    program.example_inputs = None  # they would be stored with it
    return program


def specs_of(model: Any, program: Any) -> dict[str, list[dict[str, Any]]]:
    """Name, shape (None: open) and dtype of a program's inputs and outputs; the names are those of its `model`."""
    weights = {tensor.name for tensor in model.graph.initializer}
    names = {
        "inputs": [value.name for value in model.graph.input if value.name not in weights],
        "outputs": [value.name for value in model.graph.output],
    }
    user = set(program.graph_signature.user_inputs)
    nodes = {
        "inputs": [node for node in program.graph.nodes if node.op == "placeholder" and node.name in user],
        "outputs": list(program.graph.output_node().args[0]),
    }

    def spec(name: str, value: Tensor) -> dict[str, Any]:
        shape = [side if isinstance(side, int) else None for side in value.shape]
        return {"name": name, "shape": shape, "dtype": str(value.dtype).removeprefix("torch.")}

    return {
        kind: [spec(name, node.meta["val"]) for name, node in zip(names[kind], found, strict=True)]
        for kind, found in nodes.items()
    }
