"""A Faster R-CNN (Ren et al. 2015) on the embedded single-stage detector, of torchvision's parts.

First stage: the single-stage network whole, its answer told as a region proposal network's: one anchor a cell, the
best class's logit as objectness. Second stage: torchvision's (RoIAlign, two layers, classes and box), new, on the
pyramid and the heads' hidden layers. Only the second stage is trained. Imports torchvision.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign

from training.export import fuse
from training.network import STRIDES, Network
from training.start import folded_weights

CHANNELS, HIDDEN, POOLED = 80, 256, 7
ANCHOR = 4  # strides
LOGIT_SCALE = 4.0
MOST_UNSURE = 0.5
"""Share of a region on an unsure box from which on it is no background."""


class Features(nn.Module):
    """The single-stage network: its own answer and, below that, one map a level for the second stage."""

    def __init__(self, network: Network) -> None:
        """Of a network whose normalisations are folded into its convolutions."""
        super().__init__()
        self.network = network
        self.out_channels = CHANNELS
        widths = [
            head.score[0][0].in_channels + head.score[0][0].out_channels + head.sides[0][0].out_channels
            for head in network.heads
        ]
        self.merge = nn.ModuleList(nn.Conv2d(width, CHANNELS - network.classes, 1) for width in widths)

    def forward(self, pixels: Tensor) -> OrderedDict[str, Tensor]:
        """(B, 3, H, W) in 0..1, H and W multiples of 32 -> float32 maps of strides 8, 16, 32.

        "0", "1", "2": (B, CHANNELS, h, w); "first0", "first1", "first2": (B, classes + 4, h, w), logits and sides.
        """
        maps = OrderedDict()
        for k, level in enumerate(self.network.levels(pixels)):
            head = self.network.heads[k]
            score, sides = head.score[0](level), head.sides[0](level)
            logits, reach = head.score[1](score).float(), nn.functional.softplus(head.sides[1](sides).float())
            merged = self.merge[k](torch.cat((level, score, sides), 1)).float()
            # The logits mean the same on every level, what is merged has to learn to.
            maps[str(k)] = torch.cat((merged, logits / LOGIT_SCALE), 1)
            maps[f"first{k}"] = torch.cat((logits, reach), 1)
        return maps


class ProposalHead(nn.Module):
    """The single stage's answer as a region proposal network's: one square anchor a cell, `ANCHOR` strides wide.

    torchvision's anchors lie about a cell's top left corner, the single stage's distances are from its middle.
    """

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps (B, classes + 4, h, w) -> objectness (B, 1, h, w), the best class's logit, and offsets (B, 4, h, w)."""
        scores, offsets = [], []
        for answer in x:
            logits, sides = answer[:, :-4], answer[:, -4:]
            low, high = sides[:, :2], sides[:, 2:]
            centre, extent = (1 + high - low) / (2 * ANCHOR), torch.log((low + high).clamp(min=1e-3) / ANCHOR)
            scores.append(logits.amax(1, keepdim=True))
            offsets.append(torch.cat((centre, extent), 1))
        return scores, offsets


class Predictor(nn.Module):
    """Class logits of a region and one box for all classes: rare classes share what the frequent ones learn."""

    def __init__(self, classes: int) -> None:
        """`classes` without the background."""
        super().__init__()
        self.score = nn.Linear(HIDDEN, classes + 1)
        self.offsets = nn.Linear(HIDDEN, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(R, HIDDEN) -> logits (R, 1 + classes), background first; offsets (R, 4 * (1 + classes))."""
        scores = self.score(x).float()
        return scores, self.offsets(x).float().repeat(1, self.score.out_features)


class Proposals(RegionProposalNetwork):
    """torchvision's, of the single stage's answers alone."""

    def forward(self, images: ImageList, features: dict[str, Tensor], targets: Any = None) -> Any:
        """Proposals of each picture, (R, 4) pixels; there is nothing to learn here."""
        return super().forward(images, {key: value for key, value in features.items() if key.startswith("first")})


class Regions(RoIHeads):
    """torchvision's; proposals on unsure boxes are no background."""

    def select_training_samples(self, proposals: list[Tensor], targets: Any) -> Any:
        """Proposals to learn from, their boxes, labels and offsets."""
        self._unsure = [target["unsure"] for target in targets]
        return super().select_training_samples(proposals, targets)

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], gt_boxes: list[Tensor], gt_labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Box and label of each proposal: 0 background, -1 left out."""
        boxes, labels = super().assign_targets_to_proposals(proposals, gt_boxes, gt_labels)
        for label, proposal, grey in zip(labels, proposals, self._unsure, strict=True):
            label[(label == 0) & unsure(proposal, grey)] = -1
        return boxes, labels


def unsure(boxes: Tensor, grey: Tensor) -> Tensor:
    """(N,) bool: boxes (N, 4) of whose area at least MOST_UNSURE lies in one of `grey` (K, 4)."""
    if not len(grey):
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    low = torch.maximum(boxes[:, None, :2], grey[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], grey[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1).amax(1)
    return shared >= MOST_UNSURE * (boxes[:, 2:] - boxes[:, :2]).prod(-1)


def build(classes: int = 6) -> GeneralizedRCNN:
    """The network as torch initialises it, its trunk's normalisations folded; scores from 0.01, 100 boxes at most."""
    features = Features(fuse(Network(classes)))
    proposals = Proposals(
        AnchorGenerator(tuple((ANCHOR * stride,) for stride in STRIDES), ((1.0,),) * len(STRIDES)), ProposalHead(),
        fg_iou_thresh=0.5, bg_iou_thresh=0.5, batch_size_per_image=1, positive_fraction=0.5,
        pre_nms_top_n={"training": 300, "testing": 400}, post_nms_top_n={"training": 200, "testing": 200},
        nms_thresh=0.7,
    )  # fmt: skip
    levels = [str(k) for k in range(len(STRIDES))]
    regions = Regions(
        # Up to 64 pixels from the map of stride 8, up to 128 from that of stride 16.
        MultiScaleRoIAlign(levels, POOLED, sampling_ratio=1, canonical_scale=64, canonical_level=4),
        TwoMLPHead(CHANNELS * POOLED**2, HIDDEN), Predictor(classes),
        fg_iou_thresh=0.5, bg_iou_thresh=0.5, batch_size_per_image=64, positive_fraction=0.35,
        bbox_reg_weights=None, score_thresh=0.01, nms_thresh=0.5, detections_per_img=100,
    )  # fmt: skip
    plain = GeneralizedRCNNTransform(320, 1333, [0.0] * 3, [1.0] * 3)  # only says that pixels are 0..1
    return GeneralizedRCNN(features, proposals, regions, plain)


def start(network: GeneralizedRCNN, path: Path) -> None:
    """Fill the trunk with the weights of an export of the single-stage network (`training.export`)."""
    network.backbone.network.load_state_dict(folded_weights(path))


def losses(network: GeneralizedRCNN, pixels: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Losses of the second stage on a batch (B, 3, H, W) in 0..1.

    Args:
        network: in training mode.
        targets: per picture boxes (N, 4), labels (N,) from 1, unsure (K, 4); pixels of the input, float32 and int64.
    """
    sizes = [(pixels.shape[2], pixels.shape[3])] * len(pixels)
    maps = network.backbone(pixels)
    with torch.no_grad():
        network.rpn.eval()  # it has no losses
        regions, _ = network.rpn(ImageList(pixels, sizes), maps)
    _, second = network.roi_heads(maps, regions, sizes, targets)
    return dict(second)


@torch.no_grad()
def find(network: GeneralizedRCNN, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One picture (1, 3, H, W) in 0..1 -> boxes (K, 4) xyxy pixels, labels (K,) from 1, scores (K,)."""
    sizes = [(pixels.shape[2], pixels.shape[3])]
    maps = network.backbone(pixels)
    regions, _ = network.rpn(ImageList(pixels, sizes), maps)
    (found,), _ = network.roi_heads(maps, regions, sizes)
    return found["boxes"], found["labels"], found["scores"]
