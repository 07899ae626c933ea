"""Task-aligned label assignment (TOOD, Feng et al. 2021) and the losses of the detector."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from training.network import decode


def pair_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes (..., 4) xyxy, broadcast: (...)."""
    left_top = torch.maximum(a[..., :2], b[..., :2])
    right_bottom = torch.minimum(a[..., 2:], b[..., 2:])
    inter = (right_bottom - left_top).clamp(min=0).prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1) for box in (a, b))
    return inter / (area_a + area_b - inter + 1e-7)


def distance_iou_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 - DIoU of boxes (P, 4) (Zheng et al. 2020): overlap and distance of centres over the enclosing diagonal."""
    enclosing = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    distance = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) ** 2).sum(-1) / 4
    return 1 - pair_iou(a, b) + distance / ((enclosing**2).sum(-1) + 1e-7)


def assign(
    scores: Tensor, boxes: Tensor, grid: Tensor, truth: Tensor, *, top: int = 10, alpha: float = 0.5, beta: float = 6.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the cells that answer for each true box.

    Args:
        scores: (B, A, C) probabilities; boxes: (B, A, 4) pixels; grid: (A, 3), as `cells` gives.
        truth: (N, 6) float: image, class, x1, y1, x2, y2.
        top: cells a true box; alpha, beta: exponents of score and IoU in the alignment.

    Returns:
        key (P,) int64 = image * A + cell, box index (P,) into `truth`, target score (P,) in 0..1.
    """
    image, label, box = truth[:, 0].long(), truth[:, 1].long(), truth[:, 2:]
    centre, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) / 2
    # A box smaller than a cell may hold no centre: the finest level reaches three quarters of a cell.
    reach = torch.where(grid[:, 2:] == grid[0, 2], 0.75 * grid[0, 2], torch.zeros(()))  # (A, 1)
    inside = ((grid[None, :, :2] - centre[:, None]).abs() <= torch.maximum(half[:, None], reach[None])).all(
        -1
    )  # (N, A)
    iou = pair_iou(boxes[image], box[:, None])  # (N, A)
    metric = scores.transpose(1, 2)[image, label].pow(alpha) * iou.pow(beta) * inside
    best, cell = metric.topk(min(top, metric.shape[1]), 1)  # (N, top)
    index = torch.arange(len(truth), device=truth.device)[:, None].expand_as(cell)
    chosen = best > 1e-9
    cell, index, best = cell[chosen], index[chosen], best[chosen]
    key, overlap = image[index] * len(grid) + cell, iou[index, cell]
    # A cell wanted by several boxes answers for the one that it overlaps most.
    most = overlap.new_zeros(len(scores) * len(grid)).scatter_reduce(0, key, overlap, "amax")
    keep = overlap >= most[key]
    key, index, best, overlap = key[keep], index[keep], best[keep], overlap[keep]
    peak = best.new_zeros(len(truth)).scatter_reduce(0, index, best, "amax")
    peak_overlap = best.new_zeros(len(truth)).scatter_reduce(0, index, overlap, "amax")
    return key, index, best / peak[index].clamp(min=1e-9) * peak_overlap[index]


def losses(logits: Tensor, sides: Tensor, grid: Tensor, truth: Tensor, ignore: Tensor) -> tuple[Tensor, Tensor]:
    """Classification and box loss of a batch, each a mean over the summed target scores.

    Args:
        logits: (B, A, C); sides: (B, A, 4) in strides; grid: (A, 3).
        truth: (N, 6) image, class, box; ignore: (K, 5) image, box: cells inside that answer for no box are left out.
    """
    logits, sides = logits.float(), sides.float()
    boxes = decode(sides, grid)
    target = torch.zeros_like(logits)
    weight = torch.ones_like(logits[..., :1])
    if len(ignore):
        centres = grid[None, :, :2]
        inside = ((centres > ignore[:, None, 1:3]) & (centres < ignore[:, None, 3:5])).all(-1)  # (K, A)
        image, cell = inside.nonzero(as_tuple=True)
        weight[ignore[image, 0].long(), cell] = 0
    box_loss = sides.sum() * 0
    total = torch.ones((), device=logits.device)
    if len(truth):
        with torch.no_grad():
            key, index, quality = assign(logits.sigmoid(), boxes, grid, truth)
        target.view(-1, target.shape[-1])[key, truth[index, 1].long()] = quality
        weight.view(-1, 1)[key] = 1
        total = quality.sum().clamp(min=1)
        box_loss = (distance_iou_loss(boxes.reshape(-1, 4)[key], truth[index, 2:]) * quality).sum() / total
    classes = binary_cross_entropy_with_logits(logits, target, weight=weight.expand_as(target), reduction="sum") / total
    return classes, box_loss
