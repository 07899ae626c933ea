"""`tracker models export`: weights -> ONNX and its card; the only command that loads a pickle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracker.cli.progress import say
from tracker.errors import ModelError, OutputError, RequirementError, TrackerError, WriteError

if TYPE_CHECKING:
    from engines.export_check import Agreement
    from engines.export_request import Exported

PICTURES = 4
"""Rendered ones, which torch and the graph are compared on."""
TRIAL_SIZE = 320
"""Longer side of the input in the run that tells a graph's head, where the graph leaves it open."""
LICENCES = {
    "torchvision": "not stated (the network is torchvision's, BSD-3-Clause; the weights have terms of their own)",
    "ultralytics": "AGPL-3.0",
}


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Names of classes, person,car."""
    return tuple(name.strip() for name in value.split(",") if name.strip()) if value else ()


@click.command(
    "export",
    epilog="""\b
Examples:
  tracker models export ssd300_vgg16_coco-b556d3b4.pth --output ssd300.onnx
  tracker models export mine.pth --arch ssd512-vgg16 --classes person,car --output mine.onnx
  tracker models export yolo11n.pt --output yolo11n.onnx   (ultralytics, AGPL-3.0)""",
)
@click.argument("weights", type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The .onnx; its card goes beside it.")
@click.option("--arch", default="", metavar="NAME", help="Network of a .pth, where its file name does not tell.")
@click.option("--size", type=click.IntRange(32, 8192), metavar="N", help="Longer side of the input, pixels.")
@click.option("--classes", callback=_names, metavar="NAME,NAME", help="Names, in order. [default: the file's, COCO's]")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
def export_model(**flags: Any) -> None:
    """Make an ONNX model of WEIGHTS: a state dict of torchvision (.pth) or a network of ultralytics (.pt).

    It is compared with torch on rendered pictures, and not written where they do not agree. A .pt is a pickle: loading
    it runs what code is in it. No other command loads one, and this one does so in a process of its own.
    """
    output, weights = flags["output"], flags["weights"]
    if output.suffix.lower() != ".onnx":
        raise OutputError(f"--output {output} must end in .onnx")
    if flags["size"] and flags["size"] % 32:
        raise OutputError(f"--size must be a multiple of 32, got {flags['size']}")
    card = output.with_suffix(".yaml")
    for path in (output, card):
        if path.exists() and not flags["overwrite"]:
            raise OutputError(f"{path} exists; add --overwrite or choose another --output")
    try:
        exported = make(weights, output, flags["arch"], flags["size"] or 0, flags["classes"])
        write_card(card, output, weights, exported)
    except OSError as error:
        raise WriteError(f"{output} cannot be written: {error.strerror or error}") from None
    click.echo(
        f"exported: {output} ({output.stat().st_size / 1e6:.1f} MB) and {card.name}\nchecked  {exported.agreement}"
    )


def make(weights: Path, output: Path, arch: str, size: int, names: tuple[str, ...]) -> Exported:
    """Export to `output`.

    Raises:
        ModelError: weights that cannot be exported. RequirementError: torch or ultralytics is not installed.
        TrackerError: the graph does not find what the network finds. OSError: it cannot be written.
    """
    from engines.export import export
    from engines.export_request import Request
    from tracker.detect.rendered import rendered_frames

    pictures = [frame.bgr[..., ::-1].copy() for frame in islice(rendered_frames(), PICTURES)]
    with _translated():
        return export(Request(weights, output, arch, size, names, pictures), say)


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of `engines` as ours."""
    from engines import EngineError, EngineUnavailable
    from engines.export_check import DisagreementError

    try:
        yield
    except EngineUnavailable as error:
        raise RequirementError(str(error)) from None
    except DisagreementError as error:
        raise TrackerError(str(error)) from None
    except EngineError as error:
        raise ModelError(str(error)) from None


def write_card(card: Path, model: Path, weights: Path, exported: Exported) -> None:
    """Open the model as the detection stage does, and write what it is. Raises ModelError, OSError."""
    import yaml

    from engines import inspect
    from tracker.detect.card import COCO_CLASSES, sha256_of
    from tracker.detect.classes import COCO_91
    from tracker.detect.recognise import input_of

    card.unlink(missing_ok=True)  # one of another file would call this one damaged
    head = head_of(model)
    look = input_of(head, None)
    if inspect(model).inputs[0].dtype == "uint8":  # scaled in the graph
        look = look.model_copy(update={"scale": 1.0})
    lists = {COCO_CLASSES: "coco", COCO_91: "coco91"}
    content = {
        "name": model.stem,
        "file": model.name,
        "sha256": sha256_of(model),
        "head": head,
        "input": {"size": exported.size, **look.model_dump(include={"color", "scale", "anchor"})},
        **({"precision": "fp32"} if head == "fasterrcnn" else {}),
        "classes": lists.get(exported.names, list(exported.names)),
        "licence": LICENCES[exported.source],
        "summary": f"exported from {weights.name}",
        "notes": {"weights_sha256": sha256_of(weights), "agreement": _told(exported.agreement)},
    }
    partial = card.with_name(f"{card.stem}.partial.yaml")
    partial.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=116), encoding="utf-8")
    os.replace(partial, card)


def _told(agreement: Agreement) -> dict[str, float]:
    """The figures, as a card keeps them."""
    return {
        "pictures": agreement.pictures,
        "boxes": agreement.boxes,
        "share": round(agreement.share, 4),
        "most_px": float(f"{agreement.px:.2g}"),
        "most_score": float(f"{agreement.score:.2g}"),
    }


def head_of(model: Path) -> str:
    """The head that one run of the model shows. Raises ModelError: none that is known."""
    import engines
    from tracker.config import DetectSettings
    from tracker.detect import open_detector

    sides = engines.inspect(model).inputs[0].shape[1:]
    size = None if all(sides) else TRIAL_SIZE
    detector, _ = open_detector(
        DetectSettings(model=str(model), runtime="onnxruntime", precision="fp32", input_size=size, workers=1), None
    )
    try:
        return detector.identity.head
    finally:
        detector.close()
