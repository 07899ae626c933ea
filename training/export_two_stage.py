"""Checkpoint -> ONNX of the Faster R-CNN: `python -m training.export_two_stage --checkpoint last.pt --output F.onnx`.

Bytes in, normalised in the graph, suppressed in the graph: as `tracker models export` writes torchvision's own. The
graph is compared with torch on pictures of the val split before its weights are stored as FP16, and after.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from engines.export_check import accept
from engines.export_torchvision import FasterRcnnGraph, agreement, export_graph
from training.data import load, names_of
from training.evaluate import CLASSES
from training.export import halve
from training.two_stage import build

SIZE, PICTURES = 512, 20
NEAR = 1e-6
AXIS = "axis_1"


class Calibrated(nn.Module):
    """A graph whose scores say how often a box is right; the boxes and their order within a class stay."""

    def __init__(self, network: GeneralizedRCNN, slope: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.graph = FasterRcnnGraph(network)
        self.register_buffer("slope", slope)
        self.register_buffer("offset", offset)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(1, H, W, 3) uint8 -> boxes (1, K, 4), labels (1, K), scores (1, K)."""
        boxes, labels, scores = self.graph(images)
        scores = scores.clamp(NEAR, 1 - NEAR)
        logits = torch.log(scores / (1 - scores))
        return boxes, labels, torch.sigmoid(logits * self.slope[labels - 1] + self.offset[labels - 1])


def without_lists(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make lists and branches plain where the exporter lost count of a tensor's axes: OpenVINO takes them amiss.

    `where(level)[0]` comes out as item 0 of a list of columns, and the column of a picture's number as "squeezed where
    it is one wide". Both are a squeeze of axis 1.
    """
    columns: dict[str, str] = {}
    nodes = []
    for node in model.graph.node:
        branch = {a.name: [part.op_type for part in a.g.node] for a in node.attribute if a.type == a.GRAPH}
        if node.op_type == "SplitToSequence":
            columns[node.output[0]] = node.input[0]
        elif node.op_type == "SequenceAt":
            nodes.append(onnx.helper.make_node("Squeeze", [columns[node.input[0]], AXIS], node.output, node.name))
        elif branch == {"then_branch": ["Constant", "Squeeze"], "else_branch": ["Identity"]}:
            wide = next(a.g for a in node.attribute if a.name == "else_branch").node[0].input[0]
            nodes.append(onnx.helper.make_node("Squeeze", [wide, AXIS], node.output, node.name))
        else:
            nodes.append(node)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), AXIS))
    needed, kept = {output.name for output in model.graph.output}, []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed.update(node.input)
            needed.update(name for a in node.attribute for part in a.g.node for name in part.input)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    return model


def read(checkpoint: Path) -> GeneralizedRCNN:
    """The averaged network of a checkpoint of `training.train_two_stage`."""
    network = build(len(CLASSES))
    network.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["average"])
    return network.eval()


def export(checkpoint: Path, output: Path, data: Path, slope: list[float], offset: list[float]) -> str:
    """Write the ONNX file and return its SHA-256. Raises `engines.export_check.DisagreementError`."""
    graph = Calibrated(read(checkpoint), torch.tensor(slope), torch.tensor(offset)).eval()
    export_graph(graph, "fasterrcnn", CLASSES, SIZE, output)
    onnx.save(without_lists(onnx.load(str(output))), str(output))
    names = names_of(data, "val")
    pictures = [sample.picture for sample in load(data, names[:: max(len(names) // PICTURES, 1)][:PICTURES])]
    print("as exported:", accept(agreement(graph, "fasterrcnn", SIZE, pictures, output), output.stem))
    model = halve(onnx.load(str(output)))
    onnx.checker.check_model(model)
    onnx.save(model, str(output))
    print("weights as FP16:", agreement(graph, "fasterrcnn", SIZE, pictures, output))
    return hashlib.sha256(output.read_bytes()).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="its val split is compared on")
    parser.add_argument("--slope", type=float, nargs=6, default=[1.0] * 6, help="calibration of the logits, a class")
    parser.add_argument("--offset", type=float, nargs=6, default=[0.0] * 6)
    args = parser.parse_args()
    print(export(args.checkpoint, args.output, args.data, args.slope, args.offset))
