"""torchvision's detectors as ONNX: bytes in, (N, H, W, 3) uint8 RGB; normalised in the graph. Imports torch.

SSD (Liu et al. 2016): `encodings` (N, A, 4), `scores` (N, A, 1 + classes) in 0..1 with the background first, and
`anchors` (N, A, 4), the default boxes as centre and sides in pixels. Decoding is left to whoever reads them: in half
precision or bfloat16, offsets of a default box stay exact to a fraction of a pixel where pixels do not.
Faster R-CNN (Ren et al. 2015): `boxes` (1, K, 4) xyxy pixels, `labels` (1, K) with 0 the background, `scores` (1, K),
suppressed, best first; one picture of any size. torchvision's own resizing is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from engines.base import Array
from engines.export_check import Agreement, ExportError, Found, accept, compare
from engines.export_networks import load, names_of
from engines.export_request import ARCHITECTURES, Exported, Request, Say

OPSET = 17
EXAMPLE_HW = (256, 320)


class SsdGraph(nn.Module):  # type: ignore[misc]  # types are checked without torch
    """An SSD without its resizing and its suppression."""

    def __init__(self, network: Any) -> None:
        """Of torchvision's SSD, in `eval` mode."""
        super().__init__()
        self.network = network
        mean, std = normalisation(network)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.register_buffer("anchors", default_boxes(network)[None])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, H, W, 3) uint8 -> encodings, scores, anchors."""
        features = self.network.backbone((images.permute(0, 3, 1, 2).float() - self.mean) / self.std)
        found = self.network.head(list(features.values()))
        anchors = self.anchors.expand(images.shape[0], -1, -1)
        return found["bbox_regression"], torch.softmax(found["cls_logits"], -1), anchors


class FasterRcnnGraph(nn.Module):  # type: ignore[misc]
    """A Faster R-CNN without its resizing."""

    def __init__(self, network: Any) -> None:
        """Of torchvision's FasterRCNN, in `eval` mode."""
        super().__init__()
        self.network = network
        mean, std = normalisation(network)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(1, H, W, 3) uint8, sides multiples of 32 -> boxes, labels, scores."""
        pixels = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
        # As tensors, so that the graph clips boxes at the sides of its input and not at those of the example.
        height, width = torch._shape_as_tensor(pixels)[-2:]
        pictures = ImageList(pixels, [(height, width)])
        features = self.network.backbone(pixels)
        regions, _ = self.network.rpn(pictures, features)
        (found,), _ = self.network.roi_heads(features, regions, pictures.image_sizes)
        return found["boxes"][None], found["labels"][None], found["scores"][None]


def normalisation(network: Any) -> tuple[Tensor, Tensor]:
    """Mean and deviation (1, 3, 1, 1) of the network's input, of pixels in 0..255."""
    given = network.transform
    return tuple(255 * torch.tensor(values).reshape(1, 3, 1, 1) for values in (given.image_mean, given.image_std))


def default_boxes(network: Any) -> Tensor:
    """An SSD's default boxes (A, 4), centre and sides in pixels of its input."""
    width, height = network.transform.fixed_size
    blank = torch.zeros(1, 3, height, width)
    with torch.no_grad():
        features = list(network.backbone(blank).values())
    corners = network.anchor_generator(ImageList(blank, [(height, width)]), features)[0]
    return torch.cat(((corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]), 1)


def export_state(request: Request, architecture: str, made: Path, say: Say) -> Exported:
    """Export a state dict to the file `made`, and compare. Raises ExportError."""
    family = ARCHITECTURES[architecture].family
    network, classes = load(request.weights, architecture)
    names = names_of(classes, request.names)
    size = request.size or ARCHITECTURES[architecture].size
    graph: nn.Module = (SsdGraph if family == "ssd" else FasterRcnnGraph)(network).eval()
    say(f"exporting {architecture}, {classes} classes, with torch {torch.__version__}")
    try:
        export_graph(graph, family, names, size, made)
    except Exception as error:  # the exporter has no common base class; its text is a page long
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise ExportError(f"torch {torch.__version__} cannot export {architecture}: {reason}") from None
    return Exported(
        "torchvision", names, size, accept(agreement(graph, family, size, request.pictures, made), architecture)
    )


def export_graph(graph: nn.Module, family: str, names: Sequence[str], size: int, made: Path) -> None:
    """Write a graph of this module to the file `made`, with its classes' names; `size`: longer side of its input."""
    _write(graph, family, size, made)
    rows = graph.anchors.shape[1] if isinstance(graph, SsdGraph) else 0
    _finish(made, {"task": "detect", "names": str(dict(enumerate(names))), "imgsz": str([size, size])}, rows)


def agreement(graph: nn.Module, family: str, size: int, pictures: Sequence[Array], made: Path) -> Agreement:
    """How far the file finds what the graph's module finds on pictures (H, W, 3) uint8 RGB."""
    fitted = [_fit(picture, (size, size) if family == "ssd" else None) for picture in pictures]
    return compare(*_both(graph, family, made, fitted), most=0 if family == "ssd" else 100)


def _write(graph: nn.Module, family: str, size: int, made: Path) -> None:
    """Trace the graph into the file."""
    sides = (size, size) if family == "ssd" else EXAMPLE_HW
    if family == "ssd":
        outputs = ["encodings", "scores", "anchors"]
        dynamic = {name: {0: "n"} for name in ("images", *outputs)}
    else:
        outputs = ["boxes", "labels", "scores"]
        dynamic = {"images": {1: "h", 2: "w"}, **{name: {1: "k"} for name in outputs}}
    example = torch.randint(0, 256, (1, *sides, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        # Hundreds of lines on Python values in torchvision's code; `compare` looks at what comes of them.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph, (example,), str(made), input_names=["images"], output_names=outputs, dynamic_axes=dynamic,
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip


def _finish(made: Path, notes: dict[str, str], rows: int) -> None:
    """Write notes, and sides that tracing left open (`rows`: boxes of an SSD); take out where the file was made."""
    model = onnx.load(str(made))
    for field in ("producer_name", "producer_version", "doc_string"):
        setattr(model, field, "")
    for node in model.graph.node:
        node.doc_string = ""
    for value in model.graph.output:
        dims = value.type.tensor_type.shape.dim
        if rows:
            dims[1].dim_value = rows
        if value.name in ("boxes", "anchors", "encodings"):
            dims[2].dim_value = 4
    onnx.helper.set_model_props(model, notes)
    onnx.checker.check_model(model)
    onnx.save(model, str(made))


def _fit(picture: Array, size: tuple[int, int] | None) -> Array:
    """A picture (H, W, 3) uint8 as the graph's input (1, h, w, 3): of this size, or cut to multiples of 32."""
    if size is None:
        height, width = (side // 32 * 32 for side in picture.shape[:2])
        return np.ascontiguousarray(picture[None, :height, :width])
    rows, columns = (
        np.linspace(0, side - 1, want).astype(int) for side, want in zip(picture.shape, size, strict=False)
    )
    return np.ascontiguousarray(picture[rows][:, columns][None])


def _both(graph: nn.Module, family: str, made: Path, pictures: Sequence[Array]) -> tuple[list[Found], list[Found]]:
    """What the network and the file find."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(made), providers=["CPUExecutionProvider"])
    wanted: list[Found] = []
    given: list[Found] = []
    for picture in pictures:
        with torch.no_grad():
            raw = [output.numpy()[0] for output in graph(torch.from_numpy(picture))]
        ran = [output[0] for output in session.run(None, {"images": picture})]
        for rows, found in ((raw, wanted), (ran, given)):
            boxes, labels, scores = decoded(rows, picture.shape[1:3]) if family == "ssd" else rows
            found.append((boxes, scores, labels))
    return wanted, given


def decoded(rows: Sequence[Array], size_hw: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """One picture's outputs of an SSD -> boxes (A, 4) xyxy pixels cut at the sides, labels (A,), scores (A,).

    By the formulas of the paper with its variances 0.1 and 0.2, and torchvision's limit of a box's growth.
    """
    encodings, scores, anchors = (np.asarray(row, np.float64) for row in rows)
    centre = anchors[:, :2] + encodings[:, :2] / 10 * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(np.minimum(encodings[:, 2:] / 5, np.log(1000 / 16))) / 2
    limit = np.array([size_hw[1], size_hw[0]] * 2)
    boxes = np.clip(np.concatenate((centre - half, centre + half), 1), 0, limit)
    return boxes, scores[:, 1:].argmax(1), scores[:, 1:].max(1)
