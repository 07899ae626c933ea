"""`tracker models`: the models there are, how to get them, and what a model file is."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from tracker.cli.progress import PLAIN_EVERY_S, say
from tracker.config import nearest
from tracker.errors import ModelError

if TYPE_CHECKING:
    from tracker.detect import ModelCard


@click.group("models")
def command() -> None:
    """The models there are, how to get them, and what a model file is."""


@command.command("list", epilog="\b\nExample:\n  tracker models list")
def list_models() -> None:
    """One line a model: size, input, classes, published COCO AP, licence, and whether it is here."""
    from tracker.detect import zoo

    rows: list[tuple[str, ...]] = [("name", "MB", "input", "classes", "COCO AP", "licence", "here")]
    rows += [_row(card) for card in sorted(zoo().values(), key=lambda card: (bool(card.url), card.size))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells, licence, here in rows:
        middle = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:5], strict=True))
        click.echo(f"{name:{widths[0]}}  {middle}  {licence:{widths[5]}}  {here}")
    click.echo("\nGet one with: tracker models fetch NAME; what it is: tracker models info NAME.")
    click.echo("A file of your own (.onnx, .xml, .tflite) works as well: --model FILE.")


def _row(card: ModelCard) -> tuple[str, ...]:
    """What the list tells of a model."""
    from tracker.detect.card import file_of

    path = file_of(card)
    there = path.exists()
    size = path.stat().st_size if there else card.size
    here = ("fetched" if there else "no") if card.url else "in the package"
    ap = "-" if card.ap is None else f"{100 * card.ap:.1f}"
    return (
        card.name, f"{size / 1e6:.1f}", str(card.input.size), str(len(card.classes)), ap, card.licence, here
    )  # fmt: skip


@command.command("info", epilog="\b\nExamples:\n  tracker models info street6\n  tracker models info my.onnx")
@click.argument("model")
def info(model: str) -> None:
    """Inputs, outputs, head and card of a model: NAME or FILE."""
    import engines
    from tracker.detect import find_card, zoo
    from tracker.detect.card import file_of, sha256_of

    card = zoo().get(model)
    if card is not None and not file_of(card).exists():
        click.echo(f"file     not here: tracker models fetch {card.name} ({card.size / 1e6:.1f} MB from {card.url})")
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


def _print_card(card: ModelCard) -> None:
    """The card, one line a key."""
    given = card.input
    click.echo(f"card     {card.name}: {card.summary}\nhead     {card.head}")
    click.echo(
        f"picture  {given.size} pixels, {given.color.upper()} times {given.scale:.4g}, "
        f"{given.anchor} on gray {given.pad}"
    )
    click.echo(f"classes  {', '.join(card.classes)}\nlicence  {card.licence}")
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
    from tracker.detect.card import file_of, recorded_sha256
    from tracker.detect.fetch import Wanted, fetch

    cards = zoo()
    if name not in cards:
        raise ModelError(f"unknown model '{name}', {nearest(name, list(cards))}")
    card, path = cards[name], file_of(cards[name])
    if not card.url:
        click.echo(f"{name} is part of the package: {path}")
        return
    if not card.sha256 and not recorded_sha256(path):
        say(f"notice: no SHA-256 of {name} is known; what comes is trusted, and recorded to compare with later")
    progress = Transfer(path)
    try:
        fresh = fetch(Wanted(card.url, path, card.sha256, card.size), progress.update, say)
    finally:
        progress.close()
    sha256 = card.sha256 or recorded_sha256(path)
    click.echo(f"{'fetched' if fresh else 'here already'}: {path}\nsha256   {sha256}\nlicence  {card.licence}")


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
