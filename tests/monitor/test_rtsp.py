"""Real RTSP cameras on loopback that die, freeze, change and refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.capture.clips import Clip
from tests.monitor import fakes
from tests.monitor.fakes import FakeDetector, Log, adds_up
from tests.monitor.rtsp import RtspServer
from tracker.monitor.camera import Result
from tracker.monitor.feed import STALL_S
from tracker.monitor.settings import CameraSettings, MonitorSettings
from tracker.monitor.supervisor import Supervisor

pytestmark = pytest.mark.slow
LOGIN = {"user": "admin", "password": "p:w/@s3cret"}
NONE = {"frames": {"processed": 0}}
GIVEN = {"username": "admin", "password": "p:w/@s3cret"}


def wait_for(condition: Callable[[], Any], seconds: float = 90.0) -> Any:
    """A server on a busy machine takes its time."""
    return fakes.wait_for(condition, seconds)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A short one, and a shorter one of another size."""
    folder = tmp_path_factory.mktemp("clips")
    options = {"g": "10", "bf": "0"}
    wide, tall = Clip(50, (160, 96), options=options), Clip(25, (96, 128), options=options)
    return str(wide.write(folder / "wide.mp4")), str(tall.write(folder / "tall.mp4"))


class Watch:
    """A monitor of real cameras on a fake detector."""

    def __init__(self, **cameras: CameraSettings) -> None:
        self.log, self.results = Log(), dict[str, list[Result]]()
        settings = MonitorSettings(cameras=cameras)
        self.supervisor = Supervisor(settings, FakeDetector(), self.log.journal)
        self.supervisor.subscribe(lambda result: self.results.setdefault(result.camera, []).append(result))

    def state(self, name: str) -> str:
        return str(self.supervisor.camera(name).state_now[0])

    def reason(self, name: str, state: str) -> str:
        """Why it is in this state, once it is."""

        def found() -> tuple[str, str, str] | None:
            now = self.supervisor.camera(name).state_now
            return now if now[0] == state else None

        return str(wait_for(found)[1])

    def count(self, name: str) -> int:
        return len(self.results.get(name, ()))

    def more(self, name: str, count: int = 10) -> None:
        before = self.count(name)
        wait_for(lambda: self.count(name) >= before + count)

    def check(self, name: str) -> None:
        """Numbers, times and ids go on whatever happened; the books add up."""
        results = self.results[name]
        for before, after in pairwise(results):
            assert before.frame.index < after.frame.index
            assert before.frame.time_s <= after.frame.time_s
        known = [0]
        for result in results:
            known += [number for number in result.tracks.ids.tolist() if number > known[-1]]
        assert all(adds_up(camera["frames"]) for camera in self.supervisor.status()["cameras"].values())


@contextmanager
def watching(**cameras: CameraSettings) -> Iterator[Watch]:
    watch = Watch(**cameras)
    watch.supervisor.start()
    try:
        yield watch
    except BaseException:
        watch.supervisor.stop(10.0)
        raise
    ended(watch)


def ended(watch: Watch) -> None:
    """Stop, and look at the books."""
    assert watch.supervisor.stop(10.0)
    for camera in watch.supervisor.status()["cameras"].values():
        assert adds_up(camera["frames"])
        assert camera["frames"]["in_flight"] == 0


def camera_of(server: RtspServer, name: str) -> CameraSettings:
    return CameraSettings(source=server.url(name))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_server_that_dies_and_returns(clips: tuple[str, str]) -> None:
    with RtspServer({"gate": {"files": clips[:1]}}) as server:  # noqa: SIM117
        with watching(gate=camera_of(server, "gate")) as watch:
            watch.more("gate", 15)
            wait_for(lambda: watch.state("gate") == "up")
            before = descriptors()
            for _ in range(2):
                server.kill()
                assert watch.reason("gate", "down") in ("refused", "ended", "other")
                time.sleep(1.0)
                server.start()
                wait_for(lambda: watch.state("gate") == "up")
                watch.more("gate", 15)
            watch.check("gate")
            results = watch.results["gate"]
            gaps = [after.frame.time_s - before.frame.time_s for before, after in pairwise(results)]
            assert sorted(gaps)[-2] > 1.0, "time ran on while nobody was there"
            passed_s = results[-1].wall_s - results[0].wall_s
            assert abs(results[-1].frame.time_s - results[0].frame.time_s - passed_s) < 5.0, "and no faster"
            assert watch.supervisor.status()["cameras"]["gate"]["reconnects"] >= 2
            wait_for(lambda: descriptors() <= before + 1)


def test_a_wrong_password_is_told_and_never_shown_and_a_right_one_works(clips: tuple[str, str]) -> None:
    with RtspServer({"gate": {"files": clips, **LOGIN}}) as server:
        url = server.url("gate")
        wrong = CameraSettings(source=server.url("gate", "admin:wr0ng"))
        good, none = CameraSettings(source=url, **GIVEN), CameraSettings(source=url + "x", **GIVEN)
        with watching(good=good, bad=wrong, none=none) as watch:
            watch.more("good")
            assert watch.reason("bad", "down") == "auth"
            assert watch.reason("none", "down") == "not_found"
            watch.more("good", 80)  # the second clip has another size
            sizes = {(result.frame.width, result.frame.height) for result in watch.results["good"]}
            assert sizes == {(160, 96), (96, 128)}
            watch.check("good")
            shown = watch.log.text.getvalue() + json.dumps(watch.supervisor.status()) + repr(threading.enumerate())
            assert "authentication failed" in shown
            for secret in ("s3cret", "wr0ng", "p:w", "p%3Aw"):
                assert secret not in shown


@pytest.mark.parametrize("how", ["freeze", "pause"])
def test_a_camera_that_falls_silent_is_stalled_and_recovers(how: str, clips: tuple[str, str]) -> None:
    """Frozen, nobody answers; paused, the connection lives and brings nothing."""
    with (
        RtspServer({"gate": {"files": clips[:1]}}) as server,
        RtspServer({"yard": {"files": clips[:1]}}) as other,
        watching(gate=camera_of(server, "gate"), yard=camera_of(other, "yard")) as watch,
    ):
        watch.more("gate")
        watch.more("yard")
        server.freeze() if how == "freeze" else server.command("pause gate")
        wait_for(lambda: watch.state("gate") == "stalled")
        last = watch.results["gate"][-1]
        told = wait_for(lambda: [line for line in watch.log.lines("state", "gate") if line["state"] == "stalled"])
        assert len(told) == 1
        watch.more("yard")
        server.thaw() if how == "freeze" else server.command("resume gate")
        wait_for(lambda: watch.state("gate") == "up")
        watch.more("gate")
        watch.check("gate")
        assert watch.results["gate"][-1].frame.time_s - last.frame.time_s > STALL_S
        assert {line["state"] for line in watch.log.lines("state", "yard")} <= {"connecting", "up"}
        assert watch.supervisor.camera("yard").feed.reconnects == 0, "the other one saw nothing of it"


@pytest.mark.parametrize("plight", ["reading", "opening", "gone"])
def test_a_camera_that_does_not_answer_does_not_hold_up_the_end(plight: str, clips: tuple[str, str]) -> None:
    """Its reader sits in a system call then; what matters has ended nevertheless, and it follows by its time-outs."""
    with RtspServer({"gate": {"files": clips[:1]}}) as server:
        watch = Watch(gate=camera_of(server, "gate"))
        watch.supervisor.start()
        watch.more("gate")
        server.kill() if plight == "gone" else server.freeze()
        if plight == "opening":
            wait_for(lambda: watch.state("gate") == "stalled")
            time.sleep(2.0)  # by then it has given up reading
        ended(watch)
        count = watch.count("gate")
        wait_for(lambda: watch.supervisor.abandoned == 0)
        assert watch.count("gate") == count


def test_what_hangs_is_left_behind_at_the_end(clips: tuple[str, str]) -> None:
    with RtspServer({"gate": {"files": clips[:1]}}) as server:
        watch = Watch(gate=camera_of(server, "gate"))
        watch.supervisor.start()
        watch.more("gate")
        server.freeze()
        assert watch.supervisor.stop(0.5), "the detector may be closed"
        assert watch.supervisor.abandoned == 1
        wait_for(lambda: watch.supervisor.abandoned == 0)


SHORT = "import sys, tracker.cli, tracker.cli.monitor as m; m.DRAIN_S = 0.5; tracker.cli.main(sys.argv[1:])"


def test_what_hangs_does_not_spoil_the_exit(clips: tuple[str, str], tmp_path: Path) -> None:
    """A thread that comes back to an interpreter half gone would crash it."""
    names = ("a", "b", "c", "d")
    config = tmp_path / "cameras.yaml"
    with RtspServer({name: {"files": clips[:1]} for name in names}) as server:
        cameras = "".join(f"  {name}: {{source: '{server.url(name)}', rate: 2}}\n" for name in names)
        config.write_text(f"status_every_s: 0.5\ncameras:\n{cameras}")
        said = ""
        with subprocess.Popen(
            [sys.executable, "-c", SHORT, "monitor", "--config", str(config)], stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "4 of 4 up" in line and "4 of 4 up" not in said:
                    server.freeze()
                    time.sleep(0.5)
                    process.send_signal(signal.SIGTERM)
                said += line
        assert process.returncode == 0, said
    assert "4 readers hang" in said
    assert "stopped; a:" in said


def test_a_frozen_camera_that_is_removed_comes_back_under_its_name(clips: tuple[str, str]) -> None:
    with RtspServer({"gate": {"files": clips[:1]}}) as server:  # noqa: SIM117
        with watching(gate=camera_of(server, "gate")) as watch:
            watch.more("gate")
            server.freeze()
            watch.supervisor.remove("gate")
            assert watch.supervisor.abandoned == 1
            server.thaw()
            watch.supervisor.add("gate", camera_of(server, "gate"))
            watch.more("gate")
            wait_for(lambda: watch.supervisor.abandoned == 0)


def test_garbage_is_no_picture_and_harms_nobody(clips: tuple[str, str]) -> None:
    with (
        RtspServer({"gate": {"files": clips[:1]}, "yard": {"files": clips[:1]}}) as server,
        watching(gate=camera_of(server, "gate"), yard=camera_of(server, "yard")) as watch,
    ):
        watch.more("gate")
        server.command("garbage gate")
        watch.more("yard", 60)
        watch.check("gate")
        frames = watch.supervisor.status()["cameras"]["gate"]["frames"]
        assert frames["processed"] < 0.7 * watch.count("yard")
        watch.supervisor.pause("gate")
        assert watch.supervisor.camera("gate").ledger.figures()["dropped"]["damaged"] > 0


@pytest.mark.parametrize("plight", ["well", "frozen"])
def test_the_command_drains_on_sigterm(plight: str, clips: tuple[str, str], tmp_path: Path) -> None:
    """The whole, in its own process, on the real detector."""
    config = tmp_path / "cameras.yaml"
    with RtspServer({"gate": {"files": clips[:1], **LOGIN}}) as server:
        config.write_text(
            f"cameras:\n  gate: {{source: '{server.url('gate')}', username: admin, password_env: GATE_PASSWORD}}\n"
            f"  clip: {{source: '{clips[1]}', loop: true}}\n"
            f"  wrong: {{source: '{server.url('gate', 'admin:wr0ng')}'}}\n"
            "status_every_s: 0.5\n"
        )
        lines, asked = [], False
        with subprocess.Popen(
            [sys.executable, "-m", "tracker", "monitor", "--config", str(config), "--log-json"],
            env=os.environ | {"GATE_PASSWORD": LOGIN["password"]}, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(json.loads(line))
                reasons = {line["reason"] for line in lines if line.get("camera") == "wrong" and "reason" in line}
                cameras = lines[-1].get("cameras", {})
                well = all(cameras.get(name, NONE)["frames"]["processed"] > 20 for name in ("gate", "clip"))
                if not asked and well and "auth" in reasons:
                    asked = True
                    if plight == "frozen":
                        server.freeze()
                        time.sleep(0.5)
                    process.send_signal(signal.SIGTERM)
        assert process.returncode == 0
    assert asked
    last = lines[-1]
    assert last["event"] == "stopped"
    for camera in last["cameras"].values():
        assert adds_up(camera["frames"])
        assert camera["frames"]["in_flight"] == 0
    assert last["cameras"]["clip"]["frames"]["captured"] > 25, "the clip began again"
    text = json.dumps(lines)
    assert "s3cret" not in text
    assert "wr0ng" not in text
