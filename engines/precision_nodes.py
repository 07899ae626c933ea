"""Where in a graph the layers with weights are: what is before the first, what is behind the last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

WEIGHTED = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})


def name_nodes(model: Any) -> None:
    """Give each node a name of its own."""
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}_tracker"
        taken.add(node.name)


def tail(model: Any) -> tuple[set[str], set[str]]:
    """Names of the nodes behind the last layers with weights, and of those last layers; nodes must have names."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    behind: set[str] = set()
    last: set[str] = set()
    todo = [value.name for value in model.graph.output]
    while todo:
        node = made_by.get(todo.pop())
        if node is None or node.name in behind:
            continue
        if node.op_type in WEIGHTED:
            last.add(node.name)
            continue
        behind.add(node.name)
        todo += node.input
    return behind, last


def rounded(model: Any, behind: set[str]) -> set[str]:
    """Names of the nodes whose results are rounded to whole numbers further on; nodes must have names.

    A picture in the making. What is rounded among `behind`, where the network is done, or is only a size says nothing
    about the layers before it.
    """
    made_by = {name: node for node in model.graph.node for name in node.output}
    rounds = [node for node in model.graph.node if node.op_type in ("Round", "Floor") and node.name not in behind]
    found: set[str] = set()
    todo = [name for node in rounds for name in node.input]
    while todo:
        node = made_by.get(todo.pop())
        if node is not None and node.op_type not in ("Shape", "Size") and node.name not in found:
            found.add(node.name)
            todo += node.input
    return found


def first_layers(model: Any) -> set[str]:
    """Names of the layers with weights that nothing but other operators lies before; nodes must have names."""
    weights = {tensor.name for tensor in model.graph.initializer}
    raw = {value.name for value in model.graph.input} - weights
    found: set[str] = set()
    for node in model.graph.node:
        if raw.isdisjoint(node.input):
            continue
        if node.op_type in WEIGHTED:
            found.add(node.name)
        else:
            raw.update(node.output)
    return found


def depthwise(nodes: Iterable[Any]) -> set[str]:
    """Names of the convolutions whose channels do not all meet."""
    return {
        node.name
        for node in nodes
        if node.op_type == "Conv" and any(given.name == "group" and given.i > 1 for given in node.attribute)
    }
