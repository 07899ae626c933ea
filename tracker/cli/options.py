"""Options that several commands share, and how flags become settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from tracker.config import DEFAULT_TRACKER, TRACKERS, Settings, make_settings, parse_assignments
from tracker.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])

# Setting -> the flag that sets it. A command without one of the flags leaves that setting as it is.
FLAGS = {
    "detect.model": "model",
    "detect.runtime": "runtime",
    "detect.device": "device",
    "detect.precision": "precision",
    "detect.score": "score",
    "detect.iou": "iou",
    "detect.classes": "classes",
    "tracker.name": "tracker_name",
}


class Seconds(click.FloatRange):
    """A finite time above 0."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As `FloatRange`, and finite."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number of seconds", param, ctx)
        return number


SECONDS = Seconds(0, min_open=True)
RATE = click.FloatRange(0.01, 1000)


def detector_options(command: Command) -> Command:
    """Add --model, --runtime, --require, --device, --precision, --classes, --score and --iou."""
    options = (
        click.option(
            "--model", metavar="NAME|FILE", help="Card (`tracker models list`) or model file. [default: street6]"
        ),
        click.option(
            "--runtime",
            type=click.Choice(["auto", "tensorrt", "tensorrt-rtx", "onnxruntime", "openvino", "torch"]),
            help="Inference library. [default: auto]",
        ),
        click.option("--require", metavar="RUNTIME", help="Fail (exit 4) unless this runtime really runs."),
        click.option("--device", metavar="auto|cpu|cuda:0|gpu", help="Device. [default: auto]"),
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
            help="[default: auto, the device's fastest]",
        ),
        click.option("--classes", metavar="A,B", help="Keep only these classes, for example person,car."),
        click.option("--score", type=click.FloatRange(0, 1), help="Least score of a detection."),
        click.option(
            "--iou",
            type=click.FloatRange(0, 1, min_open=True),
            help="Overlap of two boxes above which the weaker goes. [default: 0.5]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def tracker_option(command: Command) -> Command:
    """Add --tracker."""
    names = ", ".join(TRACKERS)
    return click.option(
        "--tracker", "tracker_name", metavar="NAME", help=f"Association: {names}. [default: {DEFAULT_TRACKER}]"
    )(command)


def setting_options(command: Command) -> Command:
    """Add --set and --config."""
    config = click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML; flags override them.")
    assign = click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any setting, for example tracker.max_lost_s=2.",
    )
    return assign(config(command))


def settings_from(flags: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Settings:
    """Settings of --config, then --set, then the flags that were given.

    Raises:
        ConfigError: an unknown key or an impossible value.
    """
    overrides = parse_assignments(flags["assignments"])
    for key, flag in FLAGS.items():
        value = flags.get(flag)
        if value is not None:
            overrides[key] = _names(value) if flag == "classes" else value
    return make_settings(flags["config"], overrides, defaults)


def _names(text: str) -> tuple[str, ...]:
    """The names of a comma-separated list; ConfigError when there is none."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise ConfigError("--classes wants names such as person,car, got nothing; leave it out for all classes")
    return names
