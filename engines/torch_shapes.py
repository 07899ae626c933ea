"""ONNX operators that move, cut and pick elements, in PyTorch. See torch_ops for the rules."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engines.torch_node import Node, Operator

Numbers = Sequence[Any]


def _constant(node: Node) -> Tensor:
    kinds = {"value_float": torch.float32, "value_floats": torch.float32}
    for name, value in node.attributes.items():
        return value if isinstance(value, Tensor) else torch.tensor(value, dtype=kinds.get(name, torch.int64))
    raise node.refuse("a constant without a value")


def _constant_of_shape(node: Node, shape: Numbers) -> Tensor:
    value = node.get("value", torch.zeros(1))
    return torch.full(tuple(shape), value.item(), dtype=value.dtype)


def _range(node: Node, start: Any, limit: Any, delta: Any) -> Tensor:
    whole = not any(isinstance(value, float) for value in (start, limit, delta))
    return torch.arange(start, limit, delta, dtype=torch.int64 if whole else torch.float32)


def _shape(node: Node, x: Tensor) -> Tensor:
    return torch.tensor(list(x.shape)[node.get("start", 0) : node.get("end")], dtype=torch.int64)


def _size(node: Node, x: Tensor) -> Tensor:
    return torch.tensor(x.numel())


def _reshape(node: Node, x: Tensor, shape: Numbers) -> Tensor:
    if not node.get("allowzero", 0):
        shape = [x.shape[k] if isinstance(side, int) and side == 0 else side for k, side in enumerate(shape)]
    return x.reshape(tuple(shape))


def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis += x.dim() if axis < 0 else 0
    return x.reshape(prod(x.shape[:axis]), -1)


def _squeeze(node: Node, x: Tensor, axes: Numbers | None = None) -> Tensor:
    axes = node.get("axes", axes)
    if axes is None:
        axes = [k for k, side in enumerate(x.shape) if isinstance(side, int) and side == 1]
    return x.squeeze(tuple(axes))


def _unsqueeze(node: Node, x: Tensor, axes: Numbers | None = None) -> Tensor:
    axes = node.get("axes", axes)
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _transpose(node: Node, x: Tensor) -> Tensor:
    return x.permute(node.get("perm", list(range(x.dim()))[::-1]))


def _concat(node: Node, *inputs: Tensor) -> Tensor:
    return torch.cat(inputs, node.get("axis"))


def _split(node: Node, x: Tensor, sizes: Numbers | None = None) -> tuple[Tensor, ...]:
    axis, sizes = node.get("axis", 0), node.get("split", sizes)
    piece = -(-x.shape[axis] // len(node.outputs)) if sizes is None else list(sizes)
    return tuple(torch.split(x, piece, axis))


def _slice(
    node: Node, x: Tensor, starts: Numbers | None = None, ends: Numbers | None = None, axes: Numbers | None = None,
    steps: Numbers | None = None,
) -> Tensor:  # fmt: skip
    starts, ends, axes = node.get("starts", starts), node.get("ends", ends), node.get("axes", axes)
    if starts is None or ends is None:
        raise node.refuse("a slice without ends")
    axes = range(len(starts)) if axes is None else axes
    for axis, start, end, step in zip(axes, starts, ends, steps or [1] * len(starts), strict=True):
        if step > 0:
            x = x[(slice(None),) * (axis % x.dim()) + (slice(start, end, step),)]
        else:
            # Far beyond the left end means the end in ONNX; -1 there is the last element, as in Python.
            places = range(x.shape[axis])[slice(start, None if end < -x.shape[axis] else end, step)]
            x = x.index_select(axis, torch.tensor(places, device=x.device))
    return x


def _gather(node: Node, x: Tensor, indices: Any) -> Tensor:
    axis = node.get("axis", 0) % x.dim()
    if isinstance(indices, int):
        return x.select(axis, indices)
    if not isinstance(indices, Tensor):
        indices = torch.tensor(indices, device=x.device)
    flat = _positive(indices.reshape(-1), x.shape[axis])
    return x.index_select(axis, flat).reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _positive(indices: Tensor, size: Any) -> Tensor:
    """Indices that count from the end, counted from the start."""
    return torch.where(indices < 0, indices + size, indices)


def _gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = node.get("axis", 0)
    return x.gather(axis, _positive(indices, x.shape[axis]).to(torch.int64))


def _gather_nd(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    batch = node.get("batch_dims", 0)
    sides = x.shape[:batch]
    where = [
        torch.arange(side, device=x.device).reshape([-1 if k == axis else 1 for k in range(indices.dim() - 1)])
        for axis, side in enumerate(sides)
    ]
    return x[tuple(where) + indices.unbind(-1)]


def _scatter_elements(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    axis, how = node.get("axis", 0), node.get("reduction", "none")
    indices = _positive(indices, x.shape[axis]).to(torch.int64)
    if how == "none":
        return x.scatter(axis, indices, updates)
    names = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    return x.scatter_reduce(axis, indices, updates, names[how])


def _scatter_nd(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    how = node.get("reduction", "none")
    if how not in ("none", "add"):
        raise node.refuse(f"reduction {how}")
    return x.index_put(tuple(indices.unbind(-1)), updates, accumulate=how == "add")


def _expand(node: Node, x: Tensor, shape: Numbers) -> Tensor:
    rank = max(len(shape), x.dim())
    sides = [1] * (rank - x.dim()) + list(x.shape)
    wanted = [1] * (rank - len(shape)) + list(shape)
    return x.expand([have if isinstance(side, int) and side == 1 else side for have, side in zip(sides, wanted)])  # noqa: B905


def _tile(node: Node, x: Tensor, repeats: Numbers) -> Tensor:
    return x.repeat(tuple(repeats))


def _pad(node: Node, x: Tensor, pads: Any = None, value: Any = None, axes: Any = None) -> Tensor:
    pads, mode = node.get("pads", pads), node.get("mode", "constant")
    axes = [axis % x.dim() for axis in (range(x.dim()) if axes is None else axes)]
    sides = {axis: (pads[k], pads[k + len(axes)]) for k, axis in enumerate(axes)}
    backwards = [side for axis in range(x.dim() - 1, -1, -1) for side in sides.get(axis, (0, 0))]
    if mode == "constant":
        return functional.pad(x, backwards, value=node.get("value", 0 if value is None else value))
    while len(backwards) > 2 and backwards[-2:] == [0, 0]:
        backwards = backwards[:-2]
    if mode not in ("reflect", "edge"):
        raise node.refuse(f"padding mode {mode}")
    return functional.pad(x, backwards, mode="replicate" if mode == "edge" else "reflect")


def _one_hot(node: Node, indices: Tensor, depth: Any, values: Tensor) -> Tensor:
    depth = depth[0] if isinstance(depth, list) else depth
    axis = node.get("axis", -1) % (indices.dim() + 1)
    hit = _positive(indices.long(), depth).unsqueeze(-1) == torch.arange(depth, device=indices.device)
    return torch.where(hit, values[1], values[0]).movedim(-1, axis)


def _trilu(node: Node, x: Tensor, diagonal: Any = 0) -> Tensor:
    function = torch.triu if node.get("upper", 1) else torch.tril
    return function(x, 0 if diagonal is None else diagonal)


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    size, (count, depth, height, width) = node.get("blocksize"), x.shape
    if node.get("mode", "DCR") == "CRD":
        parts = x.reshape(count, depth // size**2, size, size, height, width).permute(0, 1, 4, 2, 5, 3)
    else:
        parts = x.reshape(count, size, size, depth // size**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(count, depth // size**2, height * size, width * size)


def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    size, (count, depth, height, width) = node.get("blocksize"), x.shape
    parts = x.reshape(count, depth, height // size, size, width // size, size).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(count, depth * size**2, height // size, width // size)


TABLE = {
    "Concat": Operator(_concat),
    "Constant": Operator(_constant),
    "ConstantOfShape": Operator(_constant_of_shape, host=(0,)),
    "DepthToSpace": Operator(_depth_to_space),
    "Expand": Operator(_expand, host=(1,)),
    "Flatten": Operator(_flatten),
    "Gather": Operator(_gather, host=(1,), soft=True),
    "GatherElements": Operator(_gather_elements),
    "GatherND": Operator(_gather_nd),
    "OneHot": Operator(_one_hot, host=(1,)),
    "Pad": Operator(_pad, host=(1, 2, 3)),
    "Range": Operator(_range, host=(0, 1, 2)),
    "Reshape": Operator(_reshape, host=(1,)),
    "ScatterElements": Operator(_scatter_elements),
    "ScatterND": Operator(_scatter_nd),
    "Shape": Operator(_shape),
    "Size": Operator(_size),
    "Slice": Operator(_slice, host=(1, 2, 3, 4)),
    "SpaceToDepth": Operator(_space_to_depth),
    "Split": Operator(_split, host=(1,)),
    "Squeeze": Operator(_squeeze, host=(1,)),
    "Tile": Operator(_tile, host=(1,)),
    "Transpose": Operator(_transpose),
    "Trilu": Operator(_trilu, host=(1,)),
    "Unsqueeze": Operator(_unsqueeze, host=(1,)),
}
"""ONNX operator -> how it runs."""
