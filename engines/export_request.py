"""What is asked of an export, what comes of it, and the networks that can be exported. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.base import Array
from engines.export_check import Agreement

Say = Callable[[str], None]


@dataclass(frozen=True)
class Architecture:
    """A network whose weights can be exported.

    Attributes:
        family: "ssd" or "fasterrcnn". size: sides of a fixed input, or the longer side that the network is made for.
        published: what the names of its published weights begin with, and what torchvision calls it.
        inherits: torchvision has no such network, ours is built of its parts.
    """

    family: str
    size: int
    published: str
    inherits: bool = False


ARCHITECTURES = {
    "ssd300-vgg16": Architecture("ssd", 300, "ssd300_vgg16"),
    "ssd512-vgg16": Architecture("ssd", 512, "ssd512_vgg16", inherits=True),
    "ssdlite320": Architecture("ssd", 320, "ssdlite320_mobilenet_v3_large"),
    "fasterrcnn-r50-fpn": Architecture("fasterrcnn", 1344, "fasterrcnn_resnet50_fpn"),
    "fasterrcnn-r50-fpn-v2": Architecture("fasterrcnn", 1344, "fasterrcnn_resnet50_fpn_v2"),
    "fasterrcnn-mobilenet": Architecture("fasterrcnn", 1344, "fasterrcnn_mobilenet_v3_large_fpn"),
    "fasterrcnn-mobilenet-320": Architecture("fasterrcnn", 640, "fasterrcnn_mobilenet_v3_large_320_fpn"),
}


@dataclass(frozen=True)
class Request:
    """What to export.

    Attributes:
        weights: a torchvision state dict (.pth) or a network of ultralytics (.pt).
        output: the .onnx, replaced if it is there.
        architecture: one of ARCHITECTURES; of ultralytics' files "", they say it themselves.
        size: longer side of the input, pixels, where the network leaves it open; 0: as it was made.
        names: of the classes, in order, without the background; empty: COCO's where there are as many, or none.
        pictures: (H, W, 3) uint8 RGB, which torch and the graph are compared on.
    """

    weights: Path
    output: Path
    architecture: str
    size: int
    names: Sequence[str]
    pictures: Sequence[Array]


@dataclass(frozen=True)
class Exported:
    """What was written: a network of "torchvision" or "ultralytics", its classes, the longer side of its input."""

    source: str
    names: tuple[str, ...]
    size: int
    agreement: Agreement
