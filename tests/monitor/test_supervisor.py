"""One camera never harms another, and every frame is accounted for, whatever happens."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.monitor.fakes import FakeDetector, FakeTracker, Watched, World, adds_up, wait_for
from tracker.analyze import Analyzer, ZoneSettings
from tracker.errors import ConfigError, TrackerError
from tracker.monitor import feed as feed_module
from tracker.monitor import supervisor as module
from tracker.monitor.settings import CameraSettings

ZONE = ZoneSettings(polygon=((0, 0), (1, 0), (1, 1), (0, 1)), hold_s=0.0)


@pytest.fixture(autouse=True)
def trackers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The next tracker of each camera by name; others are plain. (A camera's tracker is told by its max_lost_s.)"""
    made: dict[str, Any] = {}
    monkeypatch.setattr("tracker.monitor.stages.make_tracker", lambda settings: made.pop("next", FakeTracker)())
    return made


def settled(watched: Watched) -> dict[str, dict[str, Any]]:
    """The books after the end."""
    assert watched.supervisor.stop(10.0)
    frames = {name: camera["frames"] for name, camera in watched.supervisor.status()["cameras"].items()}
    for name, figures in frames.items():
        assert adds_up(figures), name
        assert figures["in_flight"] == 0, name
        assert figures["processed"] == watched.count(name), name
    return frames


@pytest.mark.parametrize("how", ["hang", "raise", "refuse", "silent", "end", "huge"])
def test_whatever_happens_to_one_source_the_others_go_on(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "SILENT_S", 0.3)
    monkeypatch.setattr(feed_module, "GRACE_S", 0.1)
    with Watched(World(bad=how, good="good", well="good")) as watched:
        for _ in range(3):
            for name in ("good", "well"):
                watched.more(name)
            assert all(adds_up(camera["frames"]) for camera in watched.supervisor.status()["cameras"].values())
        assert watched.state("good") == watched.state("well") == ("up", "")
        assert watched.supervisor.status()["cameras"]["good"]["reconnects"] == 0
        watched.world.free.set()
        settled(watched)
        for name in ("good", "well"):
            ids = [result.tracks.ids.tolist() for result in watched.results[name]]
            assert ids == [[number + 1] for number in range(len(ids))], "its own tracker, every frame once"


def test_frames_that_the_detector_raises_on_are_counted_and_harm_their_camera_only() -> None:
    detector = FakeDetector(poison=128)
    with Watched(World(bad="huge", good="good"), detector, batch=4) as watched:
        watched.more("bad", 10)  # of five sizes one is poison
        watched.more("good")
        frames = settled(watched)
    assert frames["bad"]["dropped"]["error"] > 0
    assert "error" not in frames["good"]["dropped"]
    assert watched.log.lines("error", "bad")
    assert not watched.log.lines("error", "good")


def test_a_tracker_that_raises_is_replaced_and_ids_are_not_used_again(trackers: dict[str, Any]) -> None:
    trackers["next"] = lambda: FakeTracker(fail_at=10)
    with Watched(World(bad="good", good="good")) as watched:
        watched.more("bad", 30)
        watched.more("good", 10)
        frames = settled(watched)
    assert frames["bad"]["dropped"]["error"] == 1
    ids = [result.tracks.ids[0] for result in watched.results["bad"]]
    assert len(set(ids)) == len(ids) > 30
    assert ids == sorted(ids)
    assert watched.supervisor.camera("bad").restarts == 1
    assert watched.supervisor.camera("good").restarts == 0


def test_a_stage_that_always_raises_is_failed_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = threading.Event()
    broken.set()
    update = Analyzer.update

    def fail(self: Analyzer, *args: Any) -> Any:
        if broken.is_set() and threading.current_thread().name == "track bad":
            raise RuntimeError("the analysis broke")
        return update(self, *args)

    monkeypatch.setattr(Analyzer, "update", fail)
    with Watched(World(bad="good", good="good")) as watched:
        wait_for(lambda: watched.state("bad") == ("failed", "error"))
        assert "the analysis broke" in watched.supervisor.status()["cameras"]["bad"]["detail"]
        watched.more("good")
        broken.clear()
        watched.more("bad")
        assert watched.state("bad") == ("up", "")
        settled(watched)


def test_a_tracker_that_hangs_holds_up_nobody_and_not_the_end(trackers: dict[str, Any]) -> None:
    free = threading.Event()
    trackers["next"] = lambda: FakeTracker(wait=free)
    with Watched(World(bad="good", good="good")) as watched:
        watched.more("good", 60)
        assert watched.count("bad") == 0
        assert not watched.supervisor.stop(1.0)
        frames = watched.supervisor.status()["cameras"]["bad"]["frames"]
        assert adds_up(frames)
        assert (frames["in_flight"], frames["processed"]) == (0, 0)
        free.set()
        wait_for(lambda: not any(thread.name == "track bad" for thread in threading.enumerate()))
        assert watched.count("bad") == 0, "nothing is published after the end"


def test_a_subscriber_that_raises_is_told_and_called_again() -> None:
    world = World(a="good")
    watched, seen = Watched(world), []

    def fail(result: Any) -> None:
        seen.append(result)
        raise RuntimeError("the disk broke")

    watched.supervisor.subscribe(fail)
    with watched:
        watched.more("a")
        assert len(seen) >= 29
        assert watched.supervisor.status()["callback_errors"] >= 29
        assert len(watched.log.lines("output")) == 5, "held back after that"


def test_overload_drops_and_latency_stays_within_the_budget() -> None:
    """Six cameras of 100 frames a second at a detector that takes 20 ms each: a twelfth of what is offered."""
    world = World(**{f"c{number}": "good" for number in range(6)})
    with Watched(world, FakeDetector(delay_s=0.02)) as watched:
        wait_for(lambda: all(watched.count(name) >= 12 for name in world.behaviour), 60.0)
        frames = settled(watched)
    processed = [each["processed"] for each in frames.values()]
    assert max(processed) - min(processed) <= 3, "even"
    for name, figures in frames.items():
        assert figures["dropped"]["late"] > figures["processed"]
        waits = sorted(result.latency_s for result in watched.results[name])
        assert waits[len(waits) // 2] < 0.5


def test_a_limited_rate_is_kept() -> None:
    world = World(a="good")
    watched = Watched(world)
    watched.supervisor.remove("a")
    watched.supervisor.add("a", CameraSettings(source="a", rate=10.0))
    with watched:
        watched.more("a", 20)
        results = watched.results["a"]
        span_s = results[-1].wall_s - results[0].wall_s
        assert (len(results) - 1) / span_s < 11
        assert settled(watched)["a"]["dropped"]["rate"] > 0


def test_cameras_come_and_go_at_run_time() -> None:
    world = World(a="good", b="good")
    with Watched(world) as watched:
        supervisor = watched.supervisor
        watched.more("a")
        world.behaviour["c"] = "good"
        supervisor.add("c", CameraSettings(source="c"))
        with pytest.raises(ConfigError, match="exists already"):
            supervisor.add("c", CameraSettings(source="c"))
        wait_for(lambda: len(watched.results.get("c", ())) > 10)
        state = supervisor.remove("b")
        assert adds_up(state["frames"])
        assert state["frames"]["in_flight"] == 0
        count = watched.count("b")
        supervisor.pause("a")
        assert watched.state("a")[0] == "paused"
        watched.more("c")
        assert watched.count("b") == count
        assert supervisor.names() == ["a", "c"]
        paused = watched.count("a")
        watched.more("c")
        assert watched.count("a") <= paused + 1
        supervisor.resume("a")
        watched.more("a")
        assert supervisor.latest("a").camera == "a"  # type: ignore[union-attr]
        with pytest.raises(KeyError):
            supervisor.pause("b")
        settled(watched)


def test_totals_zones_and_ids_go_on_after_a_restart(trackers: dict[str, Any]) -> None:
    world = World(a="good")
    with Watched(world) as before:
        before.more("a", 20)
        before.supervisor.stop(10.0)
        states = before.supervisor.states()
    assert states["a"]["last_id"] == before.count("a")
    after = Watched(world)
    after.supervisor.restore(states | {"gone": {}}, away_s=3.0)
    with after:
        after.more("a", 5)
        assert int(after.results["a"][0].tracks.ids[0]) == states["a"]["last_id"] + 1
        after.supervisor.stop(10.0)
        frames = after.supervisor.status()["cameras"]["a"]["frames"]
    assert frames["processed"] == before.count("a") + after.count("a")
    assert adds_up(frames)
    ruined = Watched(world)
    ruined.supervisor.restore({"a": {"frames": 3}}, away_s=3.0)
    assert ruined.log.lines("restore", "a")
    with ruined:
        ruined.more("a", 5)


def test_a_reload_touches_only_what_changed() -> None:
    world = World(a="good", b="good", c="good")
    with Watched(world) as watched:
        for name in ("a", "b", "c"):
            watched.more(name, 10)
        world.behaviour["d"] = "good"
        old = world.settings()
        cameras = {
            "a": old.cameras["a"], "b": CameraSettings(source="b", zones={"all": ZONE}), "d": old.cameras["d"],
        }  # fmt: skip
        lines = watched.supervisor.reload(old.model_copy(update={"cameras": cameras, "aspect": "1:1"}))
        assert sorted(lines) == [
            "'aspect' changed: restart the service for that", "camera 'b' changed", "camera 'c' removed",
            "camera 'd' added",
        ]  # fmt: skip
        watched.more("b")
        assert len(world.readers["a"]) == 1
        assert len(world.readers["b"]) == 2
        ids = [int(result.tracks.ids[0]) for result in watched.results["b"]]
        assert len(set(ids)) == len(ids), "the tracker is new, its ids are not used again"
        assert watched.supervisor.status()["cameras"]["b"]["counts"]["zones"]["all"]["entered"] > 0
        wrong = {"e": CameraSettings(source="e", zones={"z": ZONE.model_copy(update={"classes": ("cat",)})})}
        with pytest.raises(ConfigError, match="knows no class 'cat'"):
            watched.supervisor.reload(old.model_copy(update={"cameras": wrong}))
        assert watched.supervisor.names() == ["a", "b", "d"]


def test_a_detector_that_is_gone_ends_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FATAL_S", 0.2)
    with Watched(World(a="good", b="good"), FakeDetector(poison=64)) as watched:

        def gone() -> bool:
            try:
                watched.supervisor.check()
            except TrackerError as error:
                assert "the detector broke" in str(error)
                return True
            return False

        wait_for(gone)
        frames = settled(watched)
    assert all(set(each["dropped"]) <= {"error", "late", "stale", "stopped"} for each in frames.values())


def test_a_disabled_camera_is_known_and_not_opened() -> None:
    world = World(a="good")
    watched = Watched(world)
    watched.supervisor.add("b", CameraSettings(source="b", enabled=False, password_env="NO_SUCH"))
    with watched:
        watched.more("a")
        assert watched.state("b")[0] == "paused"
        assert "b" not in world.readers
