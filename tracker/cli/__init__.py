"""The command line: one module a command, loaded when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from tracker import __version__
from tracker.errors import TrackerError

COMMANDS = {
    "run": "Track one video, stream or folder of pictures.",
    "detect": "Detections only, without identity.",
    "track": "Track detections that a file holds already.",
    "annotate": "Annotate an archive of videos, resumable, on one machine or a cluster.",
    "eval": "Score results against ground truth: HOTA, IDF1, MOTA.",
    "monitor": "Watch many cameras, for months.",
    "models": "The models there are: list, fetch, info.",
    "engine": "Compile a model for a runtime; list and check what is compiled.",
    "bench": "What runs a model fastest on this machine, and the flags for it.",
    "doctor": "What is there, what is missing, and the command that brings it.",
}


class LazyGroup(click.Group):
    """Imports a command's module when it is called: `tracker --help` needs no detector."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"tracker.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Track objects in videos and streams.\n\n\b\ntracker run --source video.mp4",
)
@click.version_option(__version__, prog_name="tracker")
def cli() -> None:
    """The `tracker` command."""


def main(arguments: list[str] | None = None) -> Any:
    """Entry point: every expected error is one line and its own exit code."""
    try:
        code = cli.main(arguments, prog_name="tracker", standalone_mode=False)
    except TrackerError as error:
        click.echo(f"tracker: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        hint = f" (try '{error.ctx.command_path} --help')" if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"tracker: {error.format_message()}{hint}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("tracker: interrupted", err=True)
        sys.exit(130)
    sys.exit(code or 0)
