"""One suite over every installed runtime: a tiny graph whose answer numpy knows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import engines
from engines import EngineInferError, EngineLoadError, EngineOptions, EngineUnavailable


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = relu(x * w), z = mean of x over its sides; sides dynamic."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    w = helper.make_tensor("w", TensorProto.FLOAT, (1, 3, 1, 1), [2.0, -1.0, 0.5])
    axes = helper.make_tensor("axes", TensorProto.INT64, (2,), [2, 3])
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "w"], ["m"]),
            helper.make_node("Relu", ["m"], ["y"]),
            helper.make_node("ReduceMean", ["x", "axes"], ["z"], keepdims=0),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, "h", "w"))],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, "h", "w")),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 3)),
        ],
        [w, axes],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(made, {"names": "{0: 'cat'}"})
    onnx.save(made, path)
    return path


def load(name: str, path: Path, **options: object) -> engines.Engine:
    if name not in engines.installed():
        pytest.skip(f"{name} is not installed")
    return engines.load(path, name, EngineOptions(shape={"x": (1, 3, 8, 10)}, **{"precision": "fp32", **options}))  # type: ignore[arg-type]


every_runtime = pytest.mark.parametrize("name", list(engines.RUNTIMES))


@every_runtime
def test_answer_is_numpys(name: str, model: Path) -> None:
    engine = load(name, model)
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 10)).astype(np.float32)
    out = engine.infer({"x": x})
    assert out["y"] == pytest.approx(np.maximum(x * np.array([2, -1, 0.5], np.float32)[:, None, None], 0), abs=1e-6)
    assert out["z"] == pytest.approx(x.mean((2, 3)), abs=1e-6)
    engine.close()
    engine.close()


@every_runtime
def test_says_what_it_is(name: str, model: Path) -> None:
    engine = load(name, model)
    assert engine.runtime.startswith(name) and engine.precision == "fp32" and engine.device == "cpu"
    assert engine.inputs == (engines.TensorSpec("x", (1, 3, 8, 10), np.dtype(np.float32)),)
    assert [spec.name for spec in engine.outputs] == ["y", "z"]


@every_runtime
def test_outputs_belong_to_the_caller(name: str, model: Path) -> None:
    """A second inference must not change the first one's arrays."""
    engine = load(name, model)
    first = engine.infer({"x": np.ones((1, 3, 8, 10), np.float32)})
    engine.infer({"x": np.zeros((1, 3, 8, 10), np.float32)})
    assert first["z"].tolist() == [[1, 1, 1]]


@every_runtime
def test_threads_do_not_mix_their_pictures(name: str, model: Path) -> None:
    engine = load(name, model, streams=3, threads=1)

    def mean_of(value: int) -> float:
        return float(engine.infer({"x": np.full((1, 3, 8, 10), value, np.float32)})["z"][0, 0])

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(mean_of, range(200))) == pytest.approx(list(range(200)))


@every_runtime
@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"x": np.zeros((1, 3, 8, 11), np.float32)}, r"\(1, 3, 8, 10\), got float32 \(1, 3, 8, 11\)"),
        ({"x": np.zeros((1, 3, 8, 10), np.float64)}, "float32 .* got float64"),
        ({"y": np.zeros((1, 3, 8, 10), np.float32)}, r"inputs must be \['x'\], got \['y'\]"),
        ({}, r"got \[\]"),
    ],
)
def test_wrong_inputs_are_named(name: str, model: Path, feeds, message: str) -> None:
    with pytest.raises(EngineInferError, match=message):
        load(name, model).infer(feeds)


@every_runtime
@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 40])
def test_other_files_are_refused_in_one_line(name: str, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineLoadError) as caught:
        load(name, path)
    assert "broken.onnx" in str(caught.value) and "\n" not in str(caught.value)


@every_runtime
def test_devices_and_precisions_that_are_not_there(name: str, model: Path) -> None:
    with pytest.raises(EngineUnavailable, match="cuda:0"):
        load(name, model, device="cuda:0")
    with pytest.raises(EngineUnavailable, match="int4"):
        load(name, model, precision="int4")


def test_inspect_tells_shapes_and_notes(model: Path) -> None:
    signature = engines.inspect(model)
    assert signature.inputs[0].shape == (1, 3, None, None)
    assert signature.metadata == {"names": "{0: 'cat'}"}


def test_unknown_runtime() -> None:
    with pytest.raises(EngineUnavailable, match="unknown runtime 'cuda'"):
        engines.load(Path("x.onnx"), "cuda", EngineOptions(shape={}))
