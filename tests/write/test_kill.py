"""A process killed at any moment, or out of disk, leaves a playable video and whole lines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.write.scenes import gray_frame, info, read_back, tracks
from tracker.structures import Tracks
from tracker.write import Overlay, PartialFile, VideoSink

ROOT = Path(__file__).parents[2]
MOST_LOST_S = 1.0


def kill_after(index: int, folder: Path, rate: str, told: str, pause_s: float) -> int:
    """Run the victim until it says that `index` is done, kill it, and return the last index that it spoke of."""
    command = [sys.executable, "-m", "tests.write.victim", str(folder), rate, told, str(pause_s)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        for line in victim.stdout:
            if int(line) >= index:
                break
        victim.send_signal(signal.SIGKILL)
        rest = victim.stdout.read().split("\n")
    assert victim.returncode == -signal.SIGKILL
    return max([index, *(int(line) for line in rest[:-1] if line)])


@pytest.mark.parametrize(
    ("index", "rate", "told", "pause_s"),
    [
        (0, "30", "told", 0.0),  # right after the first frame
        (37, "30", "told", 0.0),  # in the middle of a fragment, encoding as fast as it can
        (150, "30000/1001", "told", 0.0),  # behind a keyframe
        (5, "1/10", "told", 0.0),  # one picture in ten seconds: none may wait for the next
        (5, "1/10", "untold", 0.0),  # the same when the source does not say so
        (7, "25", "untold", 0.05),  # slower than the stream
    ],
)
def test_killed(tmp_path: Path, index: int, rate: str, told: str, pause_s: float) -> None:
    """Users lose hours of recording to files without an index."""
    last = kill_after(index, tmp_path, rate, told, pause_s)
    times, numbers, _ = read_back(tmp_path / "out.partial.mp4")
    assert numbers == [number % 256 for number in range(len(numbers))]
    seconds = [gray_time(rate, number) for number in (last, len(numbers) - 1)]
    assert seconds[0] - seconds[1] < MOST_LOST_S
    assert times == pytest.approx([gray_time(rate, number) for number in range(len(numbers))], abs=1e-4)
    assert not (tmp_path / "out.mp4").exists()
    whole_lines(tmp_path, last)


def gray_time(rate: str, index: int) -> float:
    above, _, below = rate.partition("/")
    return index * int(below or 1) / int(above)


def whole_lines(folder: Path, last: int) -> None:
    """Each record that is there is whole, and none that was done is missing."""
    mot = (folder / "out.partial.txt").read_text()
    assert mot.endswith("\n")
    rows = [line.split(",") for line in mot.splitlines()]
    assert {len(row) for row in rows} == {9}
    lines = (folder / "out.partial.jsonl").read_text()
    assert lines.endswith("\n")
    records = [json.loads(line) for line in lines.splitlines()]
    assert [record["index"] for record in records] == list(range(len(records)))
    assert len(records) > last
    assert len(rows) >= 2 * len(records)


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.write.scenes import gray_frame, info
from tracker.errors import WriteError
from tracker.structures import Tracks
from tracker.write import JsonLinesWriter, VideoOptions, VideoSink
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
video = VideoSink(folder / "out.mp4", info(), options=VideoOptions(crf=1))
lines = JsonLinesWriter(folder / "out.jsonl", ())
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for sink in (video, lines):
    try:
        for index in range(5000):
            sink.write(gray_frame(index, index / 30, 1 / 30), Tracks.empty())
    except WriteError as error:
        print(index, "|", error)
        sink.abort()
"""


@pytest.mark.parametrize("limit", [9001, 12345])
def test_full_disk(tmp_path: Path, limit: int) -> None:
    """The reason is said, and what fitted on the disk plays."""
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(tmp_path), str(limit)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    said = [line.split(" | ") for line in done.stdout.splitlines()]
    assert len(said) == 2
    for _, message in said:
        assert "File too large" in message
        assert "out.partial." in message
    _, numbers, _ = read_back(tmp_path / "out.partial.mp4")
    reached = int(said[0][0])
    assert numbers == [number % 256 for number in range(len(numbers))]
    assert reached - 15 <= len(numbers) <= reached + 1
    assert (tmp_path / "out.partial.mp4").stat().st_size <= limit
    records = [json.loads(line) for line in (tmp_path / "out.partial.jsonl").read_text().splitlines()]
    assert len(records) == int(said[1][0])


def test_a_torn_write_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill can cut a long write short; FFmpeg refuses a whole file for a fragment that ends in the middle."""
    sink = VideoSink(tmp_path / "out.mp4", info())
    partial = tmp_path / "out.partial.mp4"
    for index in range(13):  # the first frame is put down at once, then 0.4 s each
        sink.write(gray_frame(index, index / 30, 1 / 30), Tracks.empty())
    before = len(partial.read_bytes())
    with monkeypatch.context() as patched:
        patched.setattr(PartialFile, "patch", lambda self, offset, data: None)  # killed before the last step
        for index in range(13, 26):
            sink.write(gray_frame(index, index / 30, 1 / 30), Tracks.empty())
    whole = partial.read_bytes()
    sink.abort()
    assert len(whole) > before + 500
    for size in range(before, len(whole), 7):
        partial.write_bytes(whole[:size])
        assert read_back(partial)[1] == list(range(13))


def test_tracks_are_drawn_in_what_a_kill_leaves(tmp_path: Path) -> None:
    """The fragments hold the annotated picture, not the source's."""
    sink = VideoSink(tmp_path / "out.mp4", info(), Overlay(("person",), trails=False))
    sink.write(gray_frame(0, 0.0, 1.0), tracks((40, 30, 100, 60, 0.9, 0), first_id=10))
    with av.open(str(tmp_path / "out.partial.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    sink.abort()
    red, green, blue = picture[45, 41].astype(int)
    assert min(red, green) > blue + 80  # yellow
