"""`tracker models`: what the package carries, and what a model file is."""

from __future__ import annotations

import click

from tracker.errors import ModelError


@click.group("models")
def command() -> None:
    """The models that the package carries, and what a model file is."""


@command.command("list", epilog="\b\nExample:\n  tracker models list")
def list_models() -> None:
    """One line a model: name, size, classes, licence, what it is."""
    from tracker.detect import find_card, zoo

    for name, card in zoo().items():
        size = find_card(name)[1].stat().st_size / 1e6
        click.echo(f"{name:12} {size:5.1f} MB  {len(card.classes):3d} classes  {card.licence:12} {card.summary}")


@command.command("info", epilog="\b\nExamples:\n  tracker models info street6\n  tracker models info my.onnx")
@click.argument("model")
def info(model: str) -> None:
    """Inputs, outputs, head and card of a model: NAME or FILE."""
    import engines
    from tracker.detect import find_card
    from tracker.detect.card import sha256_of

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
    click.echo(f"card     {card.name}: {card.summary}\nhead     {card.head}")
    click.echo(f"classes  {', '.join(card.classes)}\nlicence  {card.licence}")
    for key, value in card.notes.items():
        click.echo(f"{key:8} {value}")
