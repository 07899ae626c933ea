"""An ONNX graph made ready for a compiler: sides filled in, batch fixed or open, pictures of bytes cast first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engines.base import Array, EngineLoadError

Profile = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Least, best and largest shape of an input."""


def prepare(model: Any, profiles: Mapping[str, Profile]) -> Any:
    """A copy of `model` that takes exactly these shapes of its inputs, by name.

    Raises:
        EngineLoadError: an unknown input, a shape that the graph forbids, or a batch that cannot be opened.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    weights = {tensor.name for tensor in made.graph.initializer}
    inputs = {value.name: value for value in made.graph.input if value.name not in weights}
    if set(inputs) != set(profiles):
        raise EngineLoadError(f"the model's inputs are {sorted(inputs)}, shapes were given for {sorted(profiles)}")
    stuck = [name for name, profile in profiles.items() if _fill(inputs[name], profile)]
    if stuck:
        _open_batch(made, {name: profiles[name] for name in stuck})
        _check_batch(model, made, profiles)
    del made.graph.value_info[:]
    _cast_bytes(made)
    _fold_casts(made)
    return made


def _fill(value: Any, profile: Profile) -> bool:
    """Write the sides that do not change into an input; True if its batch is fixed and must be opened."""
    least, _, largest = profile
    dims = value.type.tensor_type.shape.dim
    if len(dims) != len(least):
        raise EngineLoadError(f"input {value.name} has {len(dims)} dimensions, a shape of {len(least)} was given")
    stuck = False
    for place, (dim, low, high) in enumerate(zip(dims, least, largest, strict=True)):
        fixed = dim.dim_value if dim.HasField("dim_value") else 0
        if fixed and (low, high) != (fixed, fixed):
            if place or fixed != 1:
                raise EngineLoadError(
                    f"input {value.name} is fixed at {fixed} in dimension {place}, {low}:{high} was asked for; "
                    + ("export the model with a dynamic batch" if not place else "leave it as it is")
                )
            stuck = True
        elif not fixed and low == high:
            dim.dim_value = low
    return stuck


def _open_batch(model: Any, profiles: Mapping[str, Profile]) -> None:
    """Make a batch of 1 dynamic: in inputs, outputs, and in the constant shapes of Reshape that begin with it."""
    import onnx

    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and (value.name in profiles or value.name in {out.name for out in model.graph.output}):
            dims[0].dim_param = "batch"
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    constants = {node.output[0]: node for node in model.graph.node if node.op_type == "Constant"}
    for number, node in enumerate(model.graph.node):
        if node.op_type != "Reshape" or any(a.name == "allowzero" and a.i for a in node.attribute):
            continue
        name = node.input[1]
        held = weights.get(name) or next((a.t for a in getattr(constants.get(name), "attribute", ())), None)
        if held is None:
            continue
        shape = onnx.numpy_helper.to_array(held).copy()
        if len(shape) > 1 and shape[0] == 1:
            shape[0] = 0  # as in the input
            node.input[1] = f"{name}/batch_{number}"
            model.graph.initializer.append(onnx.numpy_helper.from_array(shape, node.input[1]))


def _check_batch(before: Any, after: Any, profiles: Mapping[str, Profile]) -> None:
    """Two different inputs in one batch must give what they give one by one.

    Raises:
        EngineLoadError: they do not, or the graph does not run: something else holds the batch at 1.
    """
    why = "its batch is fixed at 1 and more than leading 1s of Reshape hold it there"
    what = "export it with a dynamic batch, or leave --batch out"
    rng = np.random.default_rng(0)
    try:
        single, several = _session(before), _session(after)
        kinds = {"tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
        feeds: list[dict[str, Array]] = [
            {
                node.name: rng.uniform(0, 1 if "float" in node.type else 255, (1, *profiles[node.name][1][1:])).astype(
                    kinds.get(node.type, np.float32)
                )
                for node in single.get_inputs()
            }
            for _ in range(2)
        ]
        alone = [single.run(None, feed) for feed in feeds]
        both = several.run(None, {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]})
    except Exception as error:  # onnxruntime has no common public base class for these
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise EngineLoadError(f"the model cannot take a batch: {why} ({reason}); {what}") from None
    for place, array in enumerate(both):
        wanted = np.concatenate([run[place] for run in alone])
        if array.shape != wanted.shape or not np.allclose(array, wanted, rtol=1e-3, atol=1e-3):
            raise EngineLoadError(f"the model cannot take a batch: {why}; {what}")


def _session(model: Any) -> Any:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def _cast_bytes(model: Any) -> None:
    """Read inputs of bytes through a cast: TensorRT knows bytes at the inputs only, and nothing but a cast for them."""
    import onnx

    kinds = {onnx.TensorProto.UINT8}
    casts = []
    for value in model.graph.input:
        if value.type.tensor_type.elem_type not in kinds:
            continue
        name = f"{value.name}/float"
        readers = [node for node in model.graph.node if value.name in node.input and node.op_type != "Cast"]
        for node in readers:
            for place, source in enumerate(node.input):
                if source == value.name:
                    node.input[place] = name
        if readers:
            casts.append(
                onnx.helper.make_node("Cast", [value.name], [name], name=f"{name}/cast", to=onnx.TensorProto.FLOAT)
            )
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)


def _fold_casts(model: Any) -> None:
    """Cast stored weights now (files keep them in half precision), so that the quantiser finds them; drop unused ones.

    Weights are stored as FP32 then; a conversion to FP16 brings them back to what they were.
    """
    import onnx

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        source = weights.get(node.input[0]) if node.op_type == "Cast" else None
        kind = next((attribute.i for attribute in node.attribute if attribute.name == "to"), 0)
        if source is None or kind != onnx.TensorProto.FLOAT:
            kept.append(node)
            continue
        values = onnx.numpy_helper.to_array(source).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, node.output[0]))
    if len(kept) < len(model.graph.node):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    _drop_unused(model)


def _drop_unused(model: Any) -> None:
    """Leave out weights that no node reads; a graph with subgraphs (If, Loop), which may read them, is left alone."""
    nodes = model.graph.node
    if any(attribute.HasField("g") or attribute.graphs for node in nodes for attribute in node.attribute):
        return
    used = {name for node in nodes for name in node.input} | {value.name for value in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
