"""Which head a network has, told from the outputs of one run, and what such a head wants as input.

Families share shapes: YOLOX's raw grid looks like the same grid decoded in the graph, and like YOLOv6. So the values
are looked at as well, and what fits none is refused: a wrong head gives boxes, only wrong ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.detect.card import InputCard, ModelCard
from tracker.detect.heads import HEADS, STRIDES, adds_up, cells, mobilenet_boxes
from tracker.errors import ModelError

Array = NDArray[Any]

YOLOX_INPUT = InputCard(color="bgr", scale=1.0, anchor="top-left")
STRETCHED = InputCard(anchor="stretch")
INPUTS = {
    "cells": InputCard(scale=1.0, anchor="top-left"),
    "yolox": YOLOX_INPUT,
    "yolox_decoded": YOLOX_INPUT,
    "ssd": STRETCHED,
    "ssd_decoded": STRETCHED,
    "ssd_raw": STRETCHED,
    "tflite_ssd": STRETCHED,
    "fasterrcnn": InputCard(anchor="top-left"),
}
"""What the heads want that do not take RGB in 0..1 with the picture in the middle."""
SSD_OUTPUTS = {"ssd": ("encodings", "scores", "anchors"), "ssd_raw": ("box_encodings", "class_predictions", "anchors")}
TWO_STAGE = ("boxes", "labels", "scores")
POST_PROCESS = "TFLite_Detection_PostProcess"
MARGIN = 0.1
"""Default boxes may have their centre so far outside of the picture, in its sides."""


def input_of(head: str, card: ModelCard | None) -> InputCard:
    """What a model with this head wants; what its card says goes first."""
    usual = INPUTS.get(head, InputCard())
    if card is None or "input" not in card.model_fields_set:
        return usual
    return usual.model_copy(update={key: getattr(card.input, key) for key in card.input.model_fields_set})


def agreed_head(card: ModelCard | None, outputs: Mapping[str, Array], size_hw: tuple[int, int]) -> tuple[str, int]:
    """Head and number of classes (0: unknown), from the outputs; what the card says must agree.

    Raises:
        ModelError: outputs that no head here understands, or of another head than the card's.
    """
    if card is None or card.head == "auto":
        return recognise(outputs, size_hw)
    try:
        found, count = recognise(outputs, size_hw, likely=card.head)
    except ModelError as error:
        raise ModelError(f"the card of model {card.name} says head '{card.head}', but {error}") from None
    if HEADS[found] is not HEADS[card.head]:
        raise ModelError(
            f"the card of model {card.name} says head '{card.head}', but its outputs are those of head '{found}': "
            f"{_shown(outputs)}; correct the card"
        )
    return card.head, count


def recognise(outputs: Mapping[str, Array], size_hw: tuple[int, int], likely: str = "auto") -> tuple[str, int]:
    """Name of the head and number of classes (0: unknown) from the outputs (batch first) of a run at this input size.

    Args:
        outputs: of a picture that is not all one value. size_hw: of the input.
        likely: the head to take where values cannot tell (our own has no mark but the names of its outputs).

    Raises:
        ModelError: outputs that no head here understands.
    """
    shapes = [output.shape for output in outputs.values()]
    if len(shapes) == 4:
        found = _four(outputs, likely)
    elif len(shapes) == 3:
        found = _three(outputs, size_hw, likely)
    elif len(shapes) == 2 and all(len(shape) == 3 for shape in shapes):
        found = _two(outputs, size_hw, likely) or _two_of_ssd(outputs, size_hw, likely)
    elif len(shapes) == 1 and len(shapes[0]) == 3:
        found = _one(next(iter(outputs.values())), size_hw)
    else:
        found = None
    if found is None:
        raise ModelError(
            f"the model's outputs are not those of a known detector: {_shown(outputs)} at input "
            f"{size_hw[1]}x{size_hw[0]}; wanted are those of {', '.join(HEADS)}"
        )
    return found


def _one(output: Array, size_hw: tuple[int, int]) -> tuple[str, int] | None:
    """Head and number of classes of a single output (B, rows, columns)."""
    _, rows, columns = output.shape
    count = _count(size_hw)
    # Before the lists of end-to-end models: at small inputs a grid of one class has as few rows and as many columns.
    if rows == count and columns > 5:
        if not follows_cells(output[0, :, :2], size_hw):
            return "yolox", columns - 5
        # YOLOv6 has no objectness, its exports hold ones in its place.
        return "yolov6" if (output[0, :, 4] == 1).all() else "yolox_decoded", columns - 5
    if rows == 3 * count and columns > 5:
        return "yolov5", columns - 5
    if columns == count and rows > 4:
        return "yolov8", rows - 4
    return ("end2end", 0) if columns == 6 and rows <= 1000 else None


def _two(outputs: Mapping[str, Array], size_hw: tuple[int, int], likely: str) -> tuple[str, int] | None:
    """Head and number of classes of two outputs (B, A, 4) and (B, A, C), in either order."""
    boxes, scores = sorted(outputs.values(), key=lambda output: output.shape[2] != 4)
    if boxes.shape[2] != 4 or not boxes.shape[1] == scores.shape[1] == _count(size_hw):
        return None
    if set(outputs) == {"scores", "sides"}:
        return "cells", scores.shape[2]
    if follows_cells((boxes[0, :, :2] + boxes[0, :, 2:]) / 2, size_hw):
        return "yolo_nas", scores.shape[2]
    return ("cells", scores.shape[2]) if likely == "cells" else None


def _two_of_ssd(outputs: Mapping[str, Array], size_hw: tuple[int, int], likely: str) -> tuple[str, int] | None:
    """The same of an SSD's boxes (B, A, 4) and scores (B, A, 1 + C), in this order."""
    boxes, scores = outputs.values()
    if boxes.shape[2] != 4 or boxes.shape[1] != scores.shape[1] or scores.shape[2] < 2:
        return None
    count = scores.shape[2] - 1
    # Boxes that are all the right way round and reach across the picture are decoded; encodings never are.
    first = np.nan_to_num(boxes[0].astype(np.float64))
    right = bool((first[:, :2] <= first[:, 2:]).all()) and first.max() > max(size_hw) / 2
    if right and adds_up(scores[0]):
        return "ssd_decoded", count
    ours = likely == "ssd_raw" or any("box_encodings" in name for name in outputs)
    return ("ssd_raw", count) if ours and not right and boxes.shape[1] == len(mobilenet_boxes(*size_hw)) else None


def _three(outputs: Mapping[str, Array], size_hw: tuple[int, int], likely: str) -> tuple[str, int] | None:
    """Head and number of classes of an SSD with its default boxes, or of a list of boxes, labels and scores."""
    first, second, third = outputs.values()
    if first.ndim != 3 or first.shape[2] != 4:
        return None
    if second.ndim == third.ndim == 2:
        whole = second.shape == third.shape == first.shape[:2] and np.issubdtype(second.dtype, np.integer)
        return ("fasterrcnn", 0) if whole and (tuple(outputs) == TWO_STAGE or likely == "fasterrcnn") else None
    if second.ndim != 3 or third.shape != first.shape or second.shape[1] != first.shape[1] or second.shape[2] < 2:
        return None
    # The names tell in which order the encodings' and the default boxes' four numbers are; values hardly do.
    head = next((head for head, names in SSD_OUTPUTS.items() if tuple(outputs) == names), likely)
    height, width = size_hw
    sides = {"ssd": (width, height), "ssd_raw": (1.0, 1.0)}.get(head)
    return (head, second.shape[2] - 1) if sides and _are_default_boxes(third[0], sides) else None


def _are_default_boxes(boxes: Array, sides: tuple[float, float]) -> bool:
    """True where (A, 4) are centres and sides of boxes that lie all over a picture of these sides."""
    centre, extent = boxes[:, :2] / sides, boxes[:, 2:] / sides
    inside = (centre > -MARGIN).all() and (centre < 1 + MARGIN).all() and (extent > 0).all() and (extent < 2).all()
    return bool(inside and (centre.max(0) > 0.5).all() and (extent.max(0) > 0.25).all())


def _four(outputs: Mapping[str, Array], likely: str) -> tuple[str, int] | None:
    """Lists that are suppressed in the graph: their count first (TensorRT), or last (TensorFlow)."""
    if "num_dets" in "".join(outputs):
        return "efficient_nms", 0
    boxes, *lists, count = outputs.values()
    fits = boxes.ndim == 3 and boxes.shape[2] == 4 and count.size == boxes.shape[0]
    # Names of TensorFlow's other exports are not these, and their classes begin with 1.
    named = likely == "tflite_ssd" or all(name.startswith(POST_PROCESS) for name in outputs)
    return ("tflite_ssd", 0) if fits and named and all(part.shape == boxes.shape[:2] for part in lists) else None


def follows_cells(centres: Array, size_hw: tuple[int, int]) -> bool:
    """True where points (A, 2) go along with the centres of their cells: pixels, not offsets in strides."""
    grid, stride = cells(*size_hw)
    own = (grid + 0.5) * stride
    own = (own - own.mean(0)).astype(np.float64)
    slope = (own * np.nan_to_num(centres.astype(np.float64))).sum(0) / (own**2).sum(0)
    return bool((slope > 0.5).all())


def _count(size_hw: tuple[int, int]) -> int:
    """Number of cells of an input of this size."""
    return sum((size_hw[0] // stride) * (size_hw[1] // stride) for stride in STRIDES)


def _shown(outputs: Mapping[str, Array]) -> str:
    """Names and shapes of outputs."""
    return ", ".join(f"{name} {tuple(output.shape)}" for name, output in outputs.items())
