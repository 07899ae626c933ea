"""What `tracker bench` tells of its figures: the table, what is missing, and which contender to take."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tracker.cli.bench_runs import Contender

HEAD = ("runtime", "precision", "device", "infer ms", "p95", "detect ms", "p95", "spread", "recall", "IoU", "build s")
NOISE = 0.03
"""Least share by which a contender must be faster than what `auto` takes to be recommended in its place."""


def recommended(contenders: list[Contender], auto: Contender | None) -> Contender | None:
    """The fastest whose boxes are those of the ONNX; what `auto` takes where none is faster by more than noise."""
    good = [one for one in contenders if not one.shortfall]
    if not good:
        return None
    best = min(good, key=lambda one: one.ms)
    if auto in good and auto is not None:
        noise = max(NOISE, (auto.spread + best.spread) / 2)
        return best if best.ms < auto.ms * (1 - noise) else auto
    return best


def flags_of(one: Contender, model: str, source: str, size: str) -> str:
    """The command that runs it.

    Args:
        one: contender. model, source: as the user gave them; source "": rendered frames. size: of the input, 640x384,
            where the model leaves it open.
    """
    shown = quote(model)
    if one.int8:
        file = f"{Path(model).stem}-int8{one.plans[0].path.suffix}"
        calibrate = (f" --size {size}" if size else "") + (f" --calibrate {quote(source)}" if source else "")
        build = f"tracker engine build --model {shown} --runtime {one.rung.runtime} --precision int8{calibrate}"
        return f"{build} --output {file} && tracker run --model {file} --runtime {one.rung.runtime}"
    precision = "" if one.rung.runtime == "onnxruntime" else f" --precision {one.asked}"
    device = "" if one.rung.device == "cpu" else f" --device {one.rung.device}"
    return f"tracker run --model {shown} --runtime {one.rung.runtime}{precision}{device}"


def missing(model: Path) -> list[dict[str, str]]:
    """Runtimes that could run this file and are not here: name, reason, and the command that brings them."""
    import engines
    from tracker.cli.findings import bringing
    from tracker.detect.ladder import READERS

    rows = []
    for name in READERS.get(model.suffix.lower(), tuple(engines.RUNTIMES)):
        runtime, why = engines.RUNTIMES[name], ""
        absent = find_spec(runtime.library) is None
        if runtime.gpu:
            why = engines.why_no_gpu()
        if absent or why:
            reason = "; ".join(filter(None, ["not installed" if absent else "", why]))
            rows.append({"name": name, "reason": reason, "command": bringing(name, runtime.library) if absent else ""})
    return rows


def show(told: dict[str, Any]) -> None:
    """The table, what is missing, and the recommendation."""
    (width, height), picture = told["model"]["input"], told["picture"]
    of = f"frames of {picture[0]}x{picture[1]}" if picture else "pictures of many sizes"
    click.echo(f"{told['model']['name']} at {width}x{height} on {of}, {told['source']}; one at a time, all cores\n")
    rows = [HEAD, *(_row(result) for result in told["results"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        left = "  ".join(f"{cell:{wide}}" for cell, wide in zip(row[:3], widths, strict=False))
        right = "  ".join(f"{cell:>{wide}}" for cell, wide in zip(row[3:], widths[3:], strict=True))
        click.echo(f"{left}  {right}")
    for result in told["results"]:
        if result["shortfall"]:
            name = f"{result['runtime']} {result['precision']}"
            click.echo(f"\n{name} finds other boxes than the model: {result['shortfall']}")
    for title, entries in (("does not run here", told["refused"]), ("not here", told["missing"])):
        if entries:
            click.echo(f"\n{title}")
        for entry in entries:
            click.echo(f"  {entry['name']:16}  {entry['reason']}")
            if entry.get("command"):
                click.echo(" " * 20 + "-> " + click.style(entry["command"], bold=True))
    if told["busy"]:
        most = max(result["spread"] for result in told["results"])
        click.echo(
            f"\nThis machine is busy (load {told['load_a_core']:.1f} a core before; medians of the rounds differ by up "
            f"to {100 * most:.0f} %): times are longer than at rest, and close ones may change places."
        )
    click.echo("\n" + _verdict(told))


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    infer, detect, parity = result["infer_ms"], result["detect_ms"], result["parity"]
    boxes = (f"{parity['recall']:.3f}", f"{parity['mean_iou']:.3f}") if parity else ("too few", "")
    build = "-" if result["build_s"] is None else f"{result['build_s']:.1f}{'' if result['built_now'] else ' before'}"
    return (
        result["runtime"], result["precision"], result["device"], f"{infer['p50']:.2f}", f"{infer['p95']:.2f}",
        f"{detect['p50']:.2f}", f"{detect['p95']:.2f}", f"{100 * result['spread']:.0f} %", *boxes, build,
    )  # fmt: skip


def _verdict(told: dict[str, Any]) -> str:
    """The recommendation, on one line."""
    best = told["recommended"]
    if best is None:
        return "Recommended: none of these; all find other boxes than the model."
    same = "; auto takes it as well" if best["name"] == told["auto"] else ""
    if told["auto"] and not same:
        same = f"; auto takes {told['auto']}"
    return f"Recommended: {best['command']}   ({best['name']}{same})"
