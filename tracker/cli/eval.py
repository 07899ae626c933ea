"""`tracker eval`: results against ground truth."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from tracker.errors import OutputError, UsageError
from tracker.write.paths import check_paths, write_json

COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW", "FP", "FN", "gt_boxes")


@click.command(
    "eval",
    epilog="""\b
Example:
  tracker eval --gt samples/street_gt --results out.txt""",
)
@click.option(
    "--gt",
    type=click.Path(path_type=Path),
    required=True,
    help="gt.txt, or a folder of NAME.txt, NAME/gt.txt or NAME/gt/gt.txt.",
)
@click.option("--results", type=click.Path(path_type=Path), required=True, help="MOT text, or a folder of NAME.txt.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace the JSON file.")
def command(gt: Path, results: Path, json_path: Path | None, overwrite: bool) -> None:
    """Print HOTA, DetA, AssA, IDF1, MOTA and ID switches (TrackEval). Classes count apart."""
    from tracker.evaluate import evaluate, sequences

    for path in (gt, results):
        if not path.exists():
            raise UsageError(f"{path} does not exist")
    pairs = sequences(gt, results)
    if json_path:
        _check(json_path, gt, [path for _, *files in pairs for path in files], overwrite)
    table = evaluate(pairs)
    width = max(len(name) for name in table)
    click.echo(f"{'':{width}} " + " ".join(f"{name:>8}" for name in COLUMNS))
    for name, row in table.items():
        if name == "COMBINED" and len(table) == 2:
            continue
        click.echo(f"{name:{width}} " + " ".join(f"{row[column]:8}" for column in COLUMNS))
    if json_path:
        write_json("--json", json_path, table, overwrite=overwrite)


def _check(json_path: Path, gt: Path, inputs: list[Path], overwrite: bool) -> None:
    """Refuse a --json that can't be written, or that would replace truth or results. Raises OutputError."""
    for path in inputs:
        with suppress(OSError):  # not there, or no name for a file: `check_paths` says so
            if json_path.samefile(path):
                raise OutputError(f"--json {json_path} is an input of this evaluation; choose another name")
    check_paths({"--json": json_path}, overwrite=overwrite, source=str(gt))
