"""ONNX operators element by element, reductions and sorting, in PyTorch.

Semantics: onnx.ai/onnx/operators. Each function takes its node and its inputs; what the table calls `host` comes as
Python numbers, so that torch.export sees constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engines.torch_node import Node, Operator

Numbers = Sequence[Any]


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return Operator(lambda node, x: function(x))


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return Operator(lambda node, x, y: function(x, y))


def _fold(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    """For any number of inputs."""
    return Operator(lambda node, *inputs: reduce(function, inputs))


def _div(node: Node, x: Tensor, y: Tensor) -> Tensor:
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def _pow(node: Node, x: Tensor, y: Tensor) -> Tensor:
    return torch.pow(x, y).to(x.dtype)


def _mod(node: Node, x: Tensor, y: Tensor) -> Tensor:
    return torch.fmod(x, y) if node.get("fmod", 0) else torch.remainder(x, y)


def _mean(node: Node, *inputs: Tensor) -> Tensor:
    return reduce(torch.add, inputs) / len(inputs)


def _clip(node: Node, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    low, high = node.get("min", low), node.get("max", high)
    for limit, function in ((low, torch.maximum), (high, torch.minimum)):
        if isinstance(limit, Tensor):
            x = function(x, limit)
    low, high = (None if isinstance(limit, Tensor) else limit for limit in (low, high))
    return x if low is None and high is None else x.clamp(low, high)


def _hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    return (x * node.get("alpha", 0.2) + node.get("beta", 0.5)).clamp(0, 1)


def _gelu(node: Node, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=node.get("approximate", "none"))


def _prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, x * slope, x)


def _softmax(function: Callable[[Tensor, int], Tensor]) -> Operator:
    def run(node: Node, x: Tensor) -> Tensor:
        if node.opset >= 13:
            return function(x, node.get("axis", -1))
        axis = node.get("axis", 1) % max(1, x.dim())  # before opset 13: over all axes from this one on, as one
        return function(x.flatten(axis), -1).reshape(x.shape)

    return Operator(run)


def _cast(node: Node, x: Tensor) -> Tensor:
    return x.to(node.kind(node.get("to")))


def _reduction(function: Callable[..., Tensor]) -> Operator:
    """`function` takes (x, axes, keepdim)."""

    def run(node: Node, x: Tensor, axes: Numbers | None = None) -> Tensor:
        axes = node.get("axes", axes)
        if not axes and node.get("noop_with_empty_axes", 0):
            return x
        return function(x, tuple(axes or range(x.dim())), bool(node.get("keepdims", 1)))

    return Operator(run, host=(1,))


def _reduce_prod(x: Tensor, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim)
    return x


def _sum(x: Tensor, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    return x.sum(axes, keepdim, dtype=x.dtype)


def _arg(function: Callable[..., Tensor]) -> Operator:
    def run(node: Node, x: Tensor) -> Tensor:
        axis, keep = node.get("axis", 0), bool(node.get("keepdims", 1))
        if not node.get("select_last_index", 0):
            return function(x, axis, keep)
        return x.shape[axis] - 1 - function(x.flip(axis), axis, keep)

    return Operator(run)


def _top_k(node: Node, x: Tensor, count: Any) -> tuple[Tensor, Tensor]:
    """By a stable sort: of equal values the standard wants the lower index first, which torch.topk does not promise."""
    axis, count = node.get("axis", -1), count[0] if isinstance(count, list) else count
    values, places = x.sort(dim=axis, descending=bool(node.get("largest", 1)), stable=True)
    return values.narrow(axis, 0, count), places.narrow(axis, 0, count)


def _cum_sum(node: Node, x: Tensor, axis: Any) -> Tensor:
    axis = axis[0] if isinstance(axis, list) else axis
    backwards = bool(node.get("reverse", 0))
    x = x.flip(axis) if backwards else x
    total = x.cumsum(axis, dtype=x.dtype) - (x if node.get("exclusive", 0) else 0)
    return total.flip(axis) if backwards else total


TABLE = {
    **{
        name: _unary(getattr(torch, name.lower()))
        for name in ("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "IsNaN", "Log", "Neg", "Reciprocal", "Relu", "Round",
                     "Sigmoid", "Sign", "Sin", "Sqrt", "Tan", "Tanh")
    },
    **{
        name: _binary(getattr(torch, function))
        for name, function in {
            "Add": "add", "And": "logical_and", "Equal": "eq", "Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt",
            "LessOrEqual": "le", "Mul": "mul", "Or": "logical_or", "Sub": "sub", "Xor": "logical_xor",
        }.items()
    },
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "Cast": Operator(_cast),
    "Clip": Operator(_clip, host=(1, 2), soft=True),
    "CumSum": Operator(_cum_sum, host=(1,)),
    "Div": Operator(_div),
    "Dropout": Operator(lambda node, x, *rest: x),
    "Einsum": Operator(lambda node, *inputs: torch.einsum(node.get("equation"), *inputs)),
    "Elu": Operator(lambda node, x: functional.elu(x, node.get("alpha", 1.0))),
    "Gelu": Operator(_gelu),
    "HardSigmoid": Operator(_hard_sigmoid),
    "HardSwish": _unary(functional.hardswish),
    "Identity": _unary(lambda x: x),
    "LeakyRelu": Operator(lambda node, x: functional.leaky_relu(x, node.get("alpha", 0.01))),
    "LogSoftmax": _softmax(torch.log_softmax),
    "Max": _fold(torch.maximum),
    "Mean": Operator(_mean),
    "Min": _fold(torch.minimum),
    "Mish": _unary(functional.mish),
    "Mod": Operator(_mod),
    "Not": _unary(torch.logical_not),
    "PRelu": Operator(_prelu),
    "Pow": Operator(_pow),
    "ReduceL1": _reduction(lambda x, axes, keep: _sum(x.abs(), axes, keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: _sum(x * x, axes, keep).sqrt()),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMean": _reduction(torch.mean),
    "ReduceMin": _reduction(torch.amin),
    "ReduceProd": _reduction(_reduce_prod),
    "ReduceSum": _reduction(_sum),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: _sum(x * x, axes, keep)),
    "Selu": Operator(lambda node, x: node.get("gamma", 1.05070102) * functional.elu(x, node.get("alpha", 1.67326319))),
    "Silu": _unary(functional.silu),
    "Softmax": _softmax(torch.softmax),
    "Softplus": Operator(lambda node, x: functional.softplus(x)),
    "Softsign": _unary(functional.softsign),
    "Sum": _fold(torch.add),
    "TopK": Operator(_top_k, host=(1,)),
    "Where": Operator(lambda node, which, x, y: torch.where(which, x, y)),
}  # fmt: skip
"""ONNX operator -> how it runs."""
