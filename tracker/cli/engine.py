"""`tracker engine`: compile a model for a runtime, see what is compiled already, check it."""

from __future__ import annotations

from pathlib import Path

import click

from tracker.cli.engine_build import build, translated
from tracker.cli.progress import say
from tracker.errors import TrackerError


@click.group("engine")
def command() -> None:
    """Compile a model for a runtime once; what is compiled is kept."""


command.add_command(build)


@command.command("list", epilog="\b\nExample:\n  tracker engine list")
def list_plans() -> None:
    """One line a plan of the cache: model, runtime, kind of GPU, precision, shapes, MB, seconds to build, parity."""
    from engines.build_cache import plan_folder, plans, read_notes
    from tracker.detect.parity import told

    with translated():
        folder = plan_folder()
    found = list(plans(folder))
    for plan in found:
        try:
            notes = read_notes(plan)
        except ValueError as error:
            click.echo(f"{plan.name}: {error}")
            continue
        of = notes["ingredients"]
        shapes = ", ".join(
            "x".join(str(low) if low == high else f"{low}:{high}" for low, high in zip(least, largest, strict=True))
            for least, _, largest in of["shapes"].values()
        )
        size = sum(entry["bytes"] for entry in notes["files"].values()) / 1e6
        runtime = f"{of['runtime']} {of['runtime_version']}"
        click.echo(
            f"{plan.name}  {runtime}  {of['gpu'] or of['target']}  {of['precision']}  {shapes}  {size:.1f} MB  "
            f"{notes['seconds']:.1f} s  {told(notes.get('parity') or {})}"
        )
    say(f"{len(found)} plans in {folder}")


@command.command("verify", epilog="\b\nExamples:\n  tracker engine verify\n  tracker engine verify street6.plan")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def verify(files: tuple[Path, ...]) -> None:
    """Check plans (the cache's, or FILES): whole, unchanged, loadable where the machine can. Exit 1 if one is not."""
    from engines.build_cache import plan_folder, plans

    with translated():
        listed = list(files) or list(plans(plan_folder()))
    bad = 0
    for plan in listed:
        reason, state = _state(plan, own=not files)
        bad += reason
        click.echo(f"{plan if files else plan.name}: {state}")
    if bad:
        raise TrackerError(
            f"{bad} of {len(listed)} plans cannot be used; `tracker engine build` builds them again when asked for them"
        )
    say(f"{len(listed)} plans checked")


def _state(plan: Path, own: bool) -> tuple[bool, str]:
    """Whether a plan is of no use, and what is to be said about it."""
    import engines
    from engines.build import runtime_version
    from engines.build_cache import fault, read_notes

    reason = "there is no such file" if not plan.exists() else fault(plan, own=own)
    if reason is not None:
        return True, reason
    of = read_notes(plan)["ingredients"]
    try:
        version = runtime_version(of["runtime"])
        if version != of["runtime_version"]:
            return False, f"whole; built with {of['runtime']} {of['runtime_version']}, {version} is installed"
        _load(plan, of["runtime"])
    except engines.EngineUnavailable as error:
        return False, f"whole; not loaded: {error}"
    except engines.EngineError as error:
        return True, str(error)
    return False, "whole, loads"


def _load(plan: Path, runtime: str) -> None:
    """Load a plan and let go of it. Raises EngineError."""
    import engines

    engines.load(plan, runtime, engines.EngineOptions(shape={})).close()
