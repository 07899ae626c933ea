"""One suite over every installed runtime: tiny graphs whose answers numpy knows; and what is built from them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import EngineInferError, EngineLoadError, EngineOptions, EngineUnavailable
from engines.build import MODULES, Request, build_plan, choose_targets, runtime_version
from tests.engines.tiny import INPUT, pictures, save_tiny

BYTES = (2, 6, 8, 3)
Load = Callable[..., engines.Engine]


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


@pytest.fixture(scope="module")
def bytes_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of bytes (n, h, w, 3) -> y = x / 255, channels first; best = the channel with the largest sum."""
    path = tmp_path_factory.mktemp("bytes") / "bytes.onnx"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["f"], ["t"], perm=[0, 3, 1, 2]),
            helper.make_node("Div", ["t", "most"], ["y"]),
            helper.make_node("ReduceSum", ["y", "axes"], ["s"], keepdims=0),
            helper.make_node("ArgMax", ["s"], ["best"], axis=1, keepdims=0),
        ],
        "bytes",
        [value("x", TensorProto.UINT8, ("n", "h", "w", 3))],
        [value("y", TensorProto.FLOAT, ("n", 3, "h", "w")), value("best", TensorProto.INT64, ("n",))],
        [numpy_helper.from_array(np.float32(255), "most"), numpy_helper.from_array(np.array([2, 3]), "axes")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("detector") / "tiny.onnx")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan cache of this file's own, so that nothing is compiled twice."""
    return tmp_path_factory.mktemp("cache") / "plans"


@pytest.fixture(scope="module")
def load(cache: Path) -> Load:
    """Load a model with a runtime that is installed."""

    def load_it(
        name: str, path: Path, shape: tuple[int, ...] = (1, 3, 8, 10), given: str = "x", **options: Any
    ) -> engines.Engine:
        if name not in engines.installed():
            pytest.skip(f"{name} is not installed, or its GPU is not there")
        wanted: dict[str, Any] = {"precision": "fp32", "device": device_of(name), **options}
        return engines.load(path, name, EngineOptions(shape={given: shape}, **wanted), folder=cache)

    return load_it


def device_of(name: str) -> str:
    return "cuda:0" if engines.RUNTIMES[name].gpu else "cpu"


every_runtime = pytest.mark.parametrize("name", list(engines.RUNTIMES))


@every_runtime
def test_answer_is_numpys(load: Load, name: str, model: Path) -> None:
    engine = load(name, model)
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 10)).astype(np.float32)
    out = engine.infer({"x": x})
    assert out["y"] == pytest.approx(np.maximum(x * np.array([2, -1, 0.5], np.float32)[:, None, None], 0), abs=1e-6)
    assert out["z"] == pytest.approx(x.mean((2, 3)), abs=1e-6)
    engine.close()
    engine.close()


@every_runtime
def test_bytes_in_and_integers_out(load: Load, name: str, bytes_model: Path) -> None:
    engine = load(name, bytes_model, BYTES)
    x = np.random.default_rng(0).integers(0, 255, BYTES, np.uint8)
    out = engine.infer({"x": x})
    assert out["y"] == pytest.approx(x.transpose(0, 3, 1, 2) / np.float32(255), abs=1e-6)
    assert out["best"].tolist() == x.sum((1, 2), int).argmax(1).tolist()
    assert [(spec.name, spec.dtype) for spec in engine.outputs] == [("y", np.float32), ("best", np.int64)]
    assert {spec.name: spec.dtype for spec in engine.outputs} == {key: array.dtype for key, array in out.items()}


@every_runtime
def test_a_detector_gives_what_onnx_runtime_gives(load: Load, name: str, detector: Path) -> None:
    engine = load(name, detector, INPUT, "images")
    reference = engines.load(detector, "onnxruntime", EngineOptions(shape={"images": INPUT}, device="cpu"))
    for feed in pictures(2):
        assert engine.infer(feed)["boxes"] == pytest.approx(reference.infer(feed)["boxes"], rel=1e-4, abs=1e-3)


@every_runtime
def test_says_what_it_is(load: Load, name: str, model: Path) -> None:
    engine = load(name, model)
    assert engine.runtime.startswith(name) and engine.precision == "fp32" and engine.device == device_of(name)
    assert engine.inputs == (engines.TensorSpec("x", (1, 3, 8, 10), np.dtype(np.float32)),)
    assert [spec.name for spec in engine.outputs] == ["y", "z"]


@every_runtime
def test_outputs_belong_to_the_caller(load: Load, name: str, model: Path) -> None:
    """A second inference must not change the first one's arrays."""
    engine = load(name, model)
    first = engine.infer({"x": np.ones((1, 3, 8, 10), np.float32)})
    engine.infer({"x": np.zeros((1, 3, 8, 10), np.float32)})
    assert first["z"].tolist() == [[1, 1, 1]]


@every_runtime
def test_threads_do_not_mix_their_pictures(load: Load, name: str, model: Path) -> None:
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
def test_wrong_inputs_are_named(load: Load, name: str, model: Path, feeds, message: str) -> None:
    with pytest.raises(EngineInferError, match=message):
        load(name, model).infer(feeds)


@every_runtime
@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 40])
def test_other_files_are_refused_in_one_line(load: Load, name: str, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineLoadError) as caught:
        load(name, path)
    assert "broken.onnx" in str(caught.value) and "\n" not in str(caught.value)


@every_runtime
def test_devices_and_precisions_that_are_not_there(load: Load, name: str, model: Path) -> None:
    with pytest.raises(EngineUnavailable, match="cuda:9"):
        load(name, model, device="cuda:9")
    with pytest.raises(EngineUnavailable, match="int4"):
        load(name, model, precision="int4")


@pytest.mark.parametrize("most", [None, 4])
@pytest.mark.parametrize("name", list(MODULES))
def test_a_plan_has_the_inputs_and_outputs_of_its_model(
    name: str, most: int | None, model: Path, bytes_model: Path, detector: Path, cache: Path
) -> None:
    """Names, order, dtypes and shapes, for each graph of this suite; with a range of batches the first side is open."""
    try:
        runtime_version(name)
        targets = ("sm89",) if name == "tensorrt-rtx" else ()
        choose_targets(name, targets)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    built = ((bytes_model, "x", BYTES), (detector, "images", INPUT))
    if most is None:
        built = ((model, "x", (1, 3, 8, 10)), *built)  # a batch that it has fixed
    for path, given, shape in built:
        largest = (most or shape[0], *shape[1:])
        request = Request(path, name, "fp32", {given: (shape, largest, largest)}, targets)
        notes = build_plan(request, lambda line: None, cache).notes
        signature = engines.inspect(path)
        for kind, wanted in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            assert [(spec["name"], spec["dtype"]) for spec in notes[kind]] == [(s.name, s.dtype) for s in wanted]
            assert {spec["shape"][0] for spec in notes[kind]} == {None if most else shape[0]}
        assert notes["inputs"][0]["shape"][1:] == list(shape[1:])


def test_inspect_tells_shapes_and_notes(model: Path) -> None:
    signature = engines.inspect(model)
    assert signature.inputs[0].shape == (1, 3, None, None)
    assert signature.metadata == {"names": "{0: 'cat'}"}


def test_unknown_runtime() -> None:
    with pytest.raises(EngineUnavailable, match="unknown runtime 'cuda'"):
        engines.load(Path("x.onnx"), "cuda", EngineOptions(shape={}))
