"""FP32 ONNX -> INT8 ONNX with explicit QuantizeLinear and DequantizeLinear, by onnxruntime's static quantisation.

Symmetric, weights per channel, biases left in FP32: TensorRT refuses an Int32 DequantizeLinear.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engines.base import Array, EngineLoadError
from engines.precision_nodes import depthwise, first_layers, name_nodes, tail

QUANTISED = ["Conv", "MatMul", "Gemm"]
OPSET = 17
OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "CalibMovingAverage": True,
    "OpTypesToExcludeOutputQuantization": QUANTISED,  # tensors that nobody reads in INT8 would only lose precision
}


class _Feeds:
    """Calibration inputs one by one, as onnxruntime's quantiser wants them (its `CalibrationDataReader`)."""

    def __init__(self, feeds: Sequence[Mapping[str, Array]]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        """The next one; None: no more."""
        found = next(self._left, None)
        return None if found is None else dict(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice on the root logger, which is for those who call it by hand."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def to_int8(model: Any, feeds: Sequence[Mapping[str, Array]], folder: Path) -> Any:
    """A copy of `model` with explicit Q/DQ around its convolutions and products, ranges taken from `feeds`.

    In FP32 stay the first layers, which see the picture, the last before each output, whose channels (scores,
    offsets) have ranges of their own, and depthwise convolutions, for the same reason: quantised, they cost YOLOX-nano
    all its boxes, and there is little to be won in them. Ranges are means over the feeds, not their extremes.

    Args:
        model: with shapes that take the feeds. feeds: real inputs by name, prepared as for inference; 16 or more.
        folder: for the quantiser's files; they are left there.

    Raises:
        EngineLoadError: no feeds, or a model that the quantiser does not take.
    """
    if not feeds:
        raise EngineLoadError("INT8 needs inputs to calibrate on; none were given")
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    CalibrationDataReader.register(_Feeds)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    target = folder / "int8.onnx"
    try:
        if any(entry.domain in ("", "ai.onnx") and entry.version < OPSET for entry in made.opset_import):
            made = onnx.version_converter.convert_version(made, OPSET)
        name_nodes(made)
        kept = set().union(*tail(made), first_layers(made), depthwise(made.graph.node))
        with _quiet():
            quantize_static(
                made, str(target), _Feeds(feeds), quant_format=QuantFormat.QDQ, op_types_to_quantize=QUANTISED,
                per_channel=True, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
                nodes_to_exclude=sorted(kept), extra_options=OPTIONS,
            )  # fmt: skip
    except Exception as error:  # whatever the quantiser, the converter and onnxruntime raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise EngineLoadError(f"the model cannot be quantised to INT8: {reason}") from None
    return onnx.load(str(target))
