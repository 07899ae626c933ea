"""Everything together: a process that is killed, drained, started again."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.fakes import wait_for
from tests.monitor.saving import NOON_S, Told, event, may_mount
from tests.monitor.test_webhook import Server, server
from tests.write.scenes import gray_frame, read_back
from tracker.errors import ConfigError, OutputError
from tracker.monitor.output_settings import OutputSettings
from tracker.monitor.outputs import Outputs
from tracker.structures import Tracks

__all__ = ["server"]
ROOT = Path(__file__).parents[2]
RATE = 20.0
HEAD = 2000  # bytes of a file before its first picture
RECORD = {"mode": "continuous", "segment_s": 1, "before_s": 1, "after_s": 1, "min_free_gb": 0, "annotate": False}
JSONL = {"path": "events.jsonl"}


@contextmanager
def outputs_of(
    folder: Path, say: Any = None, wall: Callable[[], float] = lambda: NOON_S + 10, **sections: Any
) -> Iterator[Outputs]:
    outputs = Outputs(
        OutputSettings.model_validate(sections), folder, say or Told(), class_names=("person",), wall=wall
    )
    try:
        yield outputs
    finally:
        assert outputs.close(30)


def show(outputs: Outputs, frames: range, every: int = 0, camera: str = "gate") -> None:
    """Frames of a camera, with an event in each `every`th, whose value is the frame's index."""
    for index in frames:
        events = [event(index / RATE, value=float(index))] if every and index % every == 0 else []
        outputs.on_frame(camera, gray_frame(index, index / RATE), Tracks.empty(), events, NOON_S + index / RATE)
        time.sleep(0.01)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_from_frame_to_every_output(tmp_path: Path, server: Server) -> None:
    sections = {"record": RECORD, "jsonl": JSONL, "webhook": {"url": f"http://127.0.0.1:{server.port}/"}}
    with outputs_of(tmp_path, **sections) as outputs:
        show(outputs, range(100), every=20)
        wait_for(lambda: len(server.taken) == 5)
        stats = outputs.stats()
        assert json.dumps(stats)
        assert stats["store"] == {"newest": 5, "queue": 0, "lost": 0, "trouble": ""}
        assert stats["snapshots"] == {"made": 5, "skipped": 0}
        assert set(stats["outputs"]) == {"webhook", "jsonl"}
    with outputs_of(tmp_path, **sections) as outputs:
        stored = outputs.store.after(0, 99)
    assert [each.entry.event.value for each in stored] == [0, 20, 40, 60, 80]
    assert [each["id"] for each in lines(tmp_path)] == [1, 2, 3, 4, 5]
    assert lines(tmp_path)[2] == server.requests[2][2]
    for each in stored:
        assert (tmp_path / each.entry.snapshot).read_bytes().startswith(b"\xff\xd8")
        assert each.clip, "what was still to come was cut at the end"
        shown = read_back(tmp_path / each.clip)[1]
        assert int(each.entry.event.value) in shown


def test_totals_come_back_with_their_age(tmp_path: Path) -> None:
    now = [NOON_S]
    outputs = Outputs(OutputSettings(), tmp_path, Told(), wall=lambda: now[0])
    outputs.save("gate", {"analyzer": {"entered": 3}})
    assert outputs.close(20)
    for jump_s, age_s in ((60.0, 60.0), (-1e9, 0.0)):
        now[0] = NOON_S + jump_s
        outputs = Outputs(OutputSettings(), tmp_path, Told(), wall=lambda: now[0])
        assert outputs.restore("gate") == ({"analyzer": {"entered": 3}}, age_s)
        assert outputs.restore("yard") is None
        assert outputs.close(20)


def test_figures_of_the_status_become_series(tmp_path: Path) -> None:
    camera = {
        "state": "up", "fps": 12.5, "tracks": 3, "latency_ms": {"p50": 1, "p95": 80.0, "p99": 3},
        "counts": {"zones": {"door": {"occupancy": 2}}, "lines": {}},
    }  # fmt: skip
    with outputs_of(tmp_path) as outputs:
        outputs.on_status({"cameras": {"gate": camera}})
    with outputs_of(tmp_path) as outputs:
        found = {name: outputs.store.series("gate", name, 3600)[0].mean
                 for name in ("fps", "tracks", "latency_ms", "zone door")}  # fmt: skip
    assert found == {"fps": 12.5, "tracks": 3.0, "latency_ms": 80.0, "zone door": 2.0}


def test_one_process_a_folder(tmp_path: Path) -> None:
    with outputs_of(tmp_path), pytest.raises(OutputError, match="used by another tracker monitor"):
        Outputs(OutputSettings(), tmp_path, Told())
    with outputs_of(tmp_path):
        pass


def test_what_cannot_begin_lets_go_of_everything(tmp_path: Path) -> None:
    settings = OutputSettings.model_validate({"jsonl": JSONL, "webhook": {"url_env": "NOT_SET_ANYWHERE"}})
    with pytest.raises(ConfigError, match="NOT_SET_ANYWHERE"):
        Outputs(settings, tmp_path, Told())
    with outputs_of(tmp_path):
        pass


def test_a_webhook_that_hangs_does_not_hold_up_the_end(tmp_path: Path, server: Server) -> None:
    """Drained in the time given; what was not delivered is delivered after the next start."""
    server.answer = lambda number: "hang"
    sections = {"jsonl": JSONL, "webhook": {"url": f"http://127.0.0.1:{server.port}/", "timeout_s": 300}}
    outputs = Outputs(OutputSettings.model_validate(sections), tmp_path, Told())
    show(outputs, range(30), every=10)
    wait_for(lambda: server.requests)
    began = time.monotonic()
    outputs.close(3.0)
    assert time.monotonic() - began < 10
    assert len(lines(tmp_path)) == 3
    server.free.set()
    server.answer = lambda number: 200
    with outputs_of(tmp_path, **sections):
        wait_for(lambda: server.taken == [0, 10, 20])


@pytest.mark.skipif(not may_mount(), reason="only root can mount a disk")
def test_a_full_disk_costs_no_event(tmp_path: Path) -> None:
    """Pictures and recordings stop, events wait in memory until there is room, frames are taken all the time."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk")
    told = Told()
    try:
        with outputs_of(disk, told, record=RECORD, jsonl=JSONL) as outputs:
            show(outputs, range(40), every=2)
            wait_for(lambda: outputs.store.newest == 20)
            other = disk / "other"
            with open(other, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(bytes(512))
            show(outputs, range(40, 240), every=2)
            wait_for(lambda: outputs.store.trouble)
            assert "database or disk is full" in told
            other.unlink()
            wait_for(lambda: outputs.store.newest == 120)
            assert outputs.store.lost == 0
            wait_for(lambda: outputs.stats()["outputs"]["jsonl"]["waiting"] == 0, 90)
        assert [int(each["value"]) for each in lines(disk)] == list(range(0, 240, 2))
        shown = [each["snapshot"] for each in lines(disk)]
        assert all((disk / path).is_file() for path in shown if path)
        assert "" in shown[20:], "for some there was no room"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["continuous", "events"])
def test_killed_at_any_moment(tmp_path: Path, mode: str) -> None:
    """Every acknowledged event is there, the database is sound, files play, totals agree with the events."""
    settings = json.dumps({"record": RECORD | {"mode": mode}, "jsonl": JSONL})
    acknowledged: list[tuple[int, int]] = []
    for seed in range(3):
        acknowledged += kill_once(tmp_path, settings, random.Random(seed).uniform(0.0, 2.5))
        for path in tmp_path.glob("footage/*/*.mp4"):
            if ".partial." not in path.name or path.stat().st_size > HEAD:
                assert read_back(path)[1]
        connection = sqlite3.connect(tmp_path / "events.sqlite")
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = connection.execute("SELECT id, value FROM events ORDER BY id").fetchall()
        connection.close()
        assert set(acknowledged) <= {(number, int(value)) for number, value in rows}
        assert [number for number, _ in rows] == list(range(1, len(rows) + 1))
    assert len(acknowledged) > 20
    told = Told()
    with outputs_of(tmp_path, told, time.time, record=RECORD | {"mode": mode}, jsonl=JSONL) as outputs:
        wait_for(lambda: outputs.stats()["outputs"]["jsonl"]["waiting"] == 0)
        stored = outputs.store.after(0, 10**6)
        found = outputs.restore("gate")
    assert [each["id"] for each in lines(tmp_path)] == [each.id for each in stored], "each once, in order"
    assert found is not None
    assert found[0]["total"] >= stored[-1].entry.event.value + 1, "totals are not behind their events"
    assert not list(tmp_path.rglob("*.partial.*"))
    for path in tmp_path.glob("*/*/*.mp4"):
        assert read_back(path)[1]


def kill_once(folder: Path, settings: str, after_s: float) -> list[tuple[int, int]]:
    """Run the victim, kill it that long after its first event; what it had acknowledged."""
    command = [sys.executable, "-W", "error", "-m", "tests.monitor.victim", str(folder), settings]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline().startswith("ready")
        first = victim.stdout.readline()
        time.sleep(after_s)
        victim.send_signal(signal.SIGKILL)
        rest = (first + victim.stdout.read()).split("\n")[:-1]
    assert victim.returncode == -signal.SIGKILL
    pairs = [line.split() for line in rest]
    return [(int(pair[0]), int(pair[1])) for pair in pairs if len(pair) == 2]
