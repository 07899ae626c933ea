"""The head is told from shapes and values; what fits none, or contradicts the card, is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detect.graphs import COUNT, SIZE, corners, decoded, raw_grid
from tracker.detect.card import InputCard, ModelCard
from tracker.detect.heads import HEADS, mobilenet_boxes
from tracker.detect.recognise import agreed_head, input_of, recognise
from tracker.errors import ModelError


def blank(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


ROWS = 50
RANDOM = np.random.default_rng(0)


def shared(classes: int, rows: int = ROWS) -> np.ndarray:
    """Probabilities (1, rows, 1 + classes) that add up to one."""
    drawn = RANDOM.random((1, rows, 1 + classes)).astype(np.float32)
    return drawn / drawn.sum(2, keepdims=True)


def corner_boxes(rows: int = ROWS) -> np.ndarray:
    """Boxes (1, rows, 4) all over the input, corners in pixels."""
    corner = RANDOM.random((1, rows, 2)) * (SIZE[1], SIZE[0])
    return np.concatenate((corner - 5, corner + 5), 2).astype(np.float32)


def around(scale: tuple[float, float], rows: int = ROWS) -> np.ndarray:
    """Default boxes (1, rows, 4): centres and sides, of a picture with these sides."""
    return (RANDOM.uniform(0.05, 0.95, (1, rows, 4)) * (*scale, *scale)).astype(np.float32)


def offsets(rows: int = ROWS) -> np.ndarray:
    return RANDOM.normal(0, 1, (1, rows, 4)).astype(np.float32)


PIXELS = (SIZE[1], SIZE[0])


@pytest.mark.parametrize(
    ("outputs", "head", "classes"),
    [
        ({"output": raw_grid(80)}, "yolox", 80),
        ({"output": raw_grid(1)}, "yolox", 1),
        ({"output": decoded(80)}, "yolox_decoded", 80),
        ({"output": decoded(1)}, "yolox_decoded", 1),
        ({"outputs": decoded(80, objectness=1)}, "yolov6", 80),
        ({"output0": blank(1, 3 * COUNT, 85)}, "yolov5", 80),
        ({"output0": blank(1, 3 * COUNT, 6)}, "yolov5", 1),
        ({"output0": blank(1, 84, COUNT)}, "yolov8", 80),
        ({"output0": blank(1, 300, 6)}, "end2end", 0),
        ({"boxes": corners(), "scores": blank(1, COUNT, 80)}, "yolo_nas", 80),
        ({"scores": blank(1, COUNT, 6), "sides": blank(1, COUNT, 4)}, "cells", 6),
        ({"num_dets": blank(1, 1), "b": blank(1, 9, 4), "s": blank(1, 9), "c": blank(1, 9)}, "efficient_nms", 0),
        ({"encodings": offsets(), "scores": shared(90), "anchors": around(PIXELS)}, "ssd", 90),
        ({"encodings": offsets(COUNT), "scores": shared(3, COUNT), "anchors": around(PIXELS, COUNT)}, "ssd", 3),
        ({"boxes": corner_boxes(), "scores": shared(90)}, "ssd_decoded", 90),
        ({"b": corner_boxes(), "s": shared(3)}, "ssd_decoded", 3),
        (
            {"box_encodings": offsets(), "class_predictions": blank(1, ROWS, 91), "anchors": around((1, 1))},
            "ssd_raw",
            90,
        ),
        (
            {"boxes": blank(1, 3, 4), "labels": np.ones((1, 3), np.int64), "scores": blank(1, 3)},
            "fasterrcnn",
            0,
        ),
        (
            {"boxes": blank(1, 0, 4), "labels": np.ones((1, 0), np.int64), "scores": blank(1, 0)},
            "fasterrcnn",
            0,
        ),
        (
            {
                f"TFLite_Detection_PostProcess{end}": blank(*shape)
                for end, shape in (("", (1, 10, 4)), (":1", (1, 10)), (":2", (1, 10)), (":3", (1,)))
            },
            "tflite_ssd",
            0,
        ),
    ],
)
def test_heads_are_recognised_from_their_outputs(outputs, head, classes) -> None:
    assert recognise(outputs, SIZE) == (head, classes)
    assert head in HEADS


@pytest.mark.parametrize(
    "outputs",
    [
        {"logits": blank(1, 1000)},
        {"a": blank(1, 10, 10), "b": blank(1, 3)},
        {"mask": blank(1, 21, 64, 96)},
        {"distances": blank(1, COUNT, 4), "scores": blank(1, COUNT, 6)},
        # An SSD whose order nobody tells, whose default boxes are elsewhere, whose scores are no probabilities.
        {"loc": offsets(), "conf": shared(90), "prior": around(PIXELS)},
        {"encodings": offsets(), "scores": shared(90), "anchors": around((1, 1))},
        {"box_encodings": offsets(), "class_predictions": blank(1, ROWS, 91), "anchors": around(PIXELS)},
        {"boxes": corner_boxes(), "scores": blank(1, ROWS, 91)},
        {"boxes": offsets(), "scores": shared(90)},
        {"boxes": corner_boxes() / 100, "scores": shared(90)},
        # Lists of floats for labels, and TensorFlow's lists with classes from 1.
        {"boxes": blank(1, 3, 4), "labels": blank(1, 3), "scores": blank(1, 3)},
        {"detection_boxes": blank(1, 9, 4), "detection_classes": blank(1, 9), "s": blank(1, 9), "n": blank(1)},
    ],
)
def test_other_outputs_are_named(outputs) -> None:
    with pytest.raises(ModelError, match=next(iter(outputs))):
        recognise(outputs, SIZE)


def test_one_dead_output_does_not_hide_a_decoded_grid() -> None:
    grid = decoded(3)
    grid[0, 5, :2] = np.nan
    assert recognise({"output": grid}, SIZE)[0] == "yolox_decoded"


def card(**keys: object) -> ModelCard:
    return ModelCard.model_validate({"name": "mine", "file": "mine.onnx", **keys})


def test_the_card_may_name_what_values_cannot_tell() -> None:
    outputs = {"sides_left": blank(1, COUNT, 4), "probabilities": blank(1, COUNT, 6)}
    assert agreed_head(card(head="cells"), outputs, SIZE) == ("cells", 6)
    assert agreed_head(card(head="yolov6"), {"output": decoded(3)}, SIZE) == ("yolov6", 3)


def test_the_card_may_name_what_an_ssd_does_not() -> None:
    outputs = {"loc": offsets(), "conf": shared(3), "prior": around(PIXELS)}
    assert agreed_head(card(head="ssd"), outputs, SIZE) == ("ssd", 3)
    with pytest.raises(ModelError, match="not those of a known detector"):
        agreed_head(card(head="ssd_raw"), outputs, SIZE)
    rows = len(mobilenet_boxes(300, 300))
    raw = {"a": offsets(rows), "b": blank(1, rows, 91)}
    assert agreed_head(card(head="ssd_raw"), raw, (300, 300)) == ("ssd_raw", 90)
    with pytest.raises(ModelError, match="not those of a known detector"):
        agreed_head(card(head="ssd_raw"), raw, (320, 320))
    lists = {"a": blank(1, 9, 4), "b": blank(1, 9), "c": blank(1, 9), "d": blank(1)}
    assert agreed_head(card(head="tflite_ssd"), lists, SIZE) == ("tflite_ssd", 0)
    two_stage = {"a": blank(1, 3, 4), "b": np.ones((1, 3), np.int32), "c": blank(1, 3)}
    assert agreed_head(card(head="fasterrcnn"), two_stage, SIZE) == ("fasterrcnn", 0)


@pytest.mark.parametrize("says", ["ssd", "ssd_decoded", "ssd_raw", "tflite_ssd", "fasterrcnn"])
def test_a_card_with_a_head_of_another_family_is_refused(says: str) -> None:
    with pytest.raises(ModelError, match=f"says head '{says}', but its outputs are those of head 'yolov8'"):
        agreed_head(card(head=says), {"output0": blank(1, 6, COUNT)}, SIZE)


@pytest.mark.parametrize(("says", "found"), [("end2end", "yolov8"), ("cells", "yolov8"), ("yolox", "yolov8")])
def test_a_card_with_another_head_is_refused(says: str, found: str) -> None:
    with pytest.raises(ModelError, match=f"mine says head '{says}', but its outputs are those of head '{found}'"):
        agreed_head(card(head=says), {"output0": blank(1, 6, COUNT)}, SIZE)
    with pytest.raises(ModelError, match=f"mine says head '{says}', but .* not those of a known detector"):
        agreed_head(card(head=says), {"output0": blank(1, 6, COUNT + 1)}, SIZE)


def test_the_input_follows_the_head_and_the_card_goes_first() -> None:
    yolox = InputCard(color="bgr", scale=1.0, anchor="top-left")
    assert input_of("yolox", None) == input_of("yolox_decoded", card()) == yolox
    assert input_of("yolov6", None) == input_of("yolov8", None) == InputCard()
    assert input_of("ssd", None) == InputCard(anchor="stretch") and input_of("fasterrcnn", None).anchor == "top-left"
    assert input_of("yolox", card(input={"color": "rgb"})) == InputCard(color="rgb", scale=1.0, anchor="top-left")
