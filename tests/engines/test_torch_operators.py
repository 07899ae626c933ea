"""ONNX operators in PyTorch: each gives what ONNX Runtime gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch")

from engines.torch_graph import OnnxModule  # noqa: E402
from engines.torch_node import Unsupported  # noqa: E402

RNG = np.random.default_rng(3)
PICTURE = RNG.normal(size=(1, 4, 7, 6)).astype(np.float32)
POSITIVE = np.abs(PICTURE) + np.float32(0.1)
ROWS = RNG.normal(size=(2, 12)).astype(np.float32)
WHOLE = RNG.integers(-9, 9, (3, 5))
F32, I64 = np.float32, np.int64


def weight(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(F32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, I64)


def graph_of(op: str, x: np.ndarray, held: list[Any], opset: int, outputs: int, attributes: dict[str, Any]) -> Any:
    """A graph of one node: x and constants (None: absent) in, `outputs` out."""
    names = ["x", *("" if value is None else f"c{k}" for k, value in enumerate(held))]
    constants = [numpy_helper.from_array(v, n) for v, n in zip(held, names[1:], strict=True) if v is not None]
    made = [f"y{k}" for k in range(outputs)]
    node = helper.make_node(op, names, made, **attributes)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [helper.make_tensor_value_info(name, 0, None) for name in made], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
        value.type.tensor_type.elem_type = value.type.tensor_type.elem_type or TensorProto.FLOAT
    return model


def run_both(model: Any, x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        ours = OnnxModule(model, {"x": (x.shape, x.shape)}, torch.float16).eval()(torch.from_numpy(x.copy()))
    return session.run(None, {"x": x}), [result.numpy() for result in ours]


def case(op: str, x: np.ndarray, *held: Any, opset: int = 17, outputs: int = 1, **attributes: Any) -> Any:
    told = " ".join(f"{key}={value}" for key, value in attributes.items())
    return pytest.param(op, x, list(held), opset, outputs, attributes, id=f"{op}-{opset} {told}".strip())


CASES = [
    *(case(op, PICTURE) for op in ("Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish",
      "Identity", "IsNaN", "LeakyRelu", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin",
      "Softplus", "Softsign", "Tan", "Tanh")),
    *(case(op, POSITIVE) for op in ("Log", "Sqrt")),
    case("Round", np.array([0.5, 1.5, 2.5, -0.5, -1.5], F32)),
    case("HardSigmoid", PICTURE, alpha=1 / 6, beta=0.5),
    case("Mish", PICTURE, opset=18),
    case("Gelu", PICTURE, opset=20), case("Gelu", PICTURE, opset=20, approximate="tanh"),
    *(case(op, PICTURE, weight(4, 1, 1)) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "PRelu")),
    case("Pow", POSITIVE, np.float32(1.5)), case("Pow", PICTURE, np.int64(2)),
    case("Div", WHOLE, ints(2, -3, 4, 5, -1)), case("Mod", WHOLE, ints(2, -3, 4, 5, -1)),
    case("Mod", PICTURE, np.float32(0.7), fmod=1),
    *(case(op, PICTURE, weight(1, 4, 7, 6)) for op in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")),
    case("Equal", WHOLE, ints(1, 2, 3, 4, 5)), case("Not", PICTURE > 0), case("And", PICTURE > 0, POSITIVE > 1),
    case("Or", PICTURE > 0, POSITIVE > 1), case("Xor", PICTURE > 0, POSITIVE > 1),
    case("Where", PICTURE > 0, weight(4, 1, 1), weight(6)),
    case("Clip", PICTURE, np.float32(-0.5), np.float32(0.5)), case("Clip", PICTURE, None, np.float32(0.5)),
    case("Clip", PICTURE, opset=6, min=-0.5, max=0.5),
    *(case("Cast", PICTURE * 9, to=kind) for kind in (TensorProto.INT64, TensorProto.BOOL, TensorProto.DOUBLE)),
    *(case("Softmax", PICTURE, opset=opset, axis=1) for opset in (11, 13)), case("LogSoftmax", PICTURE),
    case("Softmax", PICTURE, opset=11),
    # Shapes
    case("Reshape", PICTURE, ints(0, -1, 6)), case("Reshape", PICTURE, ints(2, 2, 42)),
    case("Flatten", PICTURE), case("Flatten", PICTURE, axis=-1), case("Flatten", PICTURE, axis=0),
    case("Squeeze", PICTURE, opset=11), case("Squeeze", PICTURE, opset=11, axes=[0]), case("Squeeze", PICTURE, ints(0)),
    case("Unsqueeze", PICTURE, opset=11, axes=[0, 5]), case("Unsqueeze", PICTURE, ints(-1, 1)),
    case("Transpose", PICTURE), case("Transpose", PICTURE, perm=[0, 2, 3, 1]),
    case("Concat", PICTURE, weight(1, 4, 7, 2), axis=3),
    case("Split", PICTURE, outputs=2, axis=1), case("Split", PICTURE, ints(1, 3), outputs=2, axis=1),
    case("Split", PICTURE, opset=11, outputs=2, axis=3, split=[2, 4]),
    case("Split", PICTURE, opset=18, outputs=3, axis=2, num_outputs=3),
    case("Slice", PICTURE, ints(1, 0), ints(2**63 - 1, -1), ints(2, 3), ints(2, 1)),
    case("Slice", PICTURE, ints(-1, 5), ints(-(2**62), 1), ints(2, 3), ints(-1, -2)),
    case("Slice", PICTURE, ints(1), ints(9)), case("Slice", PICTURE, opset=9, starts=[1], ends=[3], axes=[1]),
    case("Gather", PICTURE, np.int64(-1), axis=1), case("Gather", PICTURE, ints(3, 0, -2), axis=2),
    case("Gather", PICTURE, WHOLE[:2, :2] % 4, axis=1),
    case("GatherElements", PICTURE, RNG.integers(-7, 7, (1, 4, 3, 6)), axis=2),
    case("GatherND", PICTURE, ints(0, 1, 2, 0, 3, 1).reshape(2, 3)),
    case("GatherND", ROWS.reshape(2, 3, 4), ints(1, 2).reshape(2, 1), batch_dims=1),
    case("ScatterElements", PICTURE, RNG.permutation(7)[:3].reshape(1, 1, 3, 1), weight(1, 1, 3, 1), axis=2),
    case("ScatterElements", PICTURE, np.full((1, 1, 3, 1), 2), weight(1, 1, 3, 1), axis=2, reduction="add"),
    case("ScatterND", PICTURE, ints(0, 1, 0, 3).reshape(2, 2), weight(2, 7, 6)),
    case("ScatterND", PICTURE, ints(0, 1, 0, 1).reshape(2, 2), weight(2, 7, 6), reduction="add"),
    case("Expand", PICTURE, ints(3, 1, 7, 1)), case("Expand", ROWS, ints(4, 1, 1)),
    case("Tile", PICTURE, ints(1, 2, 1, 3)),
    case("Pad", PICTURE, ints(0, 0, 1, 2, 0, 0, 3, 4), np.float32(7)),
    case("Pad", PICTURE, ints(0, 1, -1, 2, 0, 0, 3, 0)),
    case("Pad", PICTURE, ints(0, 0, 1, 2, 0, 0, 3, 4), mode="reflect"),
    case("Pad", PICTURE, ints(0, 0, 1, 2, 0, 0, 3, 4), mode="edge"),
    case("Pad", PICTURE, ints(1, 2), None, ints(3), opset=18),
    case("Pad", PICTURE, opset=2, pads=[0, 0, 1, 1, 0, 0, 1, 1]),
    case("OneHot", WHOLE % 4, np.int64(4), weight(2), axis=1), case("OneHot", -(WHOLE % 4), np.int64(4), weight(2)),
    case("Trilu", PICTURE), case("Trilu", PICTURE, np.int64(1), upper=0),
    case("DepthToSpace", PICTURE, blocksize=2), case("DepthToSpace", PICTURE, blocksize=2, mode="CRD"),
    case("SpaceToDepth", PICTURE[:, :, :6], blocksize=2), case("Size", PICTURE),
    case("Shape", PICTURE, start=1, end=-1),
    # Reductions and sorting
    *(case(f"Reduce{op}", POSITIVE, opset=11, axes=[1, -1], keepdims=0) for op in ("L1", "L2", "Max", "Mean", "Min",
      "Prod", "Sum", "SumSquare")),
    case("ReduceSum", PICTURE, ints(2)), case("ReduceMean", PICTURE, ints(2, 3), opset=18), case("ReduceMax", PICTURE),
    case("ReduceSum", PICTURE, noop_with_empty_axes=1),
    case("ArgMax", WHOLE, axis=1), case("ArgMax", WHOLE % 2, axis=1, select_last_index=1),
    case("ArgMin", WHOLE, keepdims=0),
    case("TopK", PICTURE, ints(3), outputs=2, axis=2), case("TopK", WHOLE % 3, ints(4), outputs=2),
    case("TopK", PICTURE, ints(2), outputs=2, largest=0), case("CumSum", PICTURE, np.int64(2)),
    case("CumSum", PICTURE, np.int64(3), exclusive=1, reverse=1),
    case("Einsum", ROWS, weight(12, 3), equation="ij,jk->ki"),
    # Layers
    case("Conv", PICTURE, weight(8, 4, 3, 3), weight(8), pads=[1, 1, 1, 1], strides=[2, 2]),
    case("Conv", PICTURE, weight(8, 2, 3, 2), pads=[0, 1, 2, 0], group=2, dilations=[2, 1]),
    case("Conv", PICTURE, weight(4, 4, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    case("Conv", PICTURE, weight(4, 4, 4, 4), auto_pad="SAME_LOWER"),
    case("Conv", PICTURE, weight(4, 4, 3, 3), auto_pad="VALID"),
    case("Conv", PICTURE[0], weight(5, 7, 3)),
    case("ConvTranspose", PICTURE, weight(4, 3, 2, 2), weight(3), strides=[2, 2]),
    case("ConvTranspose", PICTURE, weight(4, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    case("ConvTranspose", PICTURE, weight(4, 1, 3, 3), pads=[0, 1, 1, 0], group=2),
    case("Gemm", ROWS, weight(3, 12), weight(3), transB=1, alpha=0.5, beta=2.0),
    case("Gemm", ROWS, weight(2, 3), transA=1),
    case("MatMul", PICTURE, weight(6, 2)),
    case("MaxPool", PICTURE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("MaxPool", PICTURE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    case("MaxPool", PICTURE, kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    case("MaxPool", PICTURE, kernel_shape=[3, 3], pads=[2, 2, 2, 2]),
    case("MaxPool", PICTURE, kernel_shape=[2, 3], dilations=[2, 1], pads=[0, 1, 1, 0]),
    case("AveragePool", PICTURE, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    case("AveragePool", PICTURE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1, strides=[2, 2]),
    case("AveragePool", PICTURE, kernel_shape=[3, 3], pads=[0, 1, 1, 0]),
    case("AveragePool", PICTURE, kernel_shape=[3, 3], pads=[0, 1, 1, 0], count_include_pad=1),
    case("GlobalAveragePool", PICTURE), case("GlobalMaxPool", PICTURE),
    case("BatchNormalization", PICTURE, weight(4), weight(4), weight(4), np.abs(weight(4)) + 1),
    case("InstanceNormalization", PICTURE, weight(4), weight(4)),
    case("LayerNormalization", PICTURE, weight(7, 6), weight(7, 6), axis=2),
    case("GroupNormalization", PICTURE, weight(4), weight(4), opset=21, num_groups=2),
    case("LRN", PICTURE, size=3), case("LpNormalization", PICTURE, axis=1), case("Dropout", PICTURE),
    case("GridSample", PICTURE, weight(1, 3, 2, 2), mode="bilinear", opset=16),
    case("QuantizeLinear", PICTURE * 40, np.float32(0.25), np.uint8(128)),
    case("QuantizeLinear", PICTURE, np.abs(weight(4)), np.zeros(4, np.int8), axis=1),
    case("DequantizeLinear", WHOLE.astype(np.int8), np.float32(0.25), np.int8(3)),
    case("DequantizeLinear", WHOLE.astype(np.int32), np.abs(weight(3)), np.zeros(3, np.int32), axis=0),
    # Resize
    case("Resize", PICTURE, None, np.array([1, 1, 2, 2], F32), mode="nearest",
         coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    case("Upsample", PICTURE, np.array([1, 1, 2, 3], F32), opset=9, mode="nearest"),
    case("Resize", PICTURE, np.array([1, 1, 2, 2], F32), opset=10, mode="linear"),
    *(case("Resize", PICTURE, None, None, ints(1, 4, *sides), mode=mode, coordinate_transformation_mode=way)
      for mode in ("nearest", "linear", "cubic") for way in ("half_pixel", "asymmetric", "align_corners",
      "pytorch_half_pixel") for sides in ((11, 13), (3, 1))),
    *(case("Resize", PICTURE, None, np.array([1, 1, 1.7, 0.6], F32), mode="nearest", nearest_mode=mode)
      for mode in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
    case("Resize", PICTURE, None, np.array([1.7, 0.6], F32), opset=18, mode="linear", axes=[2, 3]),
    case("Resize", PICTURE, None, None, ints(14, 12), opset=18, mode="cubic", axes=[2, 3], exclude_outside=1),
]  # fmt: skip


@pytest.mark.parametrize(("op", "x", "held", "opset", "outputs", "attributes"), CASES)
def test_an_operator_gives_what_onnx_runtime_gives(op, x, held, opset, outputs, attributes) -> None:
    wanted, got = run_both(graph_of(op, x, held, opset, outputs, attributes), x)
    assert len(got) == outputs
    for want, have in zip(wanted, got, strict=True):
        assert have.dtype == want.dtype and have.shape == want.shape
        assert have == pytest.approx(want, rel=1e-4, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize(
    ("op", "x", "held", "attributes", "message"),
    [
        ("NonZero", PICTURE, [], {}, "operator NonZero .* has no place in an exported program"),
        ("MaxPool", PICTURE, [], {"kernel_shape": [2, 2], "outputs": 2}, "places of the largest values"),
        ("Resize", PICTURE, [np.zeros(8, F32), None, ints(1, 4, 3, 3)],
         {"coordinate_transformation_mode": "tf_crop_and_resize"}, "crops"),
    ],
)  # fmt: skip
def test_what_has_no_place_is_named(op, x, held, attributes, message: str) -> None:
    outputs = attributes.pop("outputs", 1) if "outputs" in attributes else 1
    with pytest.raises(Unsupported, match=message):
        OnnxModule(graph_of(op, x, held, 17, outputs, attributes), {"x": (x.shape, x.shape)}, torch.float16)


def test_a_shape_that_the_data_decides_is_named() -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["s"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["x", "s"], ["y"], "r"),
        ],
        "g", [value("x", 1, (2,))], [value("y", 1, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(Unsupported, match=r"input 1 depends on the data \(Reshape r\)"):
        OnnxModule(model, {"x": ((2,), (2,))}, torch.float16)
