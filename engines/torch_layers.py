"""ONNX layers in PyTorch: convolutions, pools, normalisations, resizing, quantisation. See torch_ops for the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engines.torch_node import Node, Operator

CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)
TRANSPOSED = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
MAX_POOLS = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)
ROUNDINGS: Mapping[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
AVERAGE_POOLS = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)


def _pads(node: Node, x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """Padding before all sides, then behind them, as in `pads`; `auto_pad` worked out."""
    auto, count = node.get("auto_pad", "NOTSET"), len(kernel)
    if auto in ("NOTSET", "VALID"):
        return list(node.get("pads", [0] * 2 * count)) if auto == "NOTSET" else [0] * 2 * count
    wanted = [
        max(0, (-(-side // step) - 1) * step + (size - 1) * spread + 1 - side)
        for side, size, step, spread in zip(x.shape[2:], kernel, strides, dilations, strict=True)
    ]
    less, more = [total // 2 for total in wanted], [total - total // 2 for total in wanted]
    return less + more if auto == "SAME_UPPER" else more + less


def _padded(
    x: Tensor, pads: list[int], value: float = 0.0, most: Sequence[int] | None = None
) -> tuple[Tensor, list[int]]:
    """What a layer of PyTorch still has to pad, the same at both ends and `most` at most; other pads are done here."""
    count = len(pads) // 2
    if pads[:count] == pads[count:] and all(pad <= limit for pad, limit in zip(pads, most or pads, strict=False)):
        return x, pads[:count]
    backwards = [side for axis in range(count - 1, -1, -1) for side in (pads[axis], pads[axis + count])]
    return functional.pad(x, backwards, value=value), [0] * count


def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    count = weight.dim() - 2
    strides, dilations = node.get("strides", [1] * count), node.get("dilations", [1] * count)
    x, pads = _padded(x, _pads(node, x, weight.shape[2:], strides, dilations))
    return CONVOLUTIONS[count - 1](x, weight, bias, strides, pads, dilations, node.get("group", 1))


def _conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    count = weight.dim() - 2
    if node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or node.get("output_shape"):
        raise node.refuse("auto_pad and output_shape")
    strides, dilations = node.get("strides", [1] * count), node.get("dilations", [1] * count)
    extra, pads = node.get("output_padding", [0] * count), node.get("pads", [0] * 2 * count)
    run = TRANSPOSED[count - 1]
    if pads[:count] == pads[count:]:
        return run(x, weight, bias, strides, pads[:count], extra, node.get("group", 1), dilations)
    out = run(x, weight, bias, strides, 0, extra, node.get("group", 1), dilations)
    for axis in range(count):
        out = out.narrow(axis + 2, pads[axis], out.shape[axis + 2] - pads[axis] - pads[axis + count])
    return out


def _max_pool(node: Node, x: Tensor) -> Tensor:
    if len(node.outputs) > 1:
        raise node.refuse("places of the largest values")
    kernel = node.get("kernel_shape")
    count = len(kernel)
    strides, dilations = node.get("strides", [1] * count), node.get("dilations", [1] * count)
    pads, ceil = _pads(node, x, kernel, strides, dilations), bool(node.get("ceil_mode", 0))
    lowest = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    x, pads = _padded(x, pads, lowest, [size // 2 for size in kernel])
    return MAX_POOLS[count - 1](x, kernel, strides, pads, dilations, ceil)


def _average_pool(node: Node, x: Tensor) -> Tensor:
    kernel = node.get("kernel_shape")
    count = len(kernel)
    strides, whole = node.get("strides", [1] * count), bool(node.get("count_include_pad", 0))
    if any(step != 1 for step in node.get("dilations", [])):
        raise node.refuse("dilations")
    pads, ceil = _pads(node, x, kernel, strides, [1] * count), bool(node.get("ceil_mode", 0))
    run = AVERAGE_POOLS[count - 1]
    if pads[:count] == pads[count:]:
        return run(x, kernel, strides, pads[:count], ceil, whole)
    wide, _ = _padded(x, pads)
    total = run(wide, kernel, strides, 0, ceil, False)
    if whole:
        return total
    share, _ = _padded(torch.ones_like(x), pads)
    return total / run(share, kernel, strides, 0, ceil, False)


def _pool_all(function: Callable[..., Tensor]) -> Operator:
    return Operator(lambda node, x: function(x, tuple(range(2, x.dim())), True))


def _batch_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, node.get("epsilon", 1e-5))


def _instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return functional.instance_norm(x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5))


def _layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    if len([name for name in node.outputs if name]) > 1:
        raise node.refuse("mean and deviation as outputs")
    return functional.layer_norm(x, x.shape[node.get("axis", -1) % x.dim() :], scale, bias, node.get("epsilon", 1e-5))


def _group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups = node.get("num_groups")
    if scale.shape[0] != x.shape[1]:  # opset 18 gives one a group
        scale, bias = (value.repeat_interleave(x.shape[1] // groups) for value in (scale, bias))
    return functional.group_norm(x, groups, scale, bias, node.get("epsilon", 1e-5))


def _lrn(node: Node, x: Tensor) -> Tensor:
    alpha, beta, bias = node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0)
    return functional.local_response_norm(x, node.get("size"), alpha, beta, bias)


def _lp_norm(node: Node, x: Tensor) -> Tensor:
    return x / torch.linalg.vector_norm(x, node.get("p", 2), node.get("axis", -1), keepdim=True)


def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a, b = a.t() if node.get("transA", 0) else a, b.t() if node.get("transB", 0) else b
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    if c is None:
        return a @ b * alpha
    return torch.addmm(c, a, b, beta=beta, alpha=alpha)


def _grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(node.get("mode", "linear"), node.get("mode", "bilinear"))
    return functional.grid_sample(x, grid, mode, node.get("padding_mode", "zeros"), bool(node.get("align_corners", 0)))


def _quantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    kind = torch.uint8 if zero is None else zero.dtype
    scale, shift = _along(node, x, scale), 0 if zero is None else _along(node, x, zero).to(x.dtype)
    limits = torch.iinfo(kind)
    return (torch.round(x / scale) + shift).clamp(limits.min, limits.max).to(kind)


def _dequantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    values = x.to(scale.dtype)
    if zero is not None:
        values = values - _along(node, x, zero).to(scale.dtype)
    return values * _along(node, x, scale)


def _along(node: Node, x: Tensor, values: Tensor) -> Tensor:
    """One value for all, or one for each place of the axis, shaped to be read with x."""
    if node.get("block_size", 0):
        raise node.refuse("quantisation in blocks")
    if values.numel() == 1:
        return values.reshape(())
    axis = node.get("axis", 1) % x.dim()
    return values.reshape([-1 if k == axis else 1 for k in range(x.dim())])


def _resize(node: Node, x: Tensor, roi: Any = None, scales: Any = None, sizes: Any = None) -> Tensor:
    """Axis by axis, by an index or a matrix from the standard's own formulas; whole factors of a picture at once."""
    if node.op == "Upsample" or node.opset < 11:
        scales, sizes, mode = node.get("scales", roi), None, "asymmetric"
    else:
        mode = node.get("coordinate_transformation_mode", "half_pixel")
    stretch = node.get("keep_aspect_ratio_policy", "stretch") == "stretch"
    if mode == "tf_crop_and_resize" or node.get("antialias", 0) or not stretch:
        raise node.refuse("crops, antialias and a kept aspect ratio")
    changes = {}
    for place, axis in enumerate(node.get("axes", range(x.dim()))):
        side = x.shape[axis]
        if sizes or scales[place] != 1:
            size = sizes[place] if sizes else int(side * scales[place] + 1e-6)
            if size != side:
                scale = size / side if sizes else scales[place]
                changes[axis % x.dim()] = _coordinates(mode, side, size, scale)
    if node.get("mode", "nearest") == "nearest":
        return _nearest(node, x, changes)
    for axis, places in changes.items():
        matrix = torch.from_numpy(_weights(node, places, x.shape[axis])).to(x)
        x = torch.tensordot(x, matrix, ([axis], [0])).movedim(-1, axis)
    return x


def _coordinates(mode: str, side: int, size: int, scale: float) -> Any:
    """Where each element of the result lies in the input, (size,) float32, as the reference runtimes compute it."""
    out, scale = np.arange(size, dtype=np.float32), np.float32(scale)
    if mode == "asymmetric":
        return out / scale
    if mode == "align_corners":
        return out * np.float32(side - 1) / np.float32(size - 1) if size > 1 else out
    if mode == "pytorch_half_pixel" and size == 1:
        return out
    if mode == "half_pixel_symmetric":
        offset = side / 2 * (1 - size / (side * scale))
        return offset + (out + 0.5) / scale - 0.5
    return (out + np.float32(0.5)) / scale - np.float32(0.5)


def _nearest(node: Node, x: Tensor, changes: dict[int, Any]) -> Tensor:
    """The element nearest to each coordinate (see `_coordinates`), by axis."""
    function = ROUNDINGS[node.get("nearest_mode", "round_prefer_floor") if node.opset >= 11 else "floor"]
    factors = [1] * x.dim()
    for axis, places in changes.items():
        side = x.shape[axis]
        index = function(places).clip(0, side - 1).astype(np.int64)
        if (index == np.arange(len(index)) // max(1, len(index) // side)).all() and len(index) % side == 0:
            factors[axis] = len(index) // side
        else:
            x = x.index_select(axis, torch.from_numpy(index).to(x.device))
    if x.dim() == 4 and factors[:2] == [1, 1] and factors != [1] * 4:
        return functional.interpolate(x, scale_factor=factors[2:], mode="nearest")
    for axis, factor in enumerate(factors):
        x = x if factor == 1 else x.repeat_interleave(factor, axis)
    return x


def _weights(node: Node, places: Any, side: int) -> Any:
    """How much each element of the input counts in each of the result, (side, size) float32."""
    mode, below = node.get("mode"), np.floor(places)
    away = places - below
    if mode == "linear":
        taps = {0: 1 - away, 1: away}
    elif mode == "cubic":
        a = node.get("cubic_coeff_a", -0.75)
        near = {k: np.abs(away - k) for k in (-1, 0, 1, 2)}
        taps = {
            k: ((a + 2) * t - (a + 3)) * t * t + 1 if k in (0, 1) else ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
            for k, t in near.items()
        }
    else:
        raise node.refuse(f"mode {mode}")
    matrix = np.zeros((side, len(places)))
    for k, share in taps.items():
        inside = (below + k >= 0) & (below + k < side) | (not node.get("exclude_outside", 0))
        np.add.at(matrix, ((below + k).clip(0, side - 1).astype(int), np.arange(len(places))), share * inside)
    return (matrix / matrix.sum(0)).astype(np.float32)


TABLE = {
    "AveragePool": Operator(_average_pool),
    "BatchNormalization": Operator(_batch_norm),
    "Conv": Operator(_conv),
    "ConvTranspose": Operator(_conv_transpose),
    "DequantizeLinear": Operator(_dequantize),
    "Gemm": Operator(_gemm),
    "GlobalAveragePool": _pool_all(torch.mean),
    "GlobalMaxPool": _pool_all(torch.amax),
    "GridSample": Operator(_grid_sample),
    "GroupNormalization": Operator(_group_norm),
    "InstanceNormalization": Operator(_instance_norm),
    "LRN": Operator(_lrn),
    "LayerNormalization": Operator(_layer_norm),
    "LpNormalization": Operator(_lp_norm),
    "MatMul": Operator(lambda node, a, b: torch.matmul(a, b)),
    "MaxPool": Operator(_max_pool),
    "QuantizeLinear": Operator(_quantize),
    "Resize": Operator(_resize, host=(1, 2, 3)),
    "Upsample": Operator(_resize, host=(1,)),
}
"""ONNX operator -> how it runs."""
