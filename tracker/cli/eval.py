"""`tracker eval`: results against ground truth."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracker.errors import OutputError, UsageError

COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW", "FP", "FN", "gt_boxes")


@click.command(
    "eval",
    epilog="""\b
Example:
  tracker eval --gt samples/street_gt --results out.txt""",
)
@click.option(
    "--gt", type=click.Path(path_type=Path), required=True, help="gt.txt, a sequence folder, or a folder of sequences."
)
@click.option(
    "--results", type=click.Path(path_type=Path), required=True, help="MOT text, or a folder of SEQUENCE.txt."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace the JSON file.")
def command(gt: Path, results: Path, json_path: Path | None, overwrite: bool) -> None:
    """Print HOTA, DetA, AssA, IDF1, MOTA and ID switches (TrackEval). Classes count apart."""
    from tracker.evaluate import evaluate, sequences

    for path in (gt, results):
        if not path.exists():
            raise UsageError(f"{path} does not exist")
    if json_path and json_path.exists() and not overwrite:
        raise OutputError(f"{json_path} exists; add --overwrite or choose another --json")
    table = evaluate(sequences(gt, results))
    width = max(len(name) for name in table)
    click.echo(f"{'':{width}} " + " ".join(f"{name:>8}" for name in COLUMNS))
    for name, row in table.items():
        if name == "COMBINED" and len(table) == 2:
            continue
        click.echo(f"{name:{width}} " + " ".join(f"{row[column]:8}" for column in COLUMNS))
    if json_path:
        json_path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
