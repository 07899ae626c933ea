"""`tracker annotate`: an archive of videos, resumable."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import click

from tracker.batch import GPU_BATCH, LARGEST_SPAN
from tracker.batch.remote import is_remote
from tracker.cli.options import detector_options, setting_options, settings_from, tracker_option
from tracker.errors import ConfigError
from tracker.exports import FORMATS

LARGEST_STRIDE = 512


def formats_of(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, ...]:
    """The formats of --format, in the order of FORMATS. Raises click.BadParameter."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise click.BadParameter(f"wanted some of {','.join(FORMATS)}, got '{text}'", ctx, param)
    return tuple(name for name in FORMATS if name in names)


class Place(click.Path):
    """A folder, or the address of one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A `str` is an address. Raises click.BadParameter."""
        return value if isinstance(value, str) and is_remote(value) else super().convert(value, param, ctx)


@click.command(
    "annotate",
    epilog="""\b
Examples:
  tracker annotate videos/ --output labels/
  tracker annotate videos/ --output labels/ --format cvat,coco --workers 4
  tracker annotate videos/ --output labels/ --resume
  tracker annotate s3://bucket/clips/ --output s3://bucket/labels/
  tracker annotate videos/ --output labels/ --retrack --set tracker.offline_gap_s=2""",
)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--output", type=Place(path_type=Path, file_okay=False), required=True, metavar="DIR|URL",
    help="Folder of the archive, or an address such as s3://bucket/labels/ (fsspec).",
)  # fmt: skip
@click.option(
    "--work", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="With an address: where work in progress is kept; with --ray on a disk that all nodes share. "
    "[default: a folder of the cache]",
)  # fmt: skip
@click.option(
    "--format", "formats", callback=formats_of, default="mot,jsonl", show_default=True, metavar="A,B",
    help=f"Some of {', '.join(FORMATS)}.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with what the folder holds; on an empty one: begin.")
@click.option("--retry-failed", is_flag=True, help="With --resume: try the videos that failed once more.")
@click.option("--retrack", is_flag=True, help="Track and export again with other settings, without detecting again.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes. [default: one a core, as far as memory goes]")
@click.option("--ray", metavar="ADDRESS|local", help="Spread the work over a Ray cluster (extra 'ray').")
@click.option("--max-failures", type=click.IntRange(0), help="End when more videos than this have failed.")
@detector_options
@tracker_option
@click.option(
    "--stride", type=click.IntRange(1, LARGEST_STRIDE), default=1, show_default=True,
    help="Detect on every N-th frame; boxes between are interpolated.",
)  # fmt: skip
@click.option(
    "--batch", type=click.IntRange(0, LARGEST_SPAN), default=0, metavar="N",
    help=f"Pictures in one inference. [default: 1 on a processor, {GPU_BATCH} on a GPU]",
)  # fmt: skip
@click.option("--video", is_flag=True, help="Also write each video with its tracks drawn in.")
@click.option(
    "--crops", type=click.IntRange(0, 1000), default=0, metavar="N", help="Also cut N pictures out of each track."
)
@click.option(
    "--whole-hash", is_flag=True, help="Know inputs again by all their bytes, not by their first and last MiB."
)
@setting_options
@click.option("--overwrite", is_flag=True, help="Begin anew; what an earlier run left there is removed.")
def command(**flags: Any) -> None:
    """Annotate many videos: files, folders of them with their subfolders, and globs."""
    from tracker.cli.archive import ArchiveSession
    from tracker.cli.signals import stop_on_signals

    if flags["overwrite"] and (flags["resume"] or flags["retrack"]):
        raise ConfigError("--overwrite begins anew, --resume and --retrack go on; leave one out")
    if flags["retry_failed"] and not flags["resume"]:
        raise ConfigError("--retry-failed goes with --resume")
    if (span := flags["batch"] * flags["stride"]) > LARGEST_SPAN and flags["batch"] > 1:
        raise ConfigError(
            f"--batch times --stride may be {LARGEST_SPAN}, not {span}: so many frames would wait for one inference"
        )
    settings = settings_from(flags)
    stop = Event()
    with stop_on_signals(stop):
        ArchiveSession(settings, flags, stop).run()
