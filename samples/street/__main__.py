"""Commands: `images` for training with labels, `clip`, a short video, and `timelapse`, both with ground truth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def _size(text: str) -> tuple[int, int]:
    """A size such as 768x432."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def _parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m samples.street", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    images = commands.add_parser("images", help="render training pictures with YOLO labels")
    images.add_argument("--output", type=Path, required=True, help="folder for images/, labels/ and ignore/")
    images.add_argument("--count", type=int, default=100, help="how many pictures")
    images.add_argument("--seed", type=int, default=1, help="same seed, same pictures")
    images.add_argument("--first", type=int, default=0, help="number of the first picture")
    clip = commands.add_parser("clip", help="render a video with MOTChallenge ground truth")
    clip.add_argument("--output", type=Path, required=True, help="video file")
    clip.add_argument("--truth", type=Path, required=True, help="folder for gt/gt.txt and seqinfo.ini")
    clip.add_argument("--seed", type=int, default=7, help="same seed, same video")
    clip.add_argument("--seconds", type=float, default=12.0, help="length")
    clip.add_argument("--size", type=_size, default=(768, 432), help="WIDTHxHEIGHT in pixels")
    clip.add_argument("--frame-rate", type=int, default=25, help="pictures per second")
    clip.add_argument("--pan", type=float, default=0.0, help="degrees that the camera turns back and forth")
    clip.add_argument("--shake", type=float, default=1.0, help="how much the hand that holds it trembles; 1: little")
    lapse = commands.add_parser("timelapse", help="render a folder of pictures far apart, with ground truth")
    lapse.add_argument("--output", type=Path, required=True, help="folder for IMG_0001.jpg and on, with EXIF times")
    lapse.add_argument("--truth", type=Path, required=True, help="folder for gt/gt.txt and seqinfo.ini")
    lapse.add_argument("--seed", type=int, default=7, help="same seed, same pictures")
    lapse.add_argument("--pictures", type=int, default=60, help="how many, with those that are missing")
    lapse.add_argument("--interval", type=float, default=60.0, help="seconds between pictures")
    lapse.add_argument("--size", type=_size, default=(768, 432), help="WIDTHxHEIGHT in pixels")
    lapse.add_argument("--bump", type=int, metavar="K", help="the camera is knocked before picture K and stays so")
    lapse.add_argument("--gap", type=int, nargs=2, metavar=("K", "N"), help="N pictures after picture K are missing")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.command == "images":
        from .images import write_images

        write_images(options.output, options.count, options.seed, options.first)
        return 0
    if options.command == "timelapse":
        from .lapse import Shots, write_lapse

        gap = tuple(options.gap) if options.gap else None
        shots = Shots(options.pictures, options.interval, options.size, options.bump, gap)
        write_lapse(options.output, options.truth, options.seed, shots)
        return 0
    from .clip import Hand, write_clip

    hand = Hand(options.pan, options.shake)
    write_clip(options.output, options.truth, options.seed, options.seconds, options.size, options.frame_rate, hand)
    return 0


if __name__ == "__main__":
    sys.exit(main())
