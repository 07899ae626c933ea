"""Graphs rewritten for ONNX Runtime: the same results, and nothing changed that is not just what is known."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import EngineLoadError, EngineOptions
from engines.onnx_faster import faster, rewritten
from engines.onnx_wire import Node, array_of, read, tensor_of, write
from engines.onnxruntime import OnnxRuntimeEngine

SHAPE = (1, 3, 8, 8)
RNG = np.random.default_rng(3)


def value(name: str, *shape: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def saved(nodes: list[Any], held: dict[str, np.ndarray], given: Any, made: list[Any], opset: int = 17) -> bytes:
    tensors = [numpy_helper.from_array(array, name) for name, array in held.items()]
    graph = helper.make_graph(nodes, "graph", [given], made, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, {"names": "{0: 'cat'}"})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def block(
    *, channels: int = 32, group: int = 1, axis: int = 1, opset: int = 17, sizes: bool = True, bias: bool = True,
    read_whole: bool = False, whole_out: bool = False,
) -> bytes:  # fmt: skip
    """C2f in small: Conv, SiLU, Split; a Conv on one half; all of it together."""
    held = {
        "w": RNG.normal(size=(channels, 3 // group, 3, 3)).astype(np.float32),
        "stored": RNG.normal(size=channels).astype(np.float32),
        "w2": RNG.normal(size=(16, channels // 2, 1, 1)).astype(np.float32),
        "sizes": np.array([channels // 2] * 2, np.int64),
    }
    count = {"num_outputs": 2} if opset >= 18 and not sizes else {}
    nodes = [
        helper.make_node("Identity", ["stored"], ["b"]),
        helper.make_node("Conv", ["x", "w", "b"] if bias else ["x", "w"], ["c"], pads=[1, 1, 1, 1], group=group),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("Mul", ["c", "s"], ["m"]),
        helper.make_node("Split", ["m", "sizes"] if sizes else ["m"], ["left", "right"], axis=axis, **count),
    ]
    if axis == 1:
        nodes += [
            helper.make_node("Conv", ["right", "w2"], ["inner"]),
            helper.make_node("Concat", ["left", "right", "inner"] + ["m"] * read_whole, ["y"], axis=1),
        ]
    else:
        nodes.append(helper.make_node("Add", ["left", "right"], ["y"]))
    out = [value("y", 1, (channels + 16 + channels * read_whole), 8, 8) if axis == 1 else value("y", 1, channels, 4, 8)]
    if axis != 1:
        held["sizes"][:] = 4
    return saved(nodes, held, value("x", *SHAPE), out + [value("m", 1, channels, 8, 8)] * whole_out, opset)


def mean(
    *, axis: int = 1, perm: tuple[int, ...] = (0, 2, 1, 3), outputs: int = 1, opset: int = 17, stride: int = 1
) -> bytes:  # fmt: skip
    """DFL: distances from distributions over 16 places."""
    count = 16 if perm[1] == 2 else 4
    held = {"w": np.tile(np.arange(count, dtype=np.float32).reshape(1, count, 1, 1), (outputs, 1, 1, 1))}
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=perm),
        helper.make_node("Softmax", ["t"], ["s"], axis=axis),
        helper.make_node("Conv", ["s", "w"], ["y"], strides=[stride, stride]),
    ]
    return saved(nodes, held, value("x", 2, 4, 16, 21), [value("y", *("abcd"))], opset)


def run(content: bytes, given: np.ndarray) -> np.ndarray:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": given})[0])


def kinds(content: bytes) -> Counter[str]:
    made = onnx.load_from_string(content)
    onnx.checker.check_model(made, full_check=True)
    assert made.metadata_props[0].value == "{0: 'cat'}"
    return Counter(node.op_type for node in made.graph.node)


@pytest.mark.parametrize(
    "way", [{}, {"bias": False}, {"channels": 64}, {"sizes": False}, {"sizes": False, "opset": 18}, {"opset": 13}]
)
def test_a_convolution_that_is_split_becomes_two_with_the_same_values(way: dict[str, Any]) -> None:
    before = block(**way)
    after = rewritten(before)
    assert after is not None
    assert kinds(after) == kinds(before) - Counter({"Split": 1}) + Counter({"Conv": 1, "Sigmoid": 1, "Mul": 1})
    given = RNG.normal(size=SHAPE).astype(np.float32)
    assert np.array_equal(run(after, given), run(before, given))


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize("spread", [1.0, 20.0, 300.0])
def test_the_mean_of_a_distribution_is_what_it_was_and_does_not_overflow(opset: int, spread: float) -> None:
    before = mean(opset=opset)
    after = rewritten(before)
    assert after is not None
    assert "Softmax" not in kinds(after)
    logits = (RNG.normal(size=(2, 4, 16, 21)) * spread).astype(np.float32)
    raised = np.exp(logits.astype(np.float64) - logits.max(2, keepdims=True))
    wanted = (raised * np.arange(16)[:, None]).sum(2) / raised.sum(2)
    found = run(after, logits)
    assert found.shape == run(before, logits).shape == (2, 1, 4, 21)
    assert np.abs(found[:, 0] - wanted).max() < 2e-5


@pytest.mark.parametrize(
    "content",
    [
        block(channels=24), block(group=3, channels=48), block(axis=2), block(read_whole=True), block(whole_out=True),
        mean(axis=2), mean(perm=(0, 1, 2, 3)), mean(outputs=2), mean(stride=2),
    ],
    ids=["blocks", "groups", "rows", "read_whole", "output", "axis", "order", "two_means", "stride"],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_alone(content: bytes) -> None:
    assert rewritten(content) is None


def test_a_graph_with_graphs_in_it_is_left_alone() -> None:
    model = onnx.load_from_string(block())
    body = helper.make_graph([helper.make_node("Identity", ["m"], ["o"])], "body", [], [value("o", *"abcd")])
    held = numpy_helper.from_array(np.array(True), "yes")
    model.graph.initializer.append(held)
    model.graph.node.append(helper.make_node("If", ["yes"], ["z"], then_branch=body, else_branch=body))
    assert rewritten(model.SerializeToString()) is None


def test_weights_that_are_only_the_default_of_an_input_are_left_alone() -> None:
    model = onnx.load_from_string(block())
    model.graph.input.append(value("w", 32, 3, 3, 3))
    assert rewritten(model.SerializeToString()) is None


def test_weights_in_a_file_of_their_own_are_left_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "outside.onnx"
    model = onnx.load_from_string(block())
    content = bytes(model.SerializeToString())
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=3000)  # but for one's
    assert faster(path) is None
    engine = OnnxRuntimeEngine(path, EngineOptions(shape={}, device="cpu", threads=1))
    given = RNG.normal(size=SHAPE).astype(np.float32)
    assert np.array_equal(engine.infer({"x": given})["y"], run(content, given))


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x3a\xff\xff\xff\xff\x7f", b"\x0f\x01"])
def test_what_is_no_model_is_left_to_the_runtime_to_refuse(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    assert faster(path) is None
    with pytest.raises((EngineLoadError, ValueError)):
        OnnxRuntimeEngine(path, EngineOptions(shape={}, device="cpu"))


def test_the_engine_runs_the_rewritten_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, content = tmp_path / "block.onnx", block()
    path.write_bytes(content)
    opened: list[Any] = []
    plain = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda model, *args, **ways: opened.append(model) or plain(model, *args, **ways),
    )
    engine = OnnxRuntimeEngine(path, EngineOptions(shape={}, device="cpu", threads=1))
    monkeypatch.undo()
    assert opened == [rewritten(content)]
    given = RNG.normal(size=SHAPE).astype(np.float32)
    assert np.array_equal(engine.infer({"x": given})["y"], run(content, given))


def test_messages_are_written_as_they_were_read() -> None:
    content = block()
    assert write(read(content)) == content
    node = Node("Concat", ["", "b"], ["c"])
    made = onnx.NodeProto.FromString(bytes(node.message()))
    assert (list(made.input), list(made.output), made.op_type, made.name) == (["", "b"], ["c"], "Concat", "c")


@pytest.mark.parametrize(
    "array", [np.array([-1, 5], np.int64), np.zeros((2, 0, 3), np.float32), np.array(2.5, np.float32)]
)
def test_tensors_are_those_of_onnx(array: np.ndarray) -> None:
    made = onnx.TensorProto.FromString(tensor_of(array, "a"))
    assert made.name == "a"
    assert np.array_equal(numpy_helper.to_array(made), array)
    packed = helper.make_tensor("b", made.data_type, array.shape, array.reshape(-1).tolist())
    for tensor in (made, packed):
        found = array_of(tensor.SerializeToString())
        assert found is not None
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)


def test_a_type_that_is_not_known_is_no_array() -> None:
    assert array_of(numpy_helper.from_array(np.zeros(3, np.float16), "half").SerializeToString()) is None
