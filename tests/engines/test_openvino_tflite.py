"""A TFLite detector is read up to the post-processing that OpenVINO does not know."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import engines
from engines.openvino_tflite import NAMES, OPERATOR, read_network
from engines.quiet import import_openvino
from tracker.boxes import iou_matrix
from tracker.config import DetectSettings
from tracker.detect import open_detector
from tracker.detect.classes import COCO_91
from tracker.detect.heads import decode_ssd_raw, mobilenet_boxes
from tracker.detect.nms import nms
from tracker.detect.recognise import recognise
from tracker.structures import Frame

QUANTISED = "ssd_mobilenet_v1_coco_quant.tflite"


@pytest.mark.parametrize(("name", "content"), [("m.onnx", OPERATOR), ("m.xml", b""), ("m.tflite", b"other operators")])
def test_other_files_are_openvinos_own_matter(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    core = SimpleNamespace(read_model=lambda path: ("read", path))
    assert read_network(None, core, tmp_path / name) == ("read", str(tmp_path / name))


@pytest.mark.data
def test_what_comes_before_is_what_the_detector_saw(data: Path) -> None:
    """Default boxes are those of the paper but for eight bits; boxes of a real picture are where its people are."""
    openvino = import_openvino()
    core = openvino.Core()
    network = read_network(openvino, core, data / "weights" / QUANTISED)
    assert [port.get_any_name() for port in network.outputs] == list(NAMES)
    compiled = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    picture = cv2.imread(str(data / "images" / "bus.jpg"))
    small = cv2.cvtColor(cv2.resize(picture, (300, 300), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    outputs = dict(zip(NAMES, (array.copy() for array in compiled(small[None]).values()), strict=True))
    assert recognise(outputs, (300, 300)) == ("ssd_raw", 90)
    assert outputs["anchors"][0] == pytest.approx(mobilenet_boxes(300, 300), abs=0.004)
    boxes, scores, labels = decode_ssd_raw([array[0] for array in outputs.values()], (300, 300), 0.5)
    kept = nms(boxes, scores, labels, 0.5)
    names = [COCO_91[label] for label in labels[kept]]
    assert set(names) <= {"person", "bus"} and names.count("person") >= 2 and "bus" in names
    height, width = picture.shape[:2]
    people = np.array([[50, 398, 245, 903], [222, 405, 345, 860], [669, 392, 810, 877]], np.float32)
    people *= np.array([300 / width, 300 / height] * 2, np.float32)
    assert (iou_matrix(people, boxes[kept]).max(1) > 0.6).sum() >= 2


@pytest.mark.data
def test_the_whole_stage_takes_the_file_as_it_is(data: Path) -> None:
    """Signature, head, names and input are told from the file; nothing beside it is needed."""
    model = data / "weights" / QUANTISED
    assert [spec.name for spec in engines.inspect(model).outputs] == list(NAMES)
    detector, notices = open_detector(DetectSettings(model=str(model), score=0.5, workers=1), (810, 1080))
    assert detector.engine.runtime.startswith("openvino") and detector.identity.head == "ssd_raw" and not notices
    assert detector.size_hw == (300, 300)
    (found,) = detector.detect([Frame.from_bgr(0, 0.0, np.asarray(cv2.imread(str(data / "images" / "bus.jpg"))))])
    names = [detector.class_names[k] for k in found.class_ids]
    assert names.count("person") >= 3 and "bus" in names
    detector.close()
