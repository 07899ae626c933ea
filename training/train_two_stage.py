"""Train the embedded Faster R-CNN: `python -m training.train_two_stage --data DIR --rendered DIR --output DIR`.

Its first stage is the embedded single-stage detector's file, which stays as it is; the second stage is trained on what
that proposes, so that few epochs do. Pictures, augmentation and scenes are those of `training.train`. Resumes from
`OUTPUT/last.pt` by itself; `--steps` may be given anew then, and the rate falls to the new end. The measured result is
in `engines/zoo/`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from training.data import Sample, digest, load, names_of
from training.evaluate import CLASSES, Array, evaluate, letterbox
from training.train import BATCH, GENERAL, Average, batches
from training.two_stage import build, find, losses, start

SMALL, LARGE, SMALL_SHARE = 320, 416, 0.6  # picture sizes; share of the steps at the small one
PLAIN_SHARE = 0.2  # the last ones, without mosaic
RATE, DECAY, WARM_STEPS = 1.5e-3, 0.03, 60
ROUND = 60  # steps between two checkpoints
WEIGHTS = Path(__file__).parent.parent / "engines" / "zoo" / "street6.onnx"
Feed = Iterator[tuple[Tensor, Tensor, Tensor]]


def parameters(network: GeneralizedRCNN) -> list[nn.Parameter]:
    """The second stage's parameters; the first stage is frozen."""
    network.backbone.network.requires_grad_(False)
    return [values for values in network.parameters() if values.requires_grad]


def targets_of(truth: Tensor, grey: Tensor, count: int) -> list[dict[str, Tensor]]:
    """Truth (N, 6) image, class, box and unsure (K, 5) image, box of a batch -> what torchvision wants a picture."""
    rows = []
    for k in range(count):
        own = truth[truth[:, 0] == k]
        rows.append({"boxes": own[:, 2:], "labels": own[:, 1].long() + 1, "unsure": grey[grey[:, 0] == k, 1:]})
    return rows


def detect(network: GeneralizedRCNN, sample: Sample, size: int) -> list[Array]:
    """Per class (D, 5) box in pixels of the sample and score, best first."""
    pixels, scale = letterbox(sample, size)
    device = next(network.parameters()).device
    boxes, labels, scores = (part.cpu().numpy() for part in find(network, pixels.to(device)))
    rows = np.column_stack((boxes / scale, scores)).astype(np.float32)
    return [rows[labels == k + 1] for k in range(len(CLASSES))]


class Training:
    """Network, average and optimizer after `step` steps: what a checkpoint holds."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.network = build(len(CLASSES)).to(device, memory_format=torch.channels_last)
        self.learning = parameters(self.network)
        groups = [[p for p in self.learning if (p.ndim > 1) == decays] for decays in (True, False)]
        self.optimizer = torch.optim.AdamW(
            [{"params": groups[0], "weight_decay": DECAY}, {"params": groups[1], "weight_decay": 0.0}], lr=RATE
        )
        self.average = Average(self.network, keep=0.995, settled=100)
        self.step = self.round = 0

    def begin(self, weights: Path) -> None:
        """Start from the single-stage network's export."""
        start(self.network, weights)
        self.average = Average(self.network, self.average.keep, self.average.settled)

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.round = state["step"], state["round"]
        self.average.steps = self.step

    def save(self, checkpoint: Path) -> None:
        """Write the checkpoint; a killed run leaves the old one or the new one, whole."""
        state = {
            "model": self.network.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "round": self.round,
        }
        torch.save(state, checkpoint.with_suffix(".new.pt"))
        checkpoint.with_suffix(".new.pt").replace(checkpoint)

    def learn(self, feed: Feed, total: int) -> dict[str, Any]:
        """One round of batches, or what is left of `total` steps. Returns its mean losses."""
        begin, count, sums = time.perf_counter(), 0, dict[str, float]()
        self.network.train()
        for pictures, truth, grey in islice(feed, min(ROUND, total - self.step)):
            for name, value in self._step(pictures, truth, grey, total).items():
                sums[name] = sums.get(name, 0.0) + value
            self.step, count = self.step + 1, count + 1
        self.round += 1
        speed = count * BATCH / (time.perf_counter() - begin)
        means = {name: round(value / count, 4) for name, value in sums.items()}
        return {"round": self.round, "step": self.step, **means, "images_per_s": round(speed, 2)}

    def _step(self, pictures: Tensor, truth: Tensor, grey: Tensor, total: int) -> dict[str, float]:
        """One step down the gradient."""
        share = min((self.step + 1) / WARM_STEPS, 0.505 + 0.495 * math.cos(math.pi * self.step / total))
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * share
        pixels = pictures.to(self.device).float().div_(255).contiguous(memory_format=torch.channels_last)
        targets = targets_of(truth.to(self.device), grey.to(self.device), len(pictures))
        with torch.autocast(self.device.type, torch.bfloat16):
            parts = losses(self.network, pixels, targets)
        sum(parts.values(), torch.zeros((), device=self.device)).backward()
        nn.utils.clip_grad_norm_(self.learning, 5.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.network)
        return {name.removeprefix("loss_"): value.item() for name, value in parts.items()}


def run(args: argparse.Namespace) -> None:
    """Train to the last step, keeping `last.pt` and `log.jsonl` in the output folder."""
    torch.manual_seed(args.seed)
    cv2.setNumThreads(1)
    names = names_of(args.data, "train")
    samples = load(args.data, names)
    general = [sample for sample in samples if sample.name.startswith(GENERAL)]
    rendered = load(args.rendered, names_of(args.rendered)) if args.rendered else []
    training = Training(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    args.output.mkdir(parents=True, exist_ok=True)
    if (args.output / "last.pt").exists():
        training.resume(args.output / "last.pt")
    else:
        training.begin(args.start)
    while training.step < args.steps:
        share = training.step / args.steps
        size, mosaic = (SMALL if share < SMALL_SHARE else LARGE), (0.6 if share < 1 - PLAIN_SHARE else 0.0)
        feed = batches(samples, [general, rendered], size, mosaic, args.seed * 1000 + training.round)
        record = training.learn(feed, args.steps) | {"size": size, "steps": args.steps}
        training.save(args.output / "last.pt")
        if training.step == args.steps or training.round % args.look == 0:
            record["ap50"] = evaluate(partial(detect, training.average.model), args.data, LARGE)
        with (args.output / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")
    print(json.dumps({"train_images": len(samples), "data_sha256": digest(args.data, names)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/, labels/, ignore/ and lists")
    parser.add_argument("--rendered", type=Path, help="folder of rendered scenes")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint and log")
    parser.add_argument("--start", type=Path, default=WEIGHTS, help="export of the single-stage network")
    parser.add_argument("--steps", type=int, default=2340, help=f"batches of {BATCH} in all")
    parser.add_argument("--look", type=int, default=10, help="rounds between two measurements on the val split")
    parser.add_argument("--seed", type=int, default=1)
    run(parser.parse_args())
