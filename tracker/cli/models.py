"""`tracker models`: the models there are, how to get them, and what a model file is."""

from __future__ import annotations

import sys
from math import inf
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from tracker.cli.models_export import export_model, make
from tracker.cli.progress import PLAIN_EVERY_S, say
from tracker.config import nearest
from tracker.errors import ModelError, RequirementError, WriteError

if TYPE_CHECKING:
    from tracker.detect import ModelCard
    from tracker.detect.fetch import Wanted


@click.group("models")
def command() -> None:
    """The models there are, how to get them, and what a model file is."""


command.add_command(export_model)


@command.command("list", epilog="\b\nExample:\n  tracker models list")
def list_models() -> None:
    """One line a model: size, input, classes, published COCO AP, licence, and whether it is here."""
    from tracker.detect import zoo

    rows: list[tuple[str, ...]] = [("name", "MB", "input", "classes", "COCO AP", "licence", "here")]
    rows += [_row(card) for card in sorted(zoo().values(), key=_order)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells, licence, here in rows:
        middle = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:5], strict=True))
        click.echo(f"{name:{widths[0]}}  {middle}  {licence:{widths[5]}}  {here}")
    click.echo("\nGet one with: tracker models fetch NAME; what it is: tracker models info NAME.")
    click.echo("A file of your own (.onnx, .xml, .tflite) works as well: --model FILE. Weights of your own, or of")
    click.echo("ultralytics (YOLOv3u to YOLO26, AGPL-3.0): tracker models export WEIGHTS --output M.onnx.")


def _order(card: ModelCard) -> tuple[bool, str, float]:
    """What the package carries first, then one family after the other, the smallest first."""
    return not card.carried, card.name.split("-")[0].rstrip("0123456789"), card.size or inf


def _row(card: ModelCard) -> tuple[str, ...]:
    """What the list tells of a model."""
    from tracker.detect.card import file_of
    from tracker.detect.classes import UNUSED

    path = file_of(card)
    there = path.exists()
    size = path.stat().st_size if there else card.size
    here = "in the package" if card.carried else "fetched" if there else "no"
    if card.checkpoint is not None and not card.checkpoint.url:
        here = "no weights published"
    ap = "-" if card.ap is None else f"{100 * card.ap:.1f}"
    megabytes = f"{size / 1e6:.1f}" if size else "-"
    classes = sum(name != UNUSED for name in card.classes)
    return card.name, megabytes, str(card.input.size), str(classes), ap, card.licence, here


@command.command("info", epilog="\b\nExamples:\n  tracker models info street6\n  tracker models info my.onnx")
@click.argument("model")
def info(model: str) -> None:
    """Inputs, outputs, head and card of a model: NAME or FILE."""
    import engines
    from tracker.detect import find_card, zoo
    from tracker.detect.card import file_of, sha256_of

    card = zoo().get(model)
    if card is not None and not file_of(card).exists():
        click.echo(f"file     not here: {_way_to(card)}")
        _print_card(card)
        return
    card, path = find_card(model)
    try:
        signature = engines.inspect(path)
    except engines.EngineError as error:
        raise ModelError(str(error)) from None
    click.echo(f"file     {path}\nsha256   {sha256_of(path)}")
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for spec in specs:
            click.echo(f"{kind:8} {spec.name} {spec.dtype} {tuple(side or '?' for side in spec.shape)}")
    if card is None:
        click.echo("card     none: input and head are recognised from the graph when it runs")
        return
    _print_card(card)


def _way_to(card: ModelCard) -> str:
    """How to come by a model that is not here."""
    from tracker.detect.card import unpublished

    weights = card.checkpoint
    if weights is not None and not weights.url:
        return unpublished(card)
    url, then = (weights.url, ", then exported by torch") if weights else (card.url, "")
    return f"tracker models fetch {card.name} ({card.size / 1e6:.1f} MB from {url}{then})"


def _print_card(card: ModelCard) -> None:
    """The card, one line a key."""
    from tracker.detect.classes import UNUSED

    given = card.input
    click.echo(f"card     {card.name}: {card.summary}\nhead     {card.head}")
    click.echo(
        f"picture  {given.size} pixels, {given.color.upper()} times {given.scale:.4g}, "
        + ("stretched" if given.anchor == "stretch" else f"{given.anchor} on gray {given.pad}")
    )
    click.echo(f"classes  {', '.join(name for name in card.classes if name != UNUSED)}\nlicence  {card.licence}")
    if card.ap is not None:
        click.echo(f"AP       {100 * card.ap:.1f} (COCO, IoU 0.5 to 0.95)")
    for key, value in card.notes.items():
        click.echo(f"{key:8} {value}")


@command.command(
    "fetch",
    epilog="""\b
Example:
  tracker models fetch yolox-s
  tracker run --source video.mp4 --model yolox-s""",
)
@click.argument("name")
def fetch_model(name: str) -> None:
    """Download a model of `tracker models list`, over HTTPS, checked by its SHA-256.

    It goes to the folder `models` of the cache (TRACKER_CACHE, else the user's cache folder). A download that broke off
    is continued by the same command.
    """
    from tracker.detect import zoo
    from tracker.detect.card import file_of, recorded_sha256, unpublished
    from tracker.detect.fetch import Wanted

    cards = zoo()
    if name not in cards:
        raise ModelError(f"unknown model '{name}', {nearest(name, list(cards))}")
    card, path = cards[name], file_of(cards[name])
    weights = card.checkpoint
    if card.carried:
        click.echo(f"{name} is part of the package: {path}")
        return
    if weights is None:
        fresh = _download(name, Wanted(card.url, path, card.sha256, card.size))
    elif not weights.url:
        raise ModelError(unpublished(card))
    else:
        fresh = _make(card, Wanted(weights.url, path.with_name(Path(weights.url).name), weights.sha256), path)
    sha256 = card.sha256 or recorded_sha256(path)
    click.echo(f"{'fetched' if fresh else 'here already'}: {path}\nsha256   {sha256}\nlicence  {card.licence}")


def _download(name: str, wanted: Wanted) -> bool:
    """Have the file there; False if it was. Raises TrackerError."""
    from tracker.detect.fetch import fetch, known_sha256

    if not known_sha256(wanted):
        say(f"notice: no SHA-256 of {name} is known; what comes is trusted, and recorded to compare with later")
    progress = Transfer(wanted.target)
    try:
        return fetch(wanted, progress.update, say)
    finally:
        progress.close()


def _make(card: ModelCard, wanted: Wanted, path: Path) -> bool:
    """Download a card's weights and export them to `path`; False if that was there already. Raises TrackerError."""
    from engines.lock import locked
    from tracker.detect.card import recorded_sha256, sha256_of

    assert card.checkpoint is not None
    if path.exists() and sha256_of(path) == recorded_sha256(path):
        return False
    _download(card.name, wanted)
    try:
        lock = path.with_name(f"{path.name}.lock")
        with locked(lock, lambda: say(f"another process exports {path.name}; waiting for it")):
            if path.exists() and sha256_of(path) == recorded_sha256(path):
                return False
            exported = make(wanted.target, path, card.checkpoint.arch, 0, ())
            path.with_name(f"{path.name}.sha256").write_text(f"{sha256_of(path)}  {path.name}\n", encoding="ascii")
    except RequirementError:
        raise RequirementError(
            f"{wanted.target.name} is here, but making {path.name} of it needs torch, torchvision and onnx; "
            f"pip install 'tracker[torch]', then again: tracker models fetch {card.name}"
        ) from None
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error.strerror or error}") from None
    say(f"checked: {exported.agreement}")
    return True


class Transfer:
    """Progress of a download: a bar on a terminal, a plain line every few seconds elsewhere. On standard error."""

    def __init__(self, path: Path) -> None:
        """`path`: the file that comes."""
        self._name, self._last_s = path.name, monotonic()
        self._bar: Any = None

    def update(self, done: int, total: int | None) -> None:
        """With the bytes that are there, and in all."""
        if sys.stderr.isatty():
            self._bar = self._bar or self._new_bar(total)
            self._bar.update(done - self._bar.n)
        elif monotonic() - self._last_s >= PLAIN_EVERY_S:
            self._last_s = monotonic()
            say(f"{self._name}: {done / 1e6:.1f} MB" + (f" of {total / 1e6:.1f} MB" if total else ""))

    def _new_bar(self, total: int | None) -> Any:
        from tqdm import tqdm

        return tqdm(total=total, file=sys.stderr, desc=self._name, unit="B", unit_scale=True, leave=False)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
