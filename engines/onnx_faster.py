"""A YOLO graph rewritten for ONNX Runtime on a processor: the same results with less carrying about.

ONNX Runtime keeps the channels of pictures in blocks on x86, and takes them out of it for every operator that knows
nothing of blocks. Two habits of YOLO exports cost 15 % of the network's time for that:

- Conv, SiLU, Split into halves (C2f and its like): made two convolutions with half of the weights each. Every value
  comes out of the same sums, bit for bit.
- The softmax of a distribution over distances, along an axis that is not the last, then a convolution that takes the
  mean (DFL, Li et al. 2020, "Generalized Focal Loss"): made exp, one product with two rows (the weighted sum and the
  sum), and a division. Equal up to rounding, 1e-4 pixels.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from engines.base import Array
from engines.onnx_wire import (
    Bytes,
    Field,
    Node,
    all_of,
    array_of,
    elsewhere,
    ints,
    read,
    tag_of,
    tensor_of,
    texts,
    whole_number,
    whole_numbers,
    write,
)

GRAPH, OPSETS = 7, 8
NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO = 1, 5, 11, 12, 13
OLDEST_OPSET = 13
"""From it on Split reads its sizes from an input, and Softmax is of one axis."""
AXES_OPSET = 18
"""From it on ReduceMax reads its axes from an input."""
BLOCK = 16
"""Channels of a block with AVX-512, two blocks with AVX2: what does not fill blocks is not split."""
LARGEST_BYTES = 1 << 30


def faster(model: Path) -> bytes | None:
    """The content of an .onnx file with its graph rewritten; None where nothing in it is, or it is none."""
    if model.stat().st_size > LARGEST_BYTES:
        return None
    try:
        return rewritten(model.read_bytes())
    except (ValueError, IndexError):
        return None  # not an ONNX file: the runtime says so better


def rewritten(content: bytes) -> bytes | None:
    """The same for the content of a file. Raises ValueError for what is no ONNX file."""
    fields = read(content)
    (message,) = all_of(fields, GRAPH) or [b""]
    opsets = [read(entry) for entry in all_of(fields, OPSETS)]
    opset = next((ints(entry, 2)[0] for entry in opsets if texts(entry, 1) in ([], [""])), 0)
    graph = Graph(read(message), opset)
    if opset < OLDEST_OPSET or not graph.plain or not (_split_convolutions(graph) + _mean_by_product(graph)):
        return None
    return write((tag, graph.message() if tag == tag_of(GRAPH) else value) for tag, value in fields)


class Graph:
    """A graph whose nodes can be replaced.

    Attributes:
        nodes: in their order, as they were read. makers: node by what it makes. readers: how many read it, outputs of
            the graph included.
    """

    def __init__(self, fields: list[Field], opset: int) -> None:
        """Of a GraphProto."""
        self._fields, self.opset = fields, opset
        self.nodes = [Node.parse(value) for value in all_of(fields, NODE)]
        self.makers = {name: node for node in self.nodes for name in node.outputs}
        self.readers = Counter(name for node in self.nodes for name in node.inputs)
        self.readers.update(name for value in all_of(fields, OUTPUT) for name in texts(read(value), 1))
        self._stored: dict[str, Bytes] = {texts(read(value), 8)[0]: value for value in all_of(fields, INITIALIZER)}
        self._given = {name for value in all_of(fields, INPUT) for name in texts(read(value), 1)}
        self._held: list[bytes] = []
        self._instead: dict[int, list[Node]] = {}

    @property
    def plain(self) -> bool:
        """Whether no node holds a graph, which may read anything of this one, and no values are in another file."""
        inner = [value for node in self.nodes for value in node.tensors]
        return not any(node.has_graph for node in self.nodes) and not any(
            map(elsewhere, [*self._stored.values(), *inner])
        )

    def constant(self, name: str) -> Array | None:
        """Values of a stored tensor, through Identity, or of a Constant; None where they are not fixed."""
        node = self.makers.get(name)
        while node is not None and node.kind == "Identity":
            name = node.inputs[0]
            node = self.makers.get(name)
        if node is not None:
            tensor = next(iter(node.tensors), None) if node.kind == "Constant" else None
        else:
            tensor = None if name in self._given else self._stored.get(name)  # an input's is only its default
        return None if tensor is None else array_of(tensor)

    def before(self, name: str, kind: str, readers: int = 1) -> Node | None:
        """The node that makes this for so many readers, if it is of the kind."""
        node = self.makers.get(name)
        fits = node is not None and (node.kind, node.domain) == (kind, "") and self.readers[name] == readers
        return node if fits else None

    def hold(self, array: Array, name: str) -> str:
        """Store a tensor."""
        self._held.append(tensor_of(array, name))
        return name

    def replace(self, node: Node, others: list[Node], gone: list[Node]) -> None:
        """Put nodes in the place of one, and take out those before it that nothing reads any more."""
        self._instead[id(node)] = others
        self._instead |= {id(each): [] for each in gone}

    def message(self) -> bytes:
        """As a GraphProto. What was noted about shapes is left out: the runtime finds it again."""
        kept = [(tag, value) for tag, value in self._fields if tag not in (tag_of(NODE), tag_of(VALUE_INFO))]
        nodes = [other for node in self.nodes for other in self._instead.get(id(node), [node])]
        made: list[Field] = [(tag_of(NODE), node.message()) for node in nodes]
        return write([*made, *kept, *((tag_of(INITIALIZER), tensor) for tensor in self._held)])


def _split_convolutions(graph: Graph) -> int:
    """Conv, SiLU, Split of the channels -> a Conv and SiLU a part. How many there were."""
    return sum(_split_one(graph, node) for node in graph.nodes if (node.kind, node.domain) == ("Split", ""))


def _split_one(graph: Graph, split: Node) -> bool:
    """The same for one Split; False where it is another one."""
    times = graph.before(split.inputs[0], "Mul")
    sigmoid = next(filter(None, (graph.before(name, "Sigmoid") for name in times.inputs)), None) if times else None
    conv = graph.before(sigmoid.inputs[0], "Conv", readers=2) if sigmoid else None
    if not (times and sigmoid and conv) or set(times.inputs) != {*sigmoid.outputs, *conv.outputs}:
        return False
    held = [graph.constant(name) for name in conv.inputs[1:]]
    sizes = _sizes(graph, split, 0 if held[0] is None else len(held[0]))
    whole = conv.number("group", 1) == 1 and split.number("axis", 0) == 1 and all(split.outputs)
    if not whole or not sizes or any(size % BLOCK for size in sizes) or any(part is None for part in held):
        return False
    made, at = list[Node](), 0
    for size, name in zip(sizes, split.outputs, strict=True):
        parts = [
            graph.hold(part[at : at + size], f"{name}/split/{k}") for k, part in enumerate(held) if part is not None
        ]
        raw, gate = f"{name}/split/conv", f"{name}/split/sigmoid"
        made += [
            Node("Conv", [conv.inputs[0], *parts], [raw], conv.attributes),
            Node("Sigmoid", [raw], [gate]),
            Node("Mul", [raw, gate], [name]),
        ]
        at += size
    graph.replace(split, made, [conv, sigmoid, times])
    return True


def _sizes(graph: Graph, split: Node, channels: int) -> list[int]:
    """Channels of each part; empty where it is not known."""
    count = len(split.outputs)
    if len(split.inputs) > 1 and split.inputs[1]:
        given = graph.constant(split.inputs[1])
        sizes = [] if given is None else [int(size) for size in given.reshape(-1)]
    else:
        sizes = [] if channels % count else [channels // count] * count
    return sizes if len(sizes) == count and sum(sizes) == channels else []


def _mean_by_product(graph: Graph) -> int:
    """Transpose, Softmax, Conv to one channel -> exp, product, division. How many there were."""
    return sum(_mean_of_one(graph, node) for node in graph.nodes if (node.kind, node.domain) == ("Conv", ""))


def _mean_of_one(graph: Graph, conv: Node) -> bool:
    """The same for one Conv; False where it is another one."""
    weights = graph.constant(conv.inputs[1]) if len(conv.inputs) == 2 else None
    if weights is None or weights.dtype != np.float32 or weights.shape != (1, weights.size, 1, 1):
        return False
    softmax = graph.before(conv.inputs[0], "Softmax")
    turned = graph.before(softmax.inputs[0], "Transpose") if softmax and softmax.number("axis", -1) == 1 else None
    steps, pads = set(conv.numbers("strides")), set(conv.numbers("pads"))
    plain = steps <= {1} and pads <= {0} and "auto_pad" not in conv.attributes
    if not (softmax and turned and plain) or turned.numbers("perm") != [0, 2, 1, 3]:
        return False
    made = _mean(graph, turned.inputs[0], weights.reshape(-1), conv.outputs[0])
    graph.replace(conv, made, [softmax, turned])
    return True


def _mean(graph: Graph, logits: str, values: Array, name: str) -> list[Node]:
    """Mean of `values` (n,), weighted by the softmax of logits (B, 4, n, A) over n, as (B, 1, 4, A) called `name`."""
    most, less, raised, sums, weighted, total, mean = (f"{name}/mean/{k}" for k in range(7))
    rows = graph.hold(np.stack((values, np.ones_like(values))), f"{name}/mean/rows")
    keep: dict[str, Bytes] = {"keepdims": whole_number("keepdims", 1)}
    if graph.opset >= AXES_OPSET:
        largest = Node("ReduceMax", [logits, graph.hold(np.array([2], np.int64), f"{name}/mean/axis")], [most], keep)
    else:
        largest = Node("ReduceMax", [logits], [most], keep | {"axes": whole_numbers("axes", [2])})
    halves = graph.hold(np.array([1, 1], np.int64), f"{name}/mean/halves")
    return [
        largest,
        Node("Sub", [logits, most], [less]),
        Node("Exp", [less], [raised]),
        Node("MatMul", [rows, raised], [sums]),
        Node("Split", [sums, halves], [weighted, total], {"axis": whole_number("axis", 2)}),
        Node("Div", [weighted, total], [mean]),
        Node("Transpose", [mean], [name], {"perm": whole_numbers("perm", [0, 2, 1, 3])}),
    ]
