"""Go on from exported weights where the checkpoint is lost: an ONNX of `training.export` -> network.

An export has its batch normalisations folded into the convolutions. They are taken apart again with the statistics of
a few training batches, so that the network gives the same outputs in evaluation and nearly the same in training. What
is lost: the optimizer's moments, and the weights' digits below FP16.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.network import ConvBlock, Network


def folded_weights(path: Path) -> dict[str, Tensor]:
    """Parameters of the exported graph by their names in `Network`, where a block's bias is `BLOCK.0.bias`."""
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    return {
        name.removeprefix("network.").removesuffix("_half"): torch.from_numpy(values.astype("float32"))
        for name, values in tensors.items()
        if name.startswith("network.")
    }


@torch.no_grad()
def start(network: Network, path: Path, batches: Iterable[Tensor]) -> None:
    """Fill `network` with the weights of the export at `path`; `batches` are pictures (B, 3, H, W) in 0..1."""
    weights = folded_weights(path)
    blocks = {name: module for name, module in network.named_modules() if isinstance(module, ConvBlock)}
    shifts = {name: weights.pop(f"{name}.0.bias") for name in blocks}
    missing, unknown = network.load_state_dict(weights, strict=False)
    if unknown or any(name.rpartition(".")[0].removesuffix(".1") not in blocks for name in missing):
        raise ValueError(f"{path} is no export of this network: {unknown or missing}")
    norms = {name: block[1] for name, block in blocks.items()}
    for name, norm in norms.items():  # the identity plus the folded bias: each layer then sees its true inputs
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(1)
        norm.bias.copy_(shifts[name])
    moments = _moments(network, norms, batches)
    for name, norm in norms.items():
        mean, variance = moments[name]
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(shifts[name] + mean)


def _moments(
    network: Network, norms: dict[str, nn.BatchNorm2d], batches: Iterable[Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance a channel of what enters each normalisation."""
    sums: dict[str, list[Tensor]] = {name: [] for name in norms}

    def watch(name: str) -> object:
        def hook(_: nn.Module, inputs: tuple[Tensor]) -> None:
            x = inputs[0].double()
            sums[name].append(torch.stack((x.mean((0, 2, 3)), (x * x).mean((0, 2, 3)))))

        return norms[name].register_forward_pre_hook(hook)

    handles = [watch(name) for name in norms]
    training = network.training
    network.eval()
    for pictures in batches:
        network(pictures)
    network.train(training)
    for handle in handles:
        handle.remove()
    mean = {name: torch.stack(parts).mean(0) for name, parts in sums.items()}
    return {name: (m[0], (m[1] - m[0] ** 2).clamp_min(1e-6)) for name, m in mean.items()}
