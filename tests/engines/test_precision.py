"""The precision that is reported is the graph's own; files of other runtimes are told apart by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import EngineLoadError, EngineOptions, EngineUnavailable

OPTIONS = EngineOptions(shape={"x": (1, 8)})
needs_openvino = pytest.mark.skipif("openvino" not in engines.installed(), reason="openvino is not installed")


def save(path: Path, kind: int, quantised: bool) -> Path:
    """y = x * weights, the weights stored as INT8 and the input quantised if so asked."""
    weights = np.eye(8)
    held = [numpy_helper.from_array(np.array(0.1, np.float32), "scale"), numpy_helper.from_array(np.int8(0), "zero")]
    nodes = [helper.make_node("MatMul", ["x", "weights"], ["y"])]
    if quantised:
        held.append(numpy_helper.from_array(weights.astype(np.int8), "stored"))
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
            helper.make_node("DequantizeLinear", ["stored", "scale", "zero"], ["weights"]),
            helper.make_node("MatMul", ["d", "weights"], ["y"]),
        ]
    else:
        held = [numpy_helper.from_array(weights.astype(helper.tensor_dtype_to_np_dtype(kind)), "weights")]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, (1, 8))],
        [helper.make_tensor_value_info("y", kind, (1, 8))], held,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_onnxruntime_tells_int8(tmp_path: Path) -> None:
    load = engines.load
    assert load(save(tmp_path / "q.onnx", TensorProto.FLOAT, True), "onnxruntime", OPTIONS).precision == "int8+fp32"
    assert load(save(tmp_path / "f.onnx", TensorProto.FLOAT, False), "onnxruntime", OPTIONS).precision == "fp32"


@needs_openvino
def test_openvino_tells_int8(tmp_path: Path) -> None:
    import openvino

    single = EngineOptions(shape={"x": (1, 8)}, precision="fp32")
    path = save(tmp_path / "q.onnx", TensorProto.FLOAT, True)
    assert engines.load(path, "openvino", single).precision == "int8+fp32"
    openvino.save_model(openvino.Core().read_model(str(path)), tmp_path / "q.xml", compress_to_fp16=False)
    assert engines.load(tmp_path / "q.xml", "openvino", single).precision == "int8+fp32"
    assert engines.load(save(tmp_path / "f.onnx", TensorProto.FLOAT, False), "openvino", single).precision == "fp32"


def test_onnxruntime_takes_the_models_own_precision(tmp_path: Path) -> None:
    path = save(tmp_path / "h.onnx", TensorProto.FLOAT16, False)
    for precision in ("auto", "fp16"):
        engine = engines.load(path, "onnxruntime", EngineOptions(shape={"x": (1, 8)}, precision=precision))
        assert engine.precision == "fp16"
    with pytest.raises(EngineUnavailable, match=r"as it is \(fp16\), precision fp32"):
        engines.load(path, "onnxruntime", EngineOptions(shape={"x": (1, 8)}, precision="fp32"))


def test_onnxruntime_names_the_runtime_for_other_files(tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    path.write_text("<net/>")
    with pytest.raises(EngineLoadError, match=r"reads .onnx, .*m.xml is .xml; use --runtime openvino$"):
        engines.load(path, "onnxruntime", OPTIONS)


@needs_openvino
def test_notes_beside_an_ir_are_read(tmp_path: Path) -> None:
    """Ultralytics writes task, names and size into metadata.yaml of the folder."""
    import openvino

    network = openvino.Core().read_model(str(save(tmp_path / "f.onnx", TensorProto.FLOAT, False)))
    openvino.save_model(network, tmp_path / "f.xml")
    (tmp_path / "metadata.yaml").write_text("task: pose\nnames: {0: person}\nimgsz: [640, 640]\n")
    notes = engines.inspect(tmp_path / "f.xml").metadata
    assert (notes["task"], notes["names"], notes["imgsz"]) == ("pose", "{0: 'person'}", "[640, 640]")
    (tmp_path / "metadata.yaml").write_text("[")
    assert "task" not in engines.inspect(tmp_path / "f.xml").metadata
