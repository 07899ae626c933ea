"""The head is told from shapes and values; what fits none, or contradicts the card, is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detect.graphs import COUNT, SIZE, corners, decoded, raw_grid
from tracker.detect.card import InputCard, ModelCard
from tracker.detect.heads import HEADS
from tracker.detect.recognise import agreed_head, input_of, recognise
from tracker.errors import ModelError


def blank(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


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
    assert input_of("yolox", card(input={"color": "rgb"})) == InputCard(color="rgb", scale=1.0, anchor="top-left")
