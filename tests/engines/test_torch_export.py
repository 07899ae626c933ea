"""ONNX graphs as exported programs: an open batch, computed shapes, quantised graphs, what has no place in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import EngineLoadError, EngineOptions
from engines.build import Request, build_plan
from tests.engines.tiny import INPUT, pictures, save_tiny

torch = pytest.importorskip("torch")

from engines.torch import TorchEngine  # noqa: E402
from engines.torch_graph import export, specs_of  # noqa: E402

SHAPES = {"images": (INPUT, INPUT, INPUT)}


def reference(model: Path, feed: dict[str, Any]) -> dict[str, Any]:
    return engines.load(model, "onnxruntime", EngineOptions(shape={}, device="cpu")).infer(feed)


@pytest.mark.usefixtures("export_here")
def test_an_open_batch(tmp_path: Path) -> None:
    """One program for 1 to 4 pictures; shapes that the graph computes follow the batch."""
    folder, model = tmp_path / "plans", save_tiny(tmp_path / "tiny.onnx", batch="n")
    request = Request(model, "torch", "fp32", {"images": (INPUT, (4, *INPUT[1:]), (4, *INPUT[1:]))})
    plan = build_plan(request, lambda line: None, folder)
    engine = TorchEngine(plan.path, EngineOptions(shape={}, device="cpu"), folder=folder)
    assert engine.inputs[0].shape == (None, *INPUT[1:]) and engine.outputs[0].shape == (None, 6, 256)
    feeds = pictures(4)
    for count in (1, 3, 4):
        batch = {"images": np.concatenate([feed["images"] for feed in feeds[:count]])}
        assert engine.infer(batch)["boxes"] == pytest.approx(reference(model, batch)["boxes"], rel=1e-4, abs=1e-3)
    with pytest.raises(engines.EngineInferError, match="torch failed"):
        engine.infer({"images": np.zeros((5, *INPUT[1:]), np.float32)})
    assert engine.infer(feeds[0])["boxes"].shape == (1, 6, 256)
    engine.close()


def computed_shapes() -> Any:
    """y: x with each picture's rows and columns joined, by sizes computed in the graph; s: its shape; k: a constant."""
    one = numpy_helper.from_array(np.ones(1, np.float32))
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"], axis=0),
        helper.make_node("Gather", ["shape", "two"], ["h"], axis=0),
        helper.make_node("Mul", ["h", "h"], ["area"]),
        helper.make_node("Unsqueeze", ["n", "zero1"], ["n1"]),
        helper.make_node("Unsqueeze", ["area", "zero1"], ["area1"]),
        helper.make_node("Concat", ["n1", "three", "area1"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["flat"]),
        helper.make_node("ConstantOfShape", ["wanted"], ["ones"], value=one),
        helper.make_node("Add", ["flat", "ones"], ["y"]),
        helper.make_node("Cast", ["wanted"], ["s"], to=TensorProto.INT64),
        helper.make_node("If", ["yes"], ["k"], then_branch=branch("a", 2.0), else_branch=branch("b", 3.0)),
    ]  # fmt: skip
    value = helper.make_tensor_value_info
    held = {"zero": 0, "two": 2, "zero1": [0], "three": [3], "yes": True}
    return helper.make_model(
        helper.make_graph(
            nodes, "g", [value("x", 1, ("n", 3, 4, 4))],
            [value("y", 1, ("n", 3, 16)), value("s", 7, (3,)), value("k", 1, (1,))],
            [numpy_helper.from_array(np.array(v), name) for name, v in held.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip


def branch(name: str, content: float) -> Any:
    node = helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array([content], np.float32)))
    return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, 1, (1,))])


@pytest.mark.parametrize("most", [1, 8])
def test_shapes_that_the_graph_computes(most: int) -> None:
    model = computed_shapes()
    least, largest = (1, 3, 4, 4), (most, 3, 4, 4)
    if most == 1:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    program = export(model, {"x": (least, largest, largest)}, torch.float16)
    specs = specs_of(model, program)
    side = None if most > 1 else 1
    assert [spec["shape"] for spec in specs["outputs"]] == [[side, 3, 16], [3], [1]]
    run = program.module()
    for count in {1, most}:
        x = torch.rand(count, 3, 4, 4)
        y, s, k = run(x)
        assert torch.equal(y, x.reshape(count, 3, 16) + 1) and s.tolist() == [count, 3, 16] and k.tolist() == [2]


def test_sigmoid_and_mul_become_one_pass(tmp_path: Path) -> None:
    """Where nobody else reads the Sigmoid: the one at the end of this graph stays."""
    program = export(onnx.load(save_tiny(tmp_path / "tiny.onnx")), SHAPES, torch.float16)
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert sum("silu" in name for name in called) == 1 and sum("sigmoid" in name for name in called) == 1


def test_a_quantised_graph_gives_what_onnx_runtime_gives(tmp_path: Path) -> None:
    from engines.precision import load_onnx, to_int8

    model = tmp_path / "q.onnx"
    onnx.save(to_int8(load_onnx(save_tiny(tmp_path / "tiny.onnx")), pictures(4), tmp_path), model)
    program = export(onnx.load(model), SHAPES, torch.float16).module()
    for feed in pictures(2, seed=7):
        (boxes,) = program(torch.from_numpy(feed["images"]))
        # A value on the edge of two steps may fall to either side.
        assert boxes.numpy() == pytest.approx(reference(model, feed)["boxes"], abs=4)


def test_what_cannot_be_exported_is_named(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["y"], "places")], "g", [value("x", 1, (1, 4))], [value("y", 7, (2, "n"))]
    )
    path = tmp_path / "odd.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    shape = (1, 4)
    with pytest.raises(EngineLoadError, match=r"torch cannot compile .*odd\.onnx: .*operator NonZero \(places\)"):
        build_plan(Request(path, "torch", "fp32", {"x": (shape,) * 3}), lambda line: None, tmp_path / "plans")
