"""A video through a pipe, as another program writes it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.capture.clips import Clip, grainy

PROGRAM = """
import sys
from tracker.capture import open_source
from tracker.errors import TrackerError
try:
    with open_source("-") as source:
        frames = list(source)
    print(len(frames), source.info.name, source.info.live, *source.warnings, sep="|")
    print(*(round(frame.time_s, 4) for frame in frames))
except TrackerError as error:
    print(type(error).__name__, error)
"""


def run(**streams) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=False, timeout=30, **streams)
    assert done.stderr == b""
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("name", "clip", "warning"),
    [
        ("p.ts", Clip(options={"bf": "2"}), ""),
        ("p.mkv", Clip(), ""),
        ("p.mjpeg", Clip(codec="mjpeg", pix_fmt="yuvj420p"), ""),
        ("fragmented.mp4", Clip(container_options={"movflags": "frag_keyframe+empty_moov"}), ""),
        ("first.mp4", Clip(container_options={"movflags": "faststart"}), ""),
        ("last.mp4", Clip(), "|standard input is an MP4 with its index at the end: copied to a temporary file first"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_be_piped(tmp_path: Path, name: str, clip: Clip, warning: str) -> None:
    clip.pictures = grainy(12)
    lines = run(input=clip.write(tmp_path / name).read_bytes())
    assert lines[0] == f"12|standard input|False{warning}"
    assert [float(text) for text in lines[1].split()] == pytest.approx([index / 25 for index in range(12)], abs=1e-4)


def test_a_file_that_the_shell_opened(tmp_path: Path) -> None:
    with Clip().write(tmp_path / "last.mp4").open("rb") as file:
        assert run(stdin=file)[0] == "12|standard input|False"


def test_nothing_comes() -> None:
    assert run(input=b"")[0].startswith("SourceError standard input is empty (0 bytes), a video was wanted")
    assert run(stdin=subprocess.DEVNULL)[0].startswith("SourceError standard input is empty")


def test_no_video_comes() -> None:
    assert run(input=b"hello world\n" * 100)[0].startswith("SourceError standard input is ")


def test_a_terminal_is_bad_usage() -> None:
    pty = pytest.importorskip("pty", reason="there are no pseudo terminals here")
    main, sub = pty.openpty()
    assert run(stdin=sub) == [
        "UsageError source '-' reads a video from standard input, which is a terminal; pipe one in"
    ]
    assert main


def test_a_slow_pipe_is_waited_for_and_a_dead_one_can_be_left(tmp_path: Path) -> None:
    """Half a video, then nothing although the writer lives: `stop` still ends it."""
    program = PROGRAM.replace('open_source("-")', 'open_source("-", stop=stop)').replace(
        "try:", "import threading\nstop = threading.Event()\nthreading.Timer(0.5, stop.set).start()\ntry:", 1
    )
    data = Clip(pictures=grainy(24, (160, 120)), options={"g": "4"}).write(tmp_path / "p.ts").read_bytes()
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(data[: len(data) // 2])
    process.stdin.flush()
    killer = threading.Timer(20, process.kill)
    killer.start()
    began = time.monotonic()
    out = process.stdout.read().decode()
    assert time.monotonic() - began < 15
    assert process.wait() == 0
    killer.cancel()
    process.stdin.close()
    process.stdout.close()
    assert out
