"""`tracker doctor`: what is there, what is missing, and the one command that brings it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from tracker import __version__

if TYPE_CHECKING:
    from tracker.cli.findings import Finding

COLORS = {"ok": "green", "unused": "bright_black", "missing": "bright_black", "warning": "yellow", "broken": "red"}
MARGIN = 26
MAX_WIDTH = 100


@click.command(
    "doctor",
    epilog="""\b
Examples:
  tracker doctor
  tracker doctor --require openvino && tracker run --source video.mp4 --require openvino""",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--require",
    type=click.Choice(["tensorrt", "tensorrt-rtx", "onnxruntime", "openvino", "torch"]),
    help="Fail (exit 4) unless this runtime really runs here.",
)
def command(as_json: bool, require: str | None) -> None:
    """Tell what is there, what is missing, and the one command that brings it. Changes nothing, asks no network.

    Exits 1 where nothing can run, 4 where --require is not met.
    """
    from tracker.cli import checkup

    found = examine()
    if as_json:
        click.echo(json.dumps({"version": __version__, "findings": [item.as_json() for item in found]}, indent=1))
    else:
        show(found)
    if require:
        checkup.require(require, found)
    # A broken library beside one that works is told, and no reason to fail; without any of these nothing runs.
    if any(item.state == "broken" and (item.name in ("auto", "PyAV") or item.area == "models") for item in found):
        sys.exit(1)


def examine() -> list[Finding]:
    """All checks, one after the other: they take some seconds, so the terminal says what is looked at."""
    from tracker.cli import checkup, findings

    _now("system")
    found = checkup.system()
    # Before any runtime: some crash where the driver is not there.
    _now("NVIDIA driver")
    driver = findings.asked(findings.DRIVER, 20.0)
    found.append(checkup.nvidia(driver))
    runtimes = []
    for name in checkup.RUNTIMES:
        _now(name)
        runtimes.append(checkup.runtime(name, bool(driver.get("devices"))))
    _now("the embedded detector")
    onnx = checkup.library("runtimes", "onnx", "onnx", "build", "engine build")
    found += [*runtimes, onnx, checkup.chosen(runtimes)]
    _now("video")
    found += checkup.video(bool(driver.get("devices")))
    _now("numba (some seconds when it is new)")
    found += checkup.tracking()
    found += checkup.models()
    _now("")
    return found


def _now(what: str) -> None:
    """What is being looked at, on a terminal; an empty word takes the line away."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{f'looking at {what} ...' if what else ''}", end="", file=sys.stderr, flush=True)


def show(found: list[Finding]) -> None:
    """Print the findings, aligned, and what they come to."""
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    click.echo(f"tracker {__version__}")
    area = ""
    for item in found:
        if item.area != area:
            area = item.area
            _echo("\n" + click.style(area, bold=True))
        state = click.style(f"{item.state:7}", fg=COLORS[item.state])
        text = textwrap.fill(
            item.text, max(width, MARGIN + 30), initial_indent=" " * MARGIN, subsequent_indent=" " * MARGIN,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        _echo(f"  {state}  {item.name:13}  {text.lstrip()}")
        if item.remedy:
            # Never wrapped, so that it can be copied.
            _echo(" " * MARGIN + "-> " + click.style(item.remedy, bold=True))
    auto = next(item for item in found if item.name == "auto")
    troubles = [item.name for item in found if item.state in ("warning", "broken")]
    _echo(f"\n`tracker run` {'uses ' + auto.text.split(':')[0] if auto.state != 'broken' else 'cannot run here'}.")
    if troubles:
        _echo(f"To be looked at: {', '.join(troubles)}.")


def _echo(text: str) -> None:
    """In colour on a terminal, unless NO_COLOR is set."""
    click.echo(text, color=False if os.environ.get("NO_COLOR") else None)
