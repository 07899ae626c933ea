"""Seeded random weights under which a detector finds real numbers of boxes. Imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from engines.export_networks import build
from engines.export_request import ARCHITECTURES


def pictures(count: int, size_hw: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    """Rectangles on a gradient, (H, W, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    made = []
    for _ in range(count):
        picture = np.linspace(*rng.uniform(20, 235, (2, 3)), height)[:, None] * np.ones((1, width, 1))
        for _ in range(12):
            top, left = rng.integers(0, height), rng.integers(0, width)
            picture[top : top + rng.integers(8, height), left : left + rng.integers(8, width)] = rng.uniform(0, 255, 3)
        noisy = picture + rng.normal(0, 6, picture.shape)
        made.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return made


def as_batch(network: Any, shown: list[np.ndarray]) -> torch.Tensor:
    """Pictures as the network's own normalisation makes them, (N, 3, H, W)."""
    mean, std = (
        torch.tensor(v).reshape(1, 3, 1, 1) for v in (network.transform.image_mean, network.transform.image_std)
    )
    return (torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float() / 255 - mean) / std


def network_of(architecture: str, classes: int, seed: int = 0) -> Any:
    """A network whose activations and outputs are of the size that trained ones have."""
    torch.manual_seed(seed)
    network = build(architecture, classes + 1)
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=(2 / layer.weight[0].numel()) ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the mean of what it sees
    size = network.transform.fixed_size[::-1] if ARCHITECTURES[architecture].family == "ssd" else (320, 448)
    shown = pictures(4, size, seed + 100)
    batch = as_batch(network, shown)
    with torch.no_grad():
        network.train()
        features = list(network.backbone(batch).values())
        if ARCHITECTURES[architecture].family == "ssd":
            _settle_ssd(network, features, batch)
        else:
            _settle_two_stage(network, features, shown)
    return network.eval()


def _even_out(network: Any) -> None:
    """Let no channel that hardly varied in the few pictures seen blow up in the others."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.clamp_(min=0.5)


def _last(part: nn.Module) -> list[Any]:
    return [layer for layer in part.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def _scale(layers: list[Any], outputs: torch.Tensor, spread: float) -> None:
    for layer in layers:
        layer.weight *= spread / outputs.std()


def _settle_ssd(network: Any, features: list[torch.Tensor], batch: torch.Tensor) -> None:
    head = network.head
    head(features)  # SSDLite has normalisation in its heads
    network.eval()
    _even_out(network)
    for part, spread in ((head.classification_head, 1.6), (head.regression_head, 1.5)):
        outputs = part(list(network.backbone(batch).values()))
        for block in part.module_list:
            _scale([_last(block)[-1]], outputs, spread)
    for block in head.classification_head.module_list:  # background first, as nearly everywhere in a picture
        _last(block)[-1].bias.view(-1, head.classification_head.num_columns)[:, 0] = 11.0


def _settle_two_stage(network: Any, features: list[torch.Tensor], shown: list[np.ndarray]) -> None:
    network.eval()
    _even_out(network)
    scores, offsets = network.rpn.head(features)
    _scale([network.rpn.head.cls_logits], torch.cat([part.flatten() for part in scores]), 1.0)
    _scale([network.rpn.head.bbox_pred], torch.cat([part.flatten() for part in offsets]), 0.3)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    predictor = network.roi_heads.box_predictor
    hook = predictor.register_forward_hook(lambda module, given, made: seen.append(made))
    sides = shown[0].shape[:2]
    network.transform.min_size, network.transform.max_size = (min(sides),), max(sides)
    network([torch.from_numpy(picture).permute(2, 0, 1).float() / 255 for picture in shown])
    hook.remove()
    _scale([predictor.cls_score], seen[0][0], 1.5)
    predictor.cls_score.bias[0] = 4.0
    _scale([predictor.bbox_pred], seen[0][1], 0.5)


def save(network: Any, architecture: str, folder: Path) -> Path:
    """Its state dict, in a file whose name tells the architecture."""
    path = folder / f"{ARCHITECTURES[architecture].published}-random.pth"
    torch.save(network.state_dict(), path)
    return path


def save_yolo(name: str, path: str) -> None:
    """A network of ultralytics with random weights, likewise settled, as ultralytics saves it."""
    from ultralytics import YOLO

    torch.manual_seed(0)
    whole = YOLO(f"{name}.yaml")
    network, last = whole.model, whole.model.model[-1]
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
            layer.reset_running_stats()
    shown = torch.from_numpy(np.stack(pictures(4, (320, 320), 100))).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        network.train()
        network(shown)
        _even_out(network)
        network.eval()
        layers = [branch[-1] for part in ("cv3", "one2one_cv3") for branch in getattr(last, part, None) or ()]
        seen: dict[Any, torch.Tensor] = {}
        hooks = [layer.register_forward_hook(lambda one, given, made: seen.update({one: made})) for layer in layers]
        network(shown)
        for layer, hook in zip(layers, hooks, strict=True):
            hook.remove()
            _scale([layer], seen[layer], 0.7)
            layer.bias.fill_(-4.5)
    whole.save(path)
