"""Train the embedded detector: `python -m training.train --data DIR --rendered DIR --output DIR`.

Small pictures first, large ones last: most of the learning happens at a third of the cost. Resumes from
`OUTPUT/last.pt` by itself. Uses a GPU when there is one. The measured result is in `engines/zoo/`.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from training.assign import losses
from training.data import IGNORE, Augment, Sample, digest, load, names_of
from training.evaluate import detect, evaluate
from training.network import Network, cells
from training.start import start

STAGES = ((256, 108), (320, 34), (416, 10))  # picture size, epochs
PLAIN_EPOCHS = 10  # the last ones, without mosaic: pictures as the detector will meet them
BATCH, PEAK_RATE, DECAY, WARM_STEPS = 32, 1.5e-3, 0.03, 600
GENERAL = ("coco_", "cap_")  # general photographs: what the detector must keep silent on


def batches(
    samples: list[Sample], extra: list[list[Sample]], size: int, mosaic: float, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """One epoch: pictures (B, 3, S, S) uint8, truth (N, 6) image, class, box, unsure (K, 5) image, box."""
    order = np.random.default_rng(seed).permutation(len(samples))
    chunks = [order[k : k + BATCH] for k in range(0, len(order) - BATCH + 1, BATCH)]

    def make(k: int) -> tuple[Tensor, Tensor, Tensor]:
        augment = Augment(samples, extra, size, np.random.default_rng((seed, k)))
        made = [augment.make(int(index), mosaic) for index in chunks[k]]
        pictures = torch.from_numpy(np.stack([picture for picture, _ in made])).permute(0, 3, 1, 2)
        rows = np.concatenate(
            [np.column_stack((np.full(len(boxes), i, np.float32), boxes)) for i, (_, boxes) in enumerate(made)]
        )
        sure = rows[:, 1] != IGNORE
        return pictures, torch.from_numpy(rows[sure]), torch.from_numpy(rows[~sure][:, [0, 2, 3, 4, 5]])

    with ThreadPoolExecutor(2) as pool:
        ahead = [pool.submit(make, k) for k in range(min(3, len(chunks)))]
        for k in range(len(chunks)):
            yield ahead.pop(0).result()
            if k + 3 < len(chunks):
                ahead.append(pool.submit(make, k + 3))


class Average:
    """Exponential moving average of the weights: what is evaluated and exported."""

    def __init__(self, model: nn.Module, keep: float = 0.9998, settled: int = 2000) -> None:
        """`keep`: share of the old average a step, reached after a few times `settled` steps."""
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.keep, self.settled, self.steps = keep, settled, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Follow `model`: slowly when it has settled, fast in the first steps."""
        self.steps += 1
        keep = self.keep * (1 - math.exp(-self.steps / self.settled))
        for mean, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(new, 1 - keep)
            else:
                mean.copy_(new)


def make_optimizer(model: nn.Module) -> torch.optim.AdamW:
    """AdamW; no weight decay on biases and normalisation."""
    groups: list[list[nn.Parameter]] = [
        [p for p in model.parameters() if (p.ndim > 1) == decays] for decays in (True, False)
    ]
    return torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": DECAY}, {"params": groups[1], "weight_decay": 0.0}], lr=PEAK_RATE
    )


class Training:
    """Network, average and optimizer after `epoch` epochs and `step` steps: what a checkpoint holds."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.model = Network().to(device, memory_format=torch.channels_last)
        self.average, self.optimizer = Average(self.model), make_optimizer(self.model)
        self.epoch = self.step = self.warm_from = 0

    def begin(self, weights: Path, epoch: int, feed: Iterator[tuple[Tensor, Tensor, Tensor]], steps: int) -> None:
        """Go on from exported weights after `epoch` epochs of `steps` steps, warming the optimizer up again."""
        start(self.model, weights, (pictures.float() / 255 for pictures, _, _ in islice(feed, 8)))
        self.average = Average(self.model)
        self.epoch, self.step = epoch, epoch * steps
        self.warm_from = self.average.steps = self.step

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.warm_from = state["epoch"], state["step"], state.get("warm_from", 0)
        self.average.steps = self.step

    def save(self, checkpoint: Path) -> None:
        """Write the checkpoint; a killed run leaves the old one or the new one, whole."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "warm_from": self.warm_from,
        }
        torch.save(state, checkpoint.with_suffix(".new.pt"))
        checkpoint.with_suffix(".new.pt").replace(checkpoint)

    def learn(self, feed: Iterator[tuple[Tensor, Tensor, Tensor]], size: int, total_steps: int) -> dict[str, float]:
        """One epoch of batches at one picture size, warming up and falling along a cosine. Returns its figures."""
        begin, count, sums = time.perf_counter(), 0, np.zeros(2)
        grid = cells(size, size).to(self.device)
        for pictures, truth, unsure in feed:
            share = 0.51 + 0.49 * math.cos(math.pi * self.step / total_steps)
            rate = PEAK_RATE * min((self.step - self.warm_from + 1) / WARM_STEPS, share)
            sums += self._step(pictures, truth.to(self.device), unsure.to(self.device), grid, rate)
            self.step, count = self.step + 1, count + 1
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "size": size,
            "class_loss": sums[0] / count,
            "box_loss": sums[1] / count,
            "rate": rate,
            "images_per_s": count * BATCH / (time.perf_counter() - begin),
        }

    def _step(self, pictures: Tensor, truth: Tensor, unsure: Tensor, grid: Tensor, rate: float) -> tuple[float, float]:
        """One step down the gradient. Returns the losses of classes and boxes."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        inputs = pictures.to(self.device).float().div_(255).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits, sides = self.model(inputs)
        classes, boxes = losses(logits, sides, grid, truth, unsure)
        (classes + 2.5 * boxes).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.model)
        return classes.item(), boxes.item()


def run(args: argparse.Namespace) -> None:
    """Train through all stages, keeping `last.pt` and `log.jsonl` in the output folder."""
    torch.manual_seed(args.seed)
    cv2.setNumThreads(1)
    names = [
        name for name in names_of(args.data, "train") if not args.open_only or name.split("_")[0] in args.open_only
    ]
    samples = load(args.data, names)
    general = [sample for sample in samples if sample.name.startswith(GENERAL)]
    rendered: list[Sample] = []
    training = Training(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    args.output.mkdir(parents=True, exist_ok=True)
    if (args.output / "last.pt").exists():
        training.resume(args.output / "last.pt")
    elif args.start:
        feed = batches(samples, [general, []], STAGES[0][0], 0.6, args.seed)
        training.begin(args.start, args.start_epoch, feed, len(samples) // BATCH)
    sizes = [size for size, epochs in STAGES for _ in range(epochs)]
    total_steps = len(sizes) * (len(samples) // BATCH)
    for epoch in range(training.epoch, len(sizes)):
        if args.rendered and not rendered and (args.rendered / "images").is_dir():
            rendered = load(args.rendered, names_of(args.rendered))
        mosaic = 0.0 if epoch >= len(sizes) - PLAIN_EPOCHS else 0.6
        feed = batches(samples, [general, rendered], sizes[epoch], mosaic, args.seed * 1000 + epoch)
        record: dict[str, Any] = training.learn(feed, sizes[epoch], total_steps) | {"rendered": len(rendered)}
        if (epoch + 1) % 10 == 0 or epoch + 1 == len(sizes):
            record["ap50"] = evaluate(partial(detect, training.average.model), args.data, sizes[epoch])
        with (args.output / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")
        training.save(args.output / "last.pt")
    print(json.dumps({"train_images": len(samples), "data_sha256": digest(args.data, names)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with images/, labels/, ignore/, train.txt, val.txt"
    )
    parser.add_argument("--rendered", type=Path, help="folder of rendered scenes; joins when it exists")
    parser.add_argument("--output", type=Path, required=True, help="checkpoints and log")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--open-only", type=lambda text: text.split(","), help="prefixes of the sources to train on, all without"
    )
    parser.add_argument("--start", type=Path, help="exported ONNX to go on from where the checkpoint is lost")
    parser.add_argument("--start-epoch", type=int, default=0, help="epochs that --start has seen")
    run(parser.parse_args())
