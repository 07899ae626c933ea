"""TFLite detectors that end in TFLite_Detection_PostProcess, which OpenVINO does not know: read up to there.

OpenVINO refuses the whole file for the sake of one operator (its issues 24384 and 24385). Cut off before it, the graph
gives `box_encodings` (1, A, 4), `class_predictions` (1, A, 1 + C) and `anchors` (1, A, 4): TensorFlow's encodings of y,
x, height and width, its sigmoids with the background first, and its default boxes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

OPERATOR = b"TFLite_Detection_PostProcess"
NAMES = ("box_encodings", "class_predictions", "anchors")


def read_network(openvino: Any, core: Any, model: Path) -> Any:
    """The network in a file that OpenVINO reads; of a TFLite detector what is before its post-processing.

    Raises:
        RuntimeError: OpenVINO cannot read it.
    """
    if model.suffix.lower() != ".tflite" or OPERATOR not in model.read_bytes():
        return core.read_model(str(model))
    frontend = openvino.frontend.FrontEndManager().load_by_framework("tflite")
    # Converted in part: what OpenVINO does not know stays in the graph as a node without a meaning.
    network = frontend.convert_partially(frontend.load(str(model)))
    unknown = [node for node in network.get_ops() if "FrameworkNode" in node.get_type_name()]
    if len(unknown) != 1 or unknown[0].get_input_size() != len(NAMES):
        return core.read_model(str(model))  # which says what it does not know
    outputs = [_in_floats(unknown[0].input_value(k)) for k in range(len(NAMES))]
    first = openvino.opset13.constant(0, dtype="int64")
    outputs[2] = openvino.opset13.unsqueeze(outputs[2], first).output(0)  # one for each picture, like the others
    for output, name in zip(outputs, NAMES, strict=True):
        output.get_tensor().set_names({name})
    return openvino.Model(outputs, network.get_parameters(), model.stem)


def _in_floats(output: Any) -> Any:
    """A tensor before it is made bytes, levels of a quantised one, for an operator that takes them."""
    for kind in ("Convert", "FakeQuantize"):
        node = output.get_node()
        if node.get_type_name() != kind:
            break
        output = node.input_value(0)
    return output
