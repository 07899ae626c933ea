"""`tracker track` as a user calls it: results, exit codes, one clear line for each mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tracker.cli import main

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def track(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`tracker track ...` in a folder of its own -> (exit code, lines on standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, list[str]]:
        with pytest.raises(SystemExit) as ended:
            main(["track", *map(str, arguments)])
        told = capsys.readouterr()
        assert not told.out
        return int(ended.value.code or 0), told.err.splitlines()

    return call


def walk(frames: int, rest: str = "", *, every: int = 1, score: float = 0.9) -> list[str]:
    """One object that walks right; `every`: only in each n-th frame."""
    return [f"{frame},-1,{10 + frame},20,40,80,{score}{rest}" for frame in range(1, frames + 1, every)]


def write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def sequence(folder: Path, lines: list[str], rate: str | None = "30", length: int = 0) -> None:
    write(folder / "det" / "det.txt", lines)
    if rate:
        write(folder / "seqinfo.ini", ["[Sequence]", f"frameRate={rate}", f"seqLength={length}"])


def results(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines()]


def test_a_file(track: Run, tmp_path: Path) -> None:
    write(tmp_path / "det.txt", walk(30, ",3,-1,-1"))
    code, told = track("--detections", "det.txt", "--frame-rate", "30", "--mot", "out.txt")
    assert code == 0
    rows = results(tmp_path / "out.txt")
    assert [row[0] for row in rows] == [str(frame) for frame in range(1, 31)]
    assert {(row[1], *row[6:]) for row in rows} == {("1", "0.9000", "3", "1")}
    assert len(told) == 1 and told[0].startswith("done: 30 frames, 30 detections, 1 tracks; steady, ")
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".txt"].count("out.txt") == 1
    assert not list(tmp_path.glob("*.partial.*"))


@pytest.mark.parametrize("rest", ["", ",-1", ",-1,-1,-1"])
def test_without_a_class_it_is_1(track: Run, tmp_path: Path, rest: str) -> None:
    write(tmp_path / "det.txt", walk(10, rest))
    assert track("--detections", "det.txt", "--frame-rate", 30, "--mot", "out.txt")[0] == 0
    assert {row[7] for row in results(tmp_path / "out.txt")} == {"1"}


def test_json_lines_have_every_frame_with_its_time(track: Run, tmp_path: Path) -> None:
    """Frames that the file does not name are empty frames."""
    write(tmp_path / "det.txt", walk(41, ",3", every=8))
    assert track("--detections", "det.txt", "--frame-rate", "30000/1001", "--jsonl", "out.jsonl")[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(41))
    assert [line["time_s"] for line in lines] == [round(k * 1001 / 30000, 6) for k in range(41)]
    assert lines[0]["tracks"][0]["class_name"] == "car" and lines[4]["tracks"] == []


def test_empty_frames_age_tracks(track: Run, tmp_path: Path) -> None:
    """90 frames away: 3 seconds are a new identity, 0.3 seconds are not."""
    write(tmp_path / "det.txt", [f"{frame},-1,10,20,40,80,0.9" for frame in (*range(1, 21), *range(111, 131))])
    assert track("--detections", "det.txt", "--frame-rate", 30, "--mot", "out.txt")[0] == 0
    assert {row[1] for row in results(tmp_path / "out.txt")} == {"1", "2"}
    assert track("--detections", "det.txt", "--frame-rate", 300, "--mot", "fast.txt")[0] == 0
    assert {row[1] for row in results(tmp_path / "fast.txt")} == {"1"}


def test_an_empty_file_is_an_empty_result(track: Run, tmp_path: Path) -> None:
    write(tmp_path / "det.txt", [])
    code, told = track("--detections", "det.txt", "--frame-rate", 0.7, "--mot", "out.txt", "--jsonl", "out.jsonl")
    assert code == 0 and (tmp_path / "out.txt").read_text() == (tmp_path / "out.jsonl").read_text() == ""
    assert "0 frames" in told[-1]


def test_a_folder(track: Run, tmp_path: Path) -> None:
    sequence(tmp_path / "mot" / "x" / "a", walk(10), "10", 25)
    sequence(tmp_path / "mot" / "y" / "b", walk(12), None)
    arguments = ["--detections", "mot", "--frame-rate", 30, "--mot", "out", "--jsonl", "out", "--summary", "s.json"]
    code, told = track(*arguments)
    assert told[0] == "notice: 1 of 2 sequences go by their seqinfo.ini, not by --frame-rate"
    assert code == 0 and "2 sequences, 37 frames, 22 detections, 2 tracks" in told[-1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jsonl", "a.txt", "b.jsonl", "b.txt"]
    assert len((tmp_path / "out" / "a.jsonl").read_text().splitlines()) == 25
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["frames"] == {"captured": 37, "processed": 37, "dropped": {}} and summary["outcome"] == "done"
    assert summary["sequences"]["a"]["frame_rate"] == "10" and summary["sequences"]["b"]["frame_rate"] == "30"
    assert summary["tracker"] == summary["settings"]["tracker"]["name"] == "steady"


def test_each_sequence_starts_its_ids_anew_and_equals_the_file_alone(track: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        sequence(tmp_path / "mot" / name, walk(10))
    assert track("--detections", "mot", "--mot", "out")[0] == 0
    assert track("--detections", "mot/b/det/det.txt", "--mot", "b.txt")[0] == 0
    assert (tmp_path / "out" / "b.txt").read_text() == (tmp_path / "b.txt").read_text()


def test_a_bad_sequence_does_not_keep_the_others_from_being_tracked(track: Run, tmp_path: Path) -> None:
    sequence(tmp_path / "mot" / "a", ["1,-1,nan,1,1,1,1"])
    sequence(tmp_path / "mot" / "b", walk(10))
    code, told = track("--detections", "mot", "--mot", "out", "--summary", "s.json")
    assert code == 5 and [path.name for path in (tmp_path / "out").iterdir()] == ["b.txt"]
    assert "det.txt, line 1: wanted finite" in told[0] and "1 of 2 sequences failed" in told[-1]
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["failed"] == ["a"] and summary["outcome"] == "partly done"
    (tmp_path / "mot" / "b" / "det" / "det.txt").write_text("1\n")
    assert track("--detections", "mot", "--mot", "out", "--overwrite")[0] == 2


def test_what_was_put_right_is_told_once(track: Run, tmp_path: Path) -> None:
    lines = walk(10)
    write(tmp_path / "det.txt", [lines[9], *lines[:9], "4,-1,5,5,0,9,0.9", "4,-1,5,5,9,-1,0.9"])
    code, told = track("--detections", "det.txt", "--frame-rate", 30, "--mot", "out.txt", "--summary", "s.json")
    assert code == 0 and len(results(tmp_path / "out.txt")) == 10
    assert len(told) == 3 and "out of order" in told[0] and "boxes without area left out: 2" in told[1]
    assert json.loads((tmp_path / "s.json").read_text())["detections_dropped"] == {"no area": 2}


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (["--score", 0.5], {"1", "3"}),
        (["--set", "detect.score=0.5"], {"1", "3"}),
        (["--classes", "car"], {"3"}),
        (["--classes", "1,2", "--tracker", "sort", "--set", "tracker.min_new_score=0"], {"1", "2"}),
    ],
)
def test_only_some_detections(track: Run, tmp_path: Path, flags: list[object], kept: set[str]) -> None:
    write(tmp_path / "det.txt", [*walk(10, ",1"), *walk(10, ",2", score=0.3), *walk(10, ",3")])
    code, told = track("--detections", "det.txt", "--frame-rate", 30, "--mot", "out.txt", *flags)
    assert code == 0 and "dropped (" in told[-1]
    assert {row[7] for row in results(tmp_path / "out.txt")} == kept


@pytest.mark.parametrize("name", ["sort", "bytetrack", "ocsort", "steady"])
def test_every_tracker_follows_a_walker(track: Run, tmp_path: Path, name: str) -> None:
    write(tmp_path / "det.txt", walk(30))
    code, told = track("--detections", "det.txt", "--frame-rate", 30, "--mot", "out.txt", "--tracker", name)
    assert code == 0 and f"1 tracks; {name}," in told[-1]


def test_nothing_is_replaced_unasked(track: Run, tmp_path: Path) -> None:
    sequence(tmp_path / "mot" / "a", walk(10))
    arguments = ["--detections", "mot", "--mot", "out"]
    assert track(*arguments)[0] == 0
    code, told = track(*arguments)
    assert code == 2 and "a.txt exists; add --overwrite" in told[0] and len(told) == 1
    assert track(*arguments, "--overwrite")[0] == 0
    (tmp_path / "out" / "a.txt").rename(tmp_path / "out" / "a.partial.txt")
    assert track(*arguments)[0] == 2


BAD: dict[str, tuple[list[object], str]] = {
    "no rate": (["--detections", "det.txt", "--mot", "o.txt"], "give --frame-rate"),
    "rate of zero": (["--detections", "det.txt", "--mot", "o.txt", "--frame-rate", "0"], "--frame-rate"),
    "rate by zero": (["--detections", "det.txt", "--mot", "o.txt", "--frame-rate", "1/0"], "0.7 or 30000/1001"),
    "no file": (["--detections", "gone.txt", "--frame-rate", 30, "--mot", "o.txt"], "gone.txt does not exist"),
    "no sequence": (["--detections", "none", "--frame-rate", 30, "--mot", "o"], "holds no sequence"),
    "no output": (["--detections", "det.txt", "--frame-rate", 30], "give --mot or --jsonl"),
    "bad line": (["--detections", "bad.txt", "--frame-rate", 30, "--mot", "o.txt"], "bad.txt, line 2: wanted numbers"),
    "output is the input": (
        ["--detections", "det.txt", "--frame-rate", 30, "--mot", "det.txt", "--overwrite"],
        "is the source itself",
    ),
    "output is a folder": (["--detections", "det.txt", "--frame-rate", 30, "--mot", "none"], "none is a folder"),
    "output below a file": (["--detections", "some", "--mot", "det.txt"], "det.txt is not a folder"),
    "two outputs of one name": (
        ["--detections", "det.txt", "--frame-rate", 30, "--mot", "o", "--summary", "o"],
        "same name",
    ),
    "unknown tracker": (
        ["--detections", "det.txt", "--frame-rate", 30, "--mot", "o.txt", "--tracker", "bytetrak"],
        "did you mean 'bytetrack'",
    ),
    "setting of another": (
        ["--detections", "det.txt", "--frame-rate", 30, "--mot", "o.txt", "--set", "tracker.inertia=1"],
        "belongs to the tracker ocsort",
    ),
    "unknown class": (
        ["--detections", "det.txt", "--frame-rate", 30, "--mot", "o.txt", "--classes", "perso"],
        "did you mean 'person'",
    ),
    "class 0": (["--detections", "det.txt", "--frame-rate", 30, "--mot", "o.txt", "--classes", "0"], "from 1"),
    "offline": (
        ["--detections", "det.txt", "--frame-rate", 30, "--mot", "o.txt", "--offline", "--tracker", "sort"],
        "--tracker steady",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_and_exit_2(track: Run, tmp_path: Path, case: str) -> None:
    write(tmp_path / "det.txt", walk(3))
    write(tmp_path / "bad.txt", [*walk(1), "some text"])
    (tmp_path / "none").mkdir()
    sequence(tmp_path / "some" / "a", walk(3))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    arguments, part = BAD[case]
    code, told = track(*arguments)
    assert code == 2 and len(told) == 1 and told[0].startswith("tracker: ") and part in told[0]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_ctrl_c_keeps_the_partial_name_and_exits_130(tmp_path: Path) -> None:
    write(tmp_path / "det.txt", ["1,-1,1,1,9,9,1", "9999999,-1,1,1,9,9,1"])
    command = [sys.executable, "-m", "tracker", "track", "--detections", "det.txt", "--frame-rate", "30"]
    process = subprocess.Popen(
        [*command, "--jsonl", "o.jsonl", "--summary", "s.json"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    partial, deadline = tmp_path / "o.partial.jsonl", time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 5000):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in told, told
    assert partial.exists() and not (tmp_path / "o.jsonl").exists()
    assert all(json.loads(line) for line in partial.read_text().splitlines())
    assert json.loads((tmp_path / "s.json").read_text())["outcome"] == "interrupted"


def test_importing_it_needs_no_decoder_and_no_runtime() -> None:
    """A process a sequence is how trackers are compared: what is imported is most of its time."""
    heavy = ("av", "cv2", "onnxruntime", "openvino", "tqdm", "tracker.detect", "tracker.capture")
    code = (
        f"import sys, tracker.cli.track, tracker.cli.tracking; print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
