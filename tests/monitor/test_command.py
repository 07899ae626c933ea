"""The command itself: exit codes, signals, lines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.monitor.fakes import adds_up
from tracker.cli import main


def start(config: Path, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tracker", "monitor", "--config", str(config), *flags],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, clip: Path) -> Path:
    path = tmp_path / "cameras.yaml"
    path.write_text(
        f"cameras:\n  yard: {{source: '{clip}', loop: true}}\n  gone: {{source: '{tmp_path}/none.mp4'}}\n"
        "status_every_s: 0.5\n"
    )
    return path


@pytest.mark.slow
def test_it_runs_for_a_while_and_says_how_it_went(config: Path) -> None:
    with start(config, "--duration", "2", "--log-json") as process:
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    lines = [json.loads(line) for line in said.splitlines()]
    assert {"detector", "state", "status", "stopped"} <= {line["event"] for line in lines}
    cameras = lines[-1]["cameras"]
    assert cameras["yard"]["frames"]["processed"] > 0
    assert cameras["gone"]["state"] in ("down", "paused")
    assert all(adds_up(camera["frames"]) and not camera["frames"]["in_flight"] for camera in cameras.values())
    assert lines[-1]["detector"]["model"] == "street6"
    assert [line["message"] for line in lines if line["event"] == "association"] in (
        ["association on numba"], ["association on numpy"]
    )  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly(config: Path) -> None:
    said = ""
    with start(config) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if "1 of 2 up" in line:
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert "stopped; yard:" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_the_settings_are_read_again_on_a_signal_and_sigterm_drains(config: Path, clip: Path) -> None:
    said = ""
    with start(config) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "1 of 2 up" in line and "not taken over" not in said:
                config.write_text("cameras: {}\n")
                process.send_signal(signal.SIGHUP)
            elif "not taken over" in line:
                config.write_text(f"cameras: {{new: {{source: '{clip}', loop: true}}}}\n")
                process.send_signal(signal.SIGHUP)
            elif "1 of 1 up" in line:
                process.terminate()
            said += line
    assert "settings not taken over" in said
    assert process.returncode == 0
    assert "stopped; new:" in said


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("cameras: {a: {sorce: x}}\n", 2, "did you mean 'source'?"),
        ("cameras: {a: {source: x}}\ndetect: {model: /no/such.onnx}\n", 2, "/no/such.onnx"),
        ("cameras: {a: {source: x}}\ndetect: {runtime: tensorrt}\n", 4, "tensorrt"),
        ("cameras: {a: {source: x}}\ndetect: {fused: on}\n", 2, "leave it at auto"),
        ("cameras: {a: {source: x}}\nmqtt: {host: b, password_env: NO_SUCH}\n", 2, "NO_SUCH is wanted and not set"),
        ("cameras: {a: {source: x}}\nrecord: {cameras: [b]}\n", 2, "there is no camera 'b'"),
        ("cameras: {a: {source: x}}\ndata: /dev/null/x\n", 2, "/dev/null/x cannot be used"),
        ("cameras: {a: {source: x, zones: {z: {polygon: [[0,0],[1,0],[1,1]], classes: [cat]}}}}\n", 2, "'cat'"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(
    tmp_path: Path, text: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text(text)
    with pytest.raises(SystemExit) as caught:
        main(["monitor", "--config", str(path)])
    assert caught.value.code == code
    assert message in capsys.readouterr().err.splitlines()[-1]


LOADING = """
import os, signal, sys, time
import tracker.cli.monitor as monitor
from tracker.cli import main

number, before = int(sys.argv[1]), signal.getsignal(int(sys.argv[1]))

def load(*_):
    os.kill(os.getpid(), number)
    time.sleep(60)

monitor.open_shared_detector = load
try:
    main(["monitor", "--config", sys.argv[2]])
finally:
    print("restored" if signal.getsignal(number) is before else "changed")
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_can_be_ended_while_the_detector_is_loaded(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """In a process of its own: in this one other libraries may have put up signal stacks that are too small."""
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras: {a: {source: x}}\n")
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(int(number)), str(path)], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "stopped before the detector was loaded" in done.stderr and done.stdout.strip() == "restored"
