"""`--offline`: two passes over one source, and tracks that know the future."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_cli import OUTPUTS, frames_of, tracker


@pytest.mark.parametrize("stride", [1, 4])
def test_every_frame_is_read_twice_and_written_once(tmp_path: Path, stride: int) -> None:
    source = Path(__file__).parents[2] / "samples" / "street.mp4"
    flags = ["--source", source, *OUTPUTS, "--mot", "o.txt", "--duration", 4, "--stride", stride]
    done = tracker("run", *flags, "--offline", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "o.json").read_text())
    frames = summary["frames"]
    assert summary["offline"] and frames["captured"] == len(frames_of(tmp_path / "o.mp4")) == 100
    assert frames["processed"] == 100 // stride and frames["in_flight"] == 0
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(0, 100, stride))
    assert summary["tracks"] == len({track["id"] for line in lines for track in line["tracks"]}) > 0
    assert "two passes" in done.stderr and not list(tmp_path.glob("*.partial.*"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--source", "-"], "standard input"),
        (["--source", "CLIP", "--tracker", "sort"], "--tracker steady"),
    ],
)
def test_what_cannot_be_read_twice_or_linked_is_refused(
    clip: Path, tmp_path: Path, flags: list[str], said: str
) -> None:
    done = tracker("run", *(str(clip) if flag == "CLIP" else flag for flag in flags), *OUTPUTS, "--offline",
                   cwd=tmp_path, input="")  # fmt: skip
    assert done.returncode == 2 and said in done.stderr
    assert not list(tmp_path.iterdir())


def test_tracks_of_a_file_reach_back_to_the_first_sight(tmp_path: Path) -> None:
    """Online a track counts after some evidence; offline from its first detection, with its gap filled."""
    seen = [*range(31, 51), *range(60, 91)]
    (tmp_path / "det.txt").write_text(
        "1,-1,900,500,40,80,0.9\n" + "".join(f"{k},-1,{100 + 2 * k},50,40,80,0.9\n" for k in seen)
    )
    rows = {}
    for mode in ([], ["--offline"]):
        flags = ["--detections", "det.txt", "--frame-rate", 30, "--mot", "o.txt", "--overwrite", *mode]
        assert tracker("track", *flags, cwd=tmp_path).returncode == 0
        rows[bool(mode)] = [line.split(",") for line in (tmp_path / "o.txt").read_text().splitlines()]
    frames = {mode: [int(row[0]) for row in found if int(row[0]) > 30] for mode, found in rows.items()}
    assert frames[True] == list(range(31, 91))
    assert min(frames[False]) > 31 and not set(range(54, 60)) & set(frames[False])
    left = [float(row[2]) for row in rows[True] if int(row[0]) > 30]
    assert left == pytest.approx([100 + 2 * k for k in range(31, 91)], abs=1.5)
