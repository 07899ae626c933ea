from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from tests.analyze.scenes import CLASSES, FENCE, SIZE, SQUARE, analyzer, clock, told, tracks, watch
from tracker.analyze import Analyzer, LineSettings, ZoneSettings
from tracker.structures import Tracks

INSIDE = {1: lambda t: (500.0, 500.0)}


def test_events_are_ready_for_json() -> None:
    one = analyzer({"yard": SQUARE.model_copy(update={"max_occupancy": 0})}, {"fence": FENCE})
    events = watch(one, {1: lambda t: (500, 300 + 100 * t)}, clock(5))
    assert {event.kind for event in events} == {"enter", "exit", "cross", "occupancy"}
    for event in events:
        text = json.loads(json.dumps(event.as_dict()))
        assert (text["kind"], text["place"], text["track_id"]) == (event.kind, event.place, event.track_id)


def test_events_of_a_frame_come_in_order_of_time() -> None:
    """One jump through a zone and a line after it."""
    zone = SQUARE.model_copy(update={"hold_s": 0.0})
    one = analyzer({"yard": zone}, {"fence": LineSettings(start=(0.3, 0.7), end=(0.7, 0.7), anchor="centre")})
    one.update(tracks((1, 500, 100)), 0.0)
    events = one.update(tracks((1, 500, 900)), 1.0)
    assert told(events) == ["enter", "exit", "cross in"]
    assert [event.time_s for event in events] == pytest.approx([0.375, 0.625, 0.75])


def test_time_must_not_run_backwards_and_a_refused_frame_changes_nothing() -> None:
    one = analyzer({"yard": SQUARE})
    watch(one, INSIDE, clock(1))
    before = one.state()
    with pytest.raises(ValueError, match="backwards"):
        one.update(Tracks.empty(), 0.5)
    with pytest.raises(ValueError, match="class_ids"):
        one.update(tracks((1, 500, 500), classes=(7,)), 2.0)
    with pytest.raises(ValueError, match="size"):
        one.update(Tracks.empty(), 2.0, (0, 0))
    assert one.state() == before


def test_without_a_size_nothing_can_be_told() -> None:
    with pytest.raises(ValueError, match="never told"):
        Analyzer({"yard": SQUARE}, {}, CLASSES).update(Tracks.empty(), 0.0)


def test_two_frames_of_one_time_are_taken() -> None:
    one = analyzer({"yard": SQUARE.model_copy(update={"hold_s": 0.0})}, {"fence": FENCE})
    for y in (400, 520, 520, 640):
        one.update(tracks((1, 500, y)), 1.0)
    one.update(tracks((1, 500, 640)), 2.0)
    assert one.counts()["lines"]["fence"]["in"] == 1


def test_nothing_to_watch_tells_nothing() -> None:
    one = analyzer()
    assert watch(one, INSIDE, clock(2)) == []
    assert one.counts() == {"zones": {}, "lines": {}}
    assert one.shapes(100, 100) == []


def test_memory_is_bounded_by_those_seen_of_late() -> None:
    """New ids, one each second: what was seen is forgotten."""
    one = analyzer({"yard": SQUARE}, {"fence": FENCE}, rejoin_s=0)
    for index in range(600):
        one.update(tracks((index + 1, 500, 450 + 100 * (index % 2))), float(index))
    assert len(one._memory) < 15
    assert one.counts()["zones"]["yard"]["entered"] == 0  # each is seen once
    assert len(json.dumps(one.state())) < 2000


class TestRestart:
    """A new analyzer goes on with the state of one that ended, through JSON, on a clock that begins anew."""

    @staticmethod
    def restarted(one: Analyzer, away_s: float = 0.0, **zones: ZoneSettings) -> Analyzer:
        other = Analyzer(zones or {"yard": SQUARE}, {"fence": FENCE}, CLASSES, SIZE)
        other.restore(json.loads(json.dumps(one.state())), away_s)
        return other

    @staticmethod
    def first() -> Analyzer:
        """One inside, one gone through everything."""
        one = analyzer({"yard": SQUARE}, {"fence": FENCE})
        watch(one, {**INSIDE, 2: lambda t: (450, 200 + 100 * t)}, clock(7))
        return one

    def test_totals_go_on(self) -> None:
        one = self.first()
        other = self.restarted(one)
        assert other.counts() == one.counts()
        assert one.counts()["zones"]["yard"] == {
            "entered": 2,
            "exited": 1,
            "occupancy": 1,
            "classes": {"person": {"entered": 2, "exited": 1, "occupancy": 1}},
        }
        watch(other, {9: lambda t: (600, 300 + 100 * t)}, clock(5))
        assert other.counts()["lines"]["fence"]["in"] == 2

    def test_what_stayed_does_not_enter_again_and_its_stay_goes_on(self) -> None:
        dwell = SQUARE.model_copy(update={"dwell_s": 30.0})
        other = self.restarted(self.first(), away_s=20.0, yard=dwell)
        events = watch(other, {5: lambda t: (505, 498) if t > 0.5 else None}, clock(10))
        assert [(event.kind, event.track_id) for event in events] == [("dwell", 5)]  # 7 + 20 + 3 s
        assert events[0].time_s == pytest.approx(3.0)
        assert other.counts()["zones"]["yard"]["occupancy"] == 1

    def test_nothing_is_told_to_have_happened_before_the_start(self) -> None:
        dwell = SQUARE.model_copy(update={"dwell_s": 20.0})
        other = self.restarted(self.first(), away_s=60.0, yard=dwell)
        events = watch(other, {5: lambda t: (500, 500)}, clock(2))
        assert [(event.kind, event.time_s) for event in events] == [("dwell", 0.0)]

    def test_what_left_in_between_has_left(self) -> None:
        other = self.restarted(self.first())
        events = watch(other, {}, clock(4))
        assert [(event.kind, event.label, event.track_id, event.time_s) for event in events] == [
            ("exit", "lost", None, 0.0)
        ]
        assert other.counts()["zones"]["yard"]["occupancy"] == 0

    def test_a_restart_before_the_first_frame_loses_nobody(self) -> None:
        assert self.restarted(self.restarted(self.first())).state() == self.first().state()
        twice = self.restarted(self.restarted(self.first(), away_s=20), away_s=3).state()
        assert twice["tracks"][0]["stays"]["yard"]["stayed_s"] == pytest.approx(30)

    def test_zones_and_classes_that_are_no_more_are_left_out(self) -> None:
        one = self.first()
        other = Analyzer({"other": SQUARE}, {}, ("bicycle",), SIZE)
        other.restore(one.state())
        assert other.counts()["zones"]["other"]["occupancy"] == 0
        renamed = Analyzer({"yard": SQUARE}, {}, ("bicycle",), SIZE)
        renamed.restore(one.state())
        assert renamed.counts()["zones"]["yard"]["occupancy"] == 0  # a person that no detector will find again
        assert renamed.counts()["zones"]["yard"]["entered"] == 2

    def test_the_alarm_is_not_rung_again(self) -> None:
        crowded = SQUARE.model_copy(update={"max_occupancy": 0})
        other = self.restarted(self.first(), yard=crowded)
        assert watch(other, {5: lambda t: (500, 500)}, clock(3)) == []

    def test_a_state_of_something_else_is_refused(self) -> None:
        one = self.first()
        with pytest.raises(ValueError, match="version"):
            Analyzer({}, {}, CLASSES).restore({"version": 2})
        with pytest.raises(ValueError, match="fresh"):
            one.restore(one.state())


def test_shapes_are_in_pixels_with_names_and_counts() -> None:
    one = analyzer({"yard": SQUARE.model_copy(update={"max_occupancy": 0})}, {"fence": FENCE})
    watch(one, INSIDE, clock(1))
    yard, fence = one.shapes(200, 100)
    np.testing.assert_allclose(yard.points, [(80, 40), (120, 40), (120, 60), (80, 60)])
    assert (yard.kind, yard.name, yard.text, yard.alert, yard.arrow) == ("zone", "yard", "yard 1/0", True, None)
    assert yard.counts["occupancy"] == 1
    np.testing.assert_allclose(fence.points, [(40, 50), (160, 50)])
    assert (fence.kind, fence.text, fence.label_at) == ("line", "fence in 0 out 0", (100, 50))
    np.testing.assert_allclose(fence.arrow, [(100, 50), (100, 55)])  # downwards is in


def test_the_arrow_points_where_in_counts() -> None:
    """On a slanting line in a picture that is no square."""
    one = Analyzer({}, {"fence": LineSettings(start=(0.1, 0.8), end=(0.7, 0.3), anchor="centre")}, CLASSES, (1600, 900))
    arrow = one.shapes(1600, 900)[0].arrow
    assert arrow is not None
    way = (arrow[1] - arrow[0]) * 10
    for time_s in clock(2):
        one.update(tracks((1, *(arrow[0] + (time_s - 1) * way))), time_s)
    assert one.counts()["lines"]["fence"] == {"in": 1, "out": 0, "classes": {"person": {"in": 1, "out": 0}}}


def test_others_may_ask_while_it_works() -> None:
    one = analyzer({"yard": SQUARE}, {"fence": FENCE})
    wrong: list[object] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                zone = one.counts()["zones"]["yard"]
                one.shapes(100, 100)
                one.state()
                if zone["occupancy"] != zone["entered"] - zone["exited"]:
                    wrong.append(zone)
            except Exception as error:
                wrong.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        paths = {n: lambda t, n=n: (400 + 20 * n, 500 + 200 * np.sin(t * n)) for n in range(1, 10)}
        watch(one, paths, clock(10))
    finally:
        done.set()
        thread.join()
    assert wrong == []
    assert one.counts()["zones"]["yard"]["entered"] > 5
