"""The whole command on two cameras: what they see is kept, whatever ends it."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.commands import LONG_S, STREET, delivered, events_of, running
from tests.monitor.fakes import adds_up, wait_for
from tests.write.scenes import read_back

pytestmark = pytest.mark.slow
HEAD = 2000  # bytes of a file before its first picture
ZONE = "zones: {way: {polygon: [[0.3, 0.3], [0.7, 0.3], [0.7, 1], [0.3, 1]], hold_s: 0.0}}"
PLACES = f"loop: true, rate: 8, {ZONE}, lines: {{middle: {{start: [0.5, 0.0], end: [0.5, 1.0]}}}}"


def configured(folder: Path, more: str = "", data: str = "kept") -> Path:
    path = folder / "cameras.yaml"
    path.write_text(
        f"cameras:\n  gate: {{source: '{STREET}', {PLACES}}}\n  yard: {{source: '{STREET}', {PLACES}}}\n"
        f"data: {data}\njsonl: {{path: events.jsonl}}\nstatus_every_s: 0.5\nstore: {{save_every_s: 0.2}}\n{more}"
    )
    return path


def entered(camera: dict[str, Any]) -> int:
    """How many have ever entered the zone of a camera."""
    return int(camera["counts"]["zones"]["way"]["entered"])


def enough(folder: Path, count: int) -> None:
    """Until both cameras have made some more events than that."""

    def found() -> bool:
        events = events_of(folder)
        late = {event["camera"] for event in events[count:]}
        return len(events) >= count + 6 and late == {"gate", "yard"}

    wait_for(found, LONG_S)


def test_zones_make_events_and_a_restart_goes_on_from_there(tmp_path: Path) -> None:
    config, kept = configured(tmp_path), tmp_path / "kept"
    with running(config) as life:
        enough(kept, 0)
        assert (life.end(), life.said) == (0, [])
    last = life.lines[-1]
    assert last["event"] == "stopped"
    assert all(adds_up(camera["frames"]) for camera in last["cameras"].values())
    first = events_of(kept)
    assert [event["id"] for event in first] == list(range(1, len(first) + 1))
    assert {event["kind"] for event in first} & {"enter", "cross"}
    assert all((kept / event["snapshot"]).read_bytes().startswith(b"\xff\xd8") for event in first)
    assert delivered(kept) == [event["id"] for event in first]
    for name, camera in last["cameras"].items():
        entries = sum(event["kind"] == "enter" and event["camera"] == name for event in first)
        assert entered(camera) == entries, "what was counted was stored"
    with running(config) as again:
        enough(kept, len(first))
        assert again.end() == 0
    events = events_of(kept)
    assert [event["id"] for event in events] == list(range(1, len(events) + 1)), "ids go on"
    assert events[: len(first)] == first
    for name, camera in again.lines[-1]["cameras"].items():
        before = last["cameras"][name]["frames"]
        assert camera["frames"]["captured"] > before["captured"], "totals go on"
        assert camera["frames"]["processed"] > before["processed"]
        assert adds_up(camera["frames"])
        assert entered(camera) >= entered(last["cameras"][name])
        ids = [event["track_id"] for event in first if event["camera"] == name]
        late = [event["track_id"] for event in events[len(first) :]
                if event["camera"] == name and event["kind"] in ("enter", "cross")]  # fmt: skip
        assert min(late) > max(ids), "an id means one object, for ever"


def test_killed_while_recording(tmp_path: Path) -> None:
    """Segments play, the database is sound, no event is lost that was delivered, and totals are not behind them."""
    record = "record: {mode: continuous, segment_s: 2, before_s: 1, after_s: 1, min_free_gb: 0}\n"
    config, kept, seen = configured(tmp_path, record), tmp_path / "kept", 0
    for seed in range(2):
        with running(config) as life:
            enough(kept, seen)
            time.sleep(random.Random(seed).uniform(0.0, 2.0))
            life.kill()
        with closing(sqlite3.connect(kept / "events.sqlite")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        ids = [event["id"] for event in events_of(kept)]
        assert ids == list(range(1, len(ids) + 1))
        assert set(delivered(kept)) <= set(ids)
        seen = len(ids)
        for path in kept.glob("footage/*/*.mp4"):
            if ".partial." not in path.name or path.stat().st_size > HEAD:
                assert plays(path)
    with running(config) as life:
        enough(kept, seen)
        assert life.end() == 0
    events = events_of(kept)
    assert delivered(kept) == [event["id"] for event in events], "each once, in order, those of killed lives too"
    assert not list(kept.rglob("*.partial.*"))
    footage, clips = list(kept.glob("footage/*/*.mp4")), list(kept.glob("moments/*/*.mp4"))
    assert {path.parent.name for path in footage} == {"gate", "yard"}
    assert clips
    assert all(map(plays, footage + clips))
    for name, camera in life.lines[-1]["cameras"].items():
        assert adds_up(camera["frames"])
        assert entered(camera) >= sum(event["kind"] == "enter" and event["camera"] == name for event in events)


def plays(path: Path) -> int:
    """How many pictures can be read."""
    return len(read_back(path)[1])


def test_no_secret_is_seen_anywhere(tmp_path: Path) -> None:
    secrets = {
        "GATE_PASSWORD": "hunter2-of-the-gate", "MQTT_PASSWORD": "hunter2-of-the-broker",
        "HOOK": "http://127.0.0.1:1/hunter2-of-the-hook", "HOOK_TOKEN": "hunter2-of-the-bearer",
        "PAGE_TOKEN": "hunter2-of-the-page",
    }  # fmt: skip
    more = (
        "mqtt: {host: 127.0.0.1, port: 1, username: u, password_env: MQTT_PASSWORD}\n"
        "webhook: {url_env: HOOK, token_env: HOOK_TOKEN}\n"
        "serve: {token_env: PAGE_TOKEN}\n"
    )
    config, kept = configured(tmp_path, more), tmp_path / "kept"
    config.write_text(
        config.read_text().replace(
            "cameras:\n",
            "cameras:\n  door: {source: 'rtsp://127.0.0.1:1/x', username: admin, password_env: GATE_PASSWORD}\n"
            "  back: {source: 'rtsp://admin:hunter2-of-the-back@127.0.0.1:1/y'}\n",
        )
    )
    answers = b""
    with running(config, "--serve", "127.0.0.1:0", **secrets) as life:
        enough(kept, 0)
        life.wait_told("state", "down", "door")
        life.wait_told("state", "down", "back")
        life.wait_told("output", "webhook")
        for path in ("metrics", "api/status", "api/cameras", "api/events", "api/cameras/back", "healthz", "readyz"):
            answers += life.ask(path, secrets["PAGE_TOKEN"])
        assert life.end() == 0
    files = b"".join(path.read_bytes() for path in kept.rglob("*") if path.is_file())
    for seen in (answers, files, json.dumps(life.lines).encode()):
        assert len(seen) > 1000
        assert b"hunter2" not in seen
    assert life.told("settings", "written in the settings", "back")


def test_a_camera_that_changes_leaves_the_others_alone(tmp_path: Path) -> None:
    """By signal and by request."""
    config, kept = configured(tmp_path), tmp_path / "kept"
    with running(config, "--serve", "127.0.0.1:0") as life:
        enough(kept, 0)
        text = config.read_text()
        shed = f"  shed: {{source: '{STREET}', loop: true, rate: 4}}\n"
        config.write_text(text.replace("cameras:\n", f"cameras:\n{shed}"))
        changes = json.loads(life.ask("api/reload", method="POST"))["changes"]
        assert changes == ["camera 'shed' added"]
        life.wait_told("state", "up", "shed")
        config.write_text(text.replace("yard:", "lawn:").replace("rate: 8", "rate: 7", 1))
        life.send(signal.SIGHUP)
        life.wait_told("reload", "camera 'lawn' added")
        (line,) = life.told("reload", "camera 'lawn' added")
        assert set(line["message"].partition(": ")[2].split("; ")) == {
            "camera 'shed' removed", "camera 'yard' removed", "camera 'gate' changed", "camera 'lawn' added",
        }  # fmt: skip
        life.wait_told("state", "up", "lawn")
        life.wait_told("state", "up", "gate", count=2)
        config.write_text("cameras: {gate: {}}\n")
        life.send(signal.SIGHUP)
        life.wait_told("reload", "settings not taken over")
        assert set(json.loads(life.ask("api/status"))["cameras"]) == {"gate", "lawn"}
        assert life.end() == 0
    assert not life.told("state", "up", "yard")[1:], "it was not touched by the first reload"
    frames = life.lines[-1]["cameras"]["gate"]["frames"]
    assert adds_up(frames)
    assert "error" not in {line["event"] for line in life.lines}


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    config = configured(tmp_path)
    with running(config) as life:
        life.wait_told("state", "up", "gate")
        with running(config) as second:
            assert second.end(None) == 2
        assert "used by another tracker monitor" in second.said[-1]
        assert life.end() == 0
