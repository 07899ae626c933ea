"""ONNX in FP16 and INT8, and graphs made ready for a compiler: what they compute stays what it was."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import EngineLoadError
from engines.build_graph import prepare
from engines.precision import convert, load_onnx, to_fp16, to_int8
from engines.precision_nodes import first_layers, name_nodes, tail
from tests.engines.tiny import INPUT, pictures, save_tiny

ONE = {"images": (INPUT, INPUT, INPUT)}
MANY = {"images": (INPUT, (8, *INPUT[1:]), (8, *INPUT[1:]))}


def run(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> np.ndarray:
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feed)[0])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "tiny.onnx")


def test_layers_are_found(tiny: Path) -> None:
    model = load_onnx(tiny)
    name_nodes(model)
    kinds = {node.name: node.op_type for node in model.graph.node}
    behind, last = tail(model)
    assert sorted(kinds[name] for name in behind) == ["Identity", "Mul", "Reshape", "Sigmoid"]
    assert [kinds[name] for name in last | first_layers(model)] == ["Conv", "Conv"]


def test_fp16_computes_the_same_and_decodes_in_fp32(tiny: Path) -> None:
    before = load_onnx(tiny)
    untouched = before.SerializeToString()
    after = to_fp16(before)
    onnx.checker.check_model(after, full_check=True)
    assert before.SerializeToString() == untouched
    assert [value.type.tensor_type.elem_type for value in (*after.graph.input, *after.graph.output)] == [1, 1]
    kinds = {tensor.name: tensor.data_type for tensor in after.graph.initializer}
    assert kinds["w1/half"] == kinds["w4/half"] == TensorProto.FLOAT16 and kinds["stride"] == TensorProto.FLOAT
    assert "w1" not in kinds
    for feed in pictures(3):
        assert run(after, feed) == pytest.approx(run(before, feed), abs=0.6)  # of 400 pixels


def test_fp16_reads_one_tensor_from_both_sides() -> None:
    """A half-precision tensor that two FP32 nodes and a half-precision one read, an output in the middle, a Resize."""
    held = [
        numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w"),
        numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"),
        numpy_helper.from_array(np.full((1,), 1e6, np.float32), "large"),
    ]
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["a"]),
        helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("Log", ["b"], ["c"]),
        helper.make_node("Resize", ["a", "", "scales"], ["d"], mode="nearest"),
        helper.make_node("Add", ["a", "large"], ["too_large"]),
        helper.make_node("Sub", ["a", "c"], ["e"]),
        helper.make_node("Conv", ["e", "w"], ["f"]),
        helper.make_node("Exp", ["a"], ["g"]),
    ]
    names = ("a", "d", "f", "g", "too_large")
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 4, 4))], outputs, held
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    after = to_fp16(model)
    feed = {"images": np.random.default_rng(0).uniform(0, 1, (1, 3, 4, 4)).astype(np.float32)}
    names_of_nodes = [node.name for node in after.graph.node]
    assert len(set(names_of_nodes)) == len(names_of_nodes)
    assert run(after, feed) == pytest.approx(run(model, feed), rel=5e-3)


def test_int8_has_symmetric_weights_per_channel_and_no_quantised_bias(tiny: Path, tmp_path: Path) -> None:
    before = load_onnx(tiny)
    after = to_int8(before, pictures(8), tmp_path)
    counts = Counter(node.op_type for node in after.graph.node)
    assert counts["QuantizeLinear"] == 1 and counts["DequantizeLinear"] == 2  # of the one convolution in the middle
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    points = [array for name, array in held.items() if "zero_point" in name]
    assert points and all(array.dtype == np.int8 and not array.any() for array in points)
    assert any(name.endswith("scale") and array.size == 16 for name, array in held.items())
    for feed in pictures(3, seed=7):
        assert run(after, feed) == pytest.approx(run(before, feed), abs=8)


def test_int8_needs_inputs(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineLoadError, match="none were given"):
        convert(load_onnx(tiny), "int8", [], tmp_path)
    with pytest.raises(EngineLoadError, match="cannot be quantised"):
        convert(load_onnx(tiny), "int8", [{"other": np.zeros(3, np.float32)}], tmp_path)


def test_a_batch_of_one_needs_nothing(tiny: Path) -> None:
    model = load_onnx(tiny)
    assert run(prepare(model, ONE), pictures(1)[0]) == pytest.approx(run(model, pictures(1)[0]))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_batch_is_opened_where_reshapes_hold_it(tiny: Path, tmp_path: Path, precision: str) -> None:
    model = load_onnx(tiny)
    opened = convert(prepare(model, MANY), precision, pictures(4), tmp_path)
    feeds = pictures(3)
    together = run(opened, {"images": np.concatenate([feed["images"] for feed in feeds])})
    tolerance = {"fp32": 1e-3, "fp16": 0.6, "int8": 8}[precision]
    assert together == pytest.approx(np.concatenate([run(model, feed) for feed in feeds]), abs=tolerance)


def test_a_batch_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineLoadError, match="more than leading 1s of Reshape hold it there"):
        prepare(load_onnx(save_tiny(tmp_path / "stuck.onnx", stuck=True)), MANY)
    with pytest.raises(EngineLoadError, match=r"fixed at 2 in dimension 0, 1:8 was asked for; export"):
        prepare(load_onnx(save_tiny(tmp_path / "two.onnx", batch=2)), MANY)
    with pytest.raises(EngineLoadError, match="fixed at 32 in dimension 3"):
        wide = (1, 3, 32, 64)
        prepare(load_onnx(save_tiny(tmp_path / "t.onnx")), {"images": (wide, wide, wide)})
    with pytest.raises(EngineLoadError, match=r"inputs are \['images'\], shapes were given for \['x'\]"):
        prepare(load_onnx(tmp_path / "t.onnx"), {"x": ONE["images"]})


def test_bytes_are_cast_first_and_stored_casts_are_folded() -> None:
    """As TensorRT wants it: nothing but a Cast reads bytes; weights kept in half precision are weights again."""
    held = [
        numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float16), "w16"),
        numpy_helper.from_array(np.zeros(9, np.float32), "unused"),
    ]
    nodes = [
        helper.make_node("Transpose", ["images"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["t"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["w16"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["f", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("images", TensorProto.UINT8, ("n", "h", "w", 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 2, "h", "w"))], held,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    shape = (1, 4, 6, 3)
    made = prepare(model, {"images": (shape, shape, shape)})
    readers = [node.op_type for node in made.graph.node if "images" in node.input]
    assert readers == ["Cast"] and [tensor.name for tensor in made.graph.initializer] == ["w"]
    feed = {"images": np.random.default_rng(0).integers(0, 255, shape, np.uint8)}
    assert run(made, feed) == pytest.approx(run(model, feed))


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineLoadError, match=r"m\.onnx is not an ONNX model|inputs are \[\]") as caught:
        prepare(load_onnx(path), ONE)
    assert "\n" not in str(caught.value)
