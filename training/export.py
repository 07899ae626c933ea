"""Checkpoint -> ONNX: `python -m training.export --checkpoint last.pt --output street6.onnx [--calibrate DATA]`.

The graph takes bytes, (N, H, W, 3) uint8 RGB with H and W multiples of 32, so that a runtime moves a quarter of the
memory and fuses the scaling. It gives `scores` (N, A, classes) in 0..1 and `sides` (N, A, 4) in strides: distances in
strides stay exact in bfloat16, where pixel coordinates above 256 would lose whole pixels.
Weights are stored as FP16 behind casts: half the file, the same boxes.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.network import Network

LARGE = 512  # weights of fewer elements stay FP32


class Exported(nn.Module):
    """Bytes in, calibrated scores and sides out."""

    def __init__(self, network: Network, slope: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("slope", slope)
        self.register_buffer("offset", offset)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, H, W, 3) uint8 -> scores (N, A, classes), sides (N, A, 4)."""
        logits, sides = self.network(images.permute(0, 3, 1, 2).float() / 255)
        return torch.sigmoid(logits * self.slope + self.offset), sides


def fuse(network: Network) -> Network:
    """Fold every batch normalisation into the convolution before it."""
    network.eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential) and len(module) >= 2 and isinstance(module[1], nn.BatchNorm2d):
            module[0] = torch.nn.utils.fuse_conv_bn_eval(module[0], module[1])
            module[1] = nn.Identity()
    return network


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large weights as FP16; a cast in front of each use gives FP32 back."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= LARGE:
            half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_half")
            casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
            tensor.CopyFrom(half)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def export(checkpoint: Path, output: Path, slope: list[float], offset: list[float]) -> str:
    """Write the ONNX file and return its SHA-256."""
    network = Network(len(slope))
    network.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["average"])
    wrapped = Exported(fuse(network), torch.tensor(slope), torch.tensor(offset)).eval()
    axes = {"images": {0: "n", 1: "h", 2: "w"}, "scores": {0: "n", 1: "a"}, "sides": {0: "n", 1: "a"}}
    torch.onnx.export(
        wrapped, (torch.zeros(1, 256, 416, 3, dtype=torch.uint8),), str(output), input_names=["images"],
        output_names=["scores", "sides"], dynamic_axes=axes, opset_version=17, dynamo=False,
    )  # fmt: skip
    model = halve(onnx.load(str(output)))
    for field in ("producer_name", "producer_version", "doc_string"):
        setattr(model, field, "")
    onnx.checker.check_model(model)
    onnx.save(model, str(output))
    return hashlib.sha256(output.read_bytes()).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--slope", type=float, nargs=6, default=[1.0] * 6, help="calibration of the logits, a class")
    parser.add_argument("--offset", type=float, nargs=6, default=[0.0] * 6)
    args = parser.parse_args()
    print(export(args.checkpoint, args.output, args.slope, args.offset))
