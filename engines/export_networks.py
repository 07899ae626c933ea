"""torchvision's detectors by name, and their weights, which `export_torchvision` makes graphs of. Imports torch."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD, _vgg_extractor

from engines.export_check import ExportError
from engines.export_request import ARCHITECTURES

CAFFE_MEAN, CAFFE_STD = [0.48235, 0.45882, 0.40784], [1 / 255] * 3
EXACT = ("258fb6c6",)
"""Published weights (first digits of their SHA-256) whose batch normalisation has no epsilon."""


def build(architecture: str, outputs: int) -> Any:
    """The network of this name without weights (as torch initialises it), for `outputs` classes, background included.

    It is in `eval` mode. Networks are torchvision's but for SSD512, whose layers and default boxes are the paper's
    (torchvision's own larger extractor ends in feature maps of 8, 6, 4 and 1 cells a side where the paper has 8, 4, 2
    and 1).
    """
    given = ARCHITECTURES[architecture]
    if given.inherits:
        return _ssd512(outputs).eval()
    return getattr(detection, given.published)(weights=None, weights_backbone=None, num_classes=outputs).eval()


def _ssd512(outputs: int) -> Any:
    """SSD512 (Liu et al. 2016, section 3.3; scales as for COCO): 24,564 boxes on maps of 64 to 1 cells a side."""
    extractor = _vgg_extractor(torchvision.models.vgg16(weights=None), False, 5)
    blocks = [
        nn.Sequential(nn.Conv2d(before, narrow, 1), nn.ReLU(inplace=True), last, nn.ReLU(inplace=True))
        for before, narrow, last in (
            (1024, 256, nn.Conv2d(256, 512, 3, 2, 1)),
            (512, 128, nn.Conv2d(128, 256, 3, 2, 1)),
            (256, 128, nn.Conv2d(128, 256, 3, 2, 1)),
            (256, 128, nn.Conv2d(128, 256, 3, 2, 1)),
            (256, 128, nn.Conv2d(128, 256, 4, 1, 1)),
        )
    ]
    for layer in nn.ModuleList(blocks).modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    extractor.extra = nn.ModuleList([extractor.extra[0], *blocks])
    boxes = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]],
        scales=[0.04, 0.1, 0.26, 0.42, 0.58, 0.74, 0.9, 1.06],
        steps=[8, 16, 32, 64, 128, 256, 512],
    )
    return SSD(extractor, boxes, (512, 512), outputs, image_mean=CAFFE_MEAN, image_std=CAFFE_STD)


def read_state(weights: Path) -> dict[str, Tensor]:
    """The tensors in this file, by name; also of a training checkpoint, which has them under "model".

    Raises:
        ExportError: it is no state dict, or holds more than tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of a strange pickle; it is refused below
            state = torch.load(weights, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ExportError(
            f"{weights} is not a state dict that can be read without running its code: {reason}"
        ) from None
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ExportError(f"{weights} holds no state dict (a name and a tensor each); save model.state_dict()")
    return state


def outputs_in(state: dict[str, Tensor], family: str) -> int:
    """How many classes, background included, these weights tell apart; 0: they are of another network."""
    name = "roi_heads.box_predictor.cls_score.weight"
    if family == "fasterrcnn":
        return state[name].shape[0] if name in state else 0
    kinds = ("classification", "regression")
    ends = (".weight", ".1.weight")  # SSD's is one convolution, SSDLite's the second of two
    scores, sides = (
        next((state[key] for end in ends if (key := f"head.{kind}_head.module_list.0{end}") in state), None)
        for kind in kinds
    )
    return 0 if scores is None or sides is None else scores.shape[0] * 4 // sides.shape[0]


def load(weights: Path, architecture: str) -> tuple[Any, int]:
    """The network with these weights, and its classes without the background.

    Raises:
        ExportError: they are not weights of this architecture.
    """
    state = read_state(weights)
    outputs = outputs_in(state, ARCHITECTURES[architecture].family)
    if outputs < 2:
        raise ExportError(f"{weights} holds no weights of {architecture}: its last layer is not there; choose --arch")
    network = build(architecture, outputs)
    try:
        odd = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ExportError(f"{weights} holds no weights of {architecture}: {reason}; choose --arch") from None
    # A frozen normalisation does not count its batches.
    missing, unknown = (
        [key for key in keys if not key.endswith("num_batches_tracked")]
        for keys in (odd.missing_keys, odd.unexpected_keys)
    )
    if missing or unknown:
        raise ExportError(
            f"{weights} holds no weights of {architecture}: {len(missing)} tensors are missing and {len(unknown)} are "
            f"unknown, such as {(missing + unknown)[0]}; choose --arch"
        )
    if hashlib.sha256(weights.read_bytes()).hexdigest().startswith(EXACT):
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = 0.0
    return network.eval(), outputs - 1


def names_of(classes: int, given: Sequence[str]) -> tuple[str, ...]:
    """Names of the classes: as given; COCO's 90 ids ("N/A": not used) where there are 90; else made up.

    Raises:
        ExportError: another number is given.
    """
    if given and len(given) != classes:
        raise ExportError(f"the weights know {classes} classes, {len(given)} names were given; name them all, in order")
    known = detection.SSD300_VGG16_Weights.COCO_V1.meta["categories"][1:]
    return tuple(given) or (tuple(known) if len(known) == classes else tuple(f"class_{k}" for k in range(classes)))
