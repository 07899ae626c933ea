from __future__ import annotations

import numpy as np
import pytest

from tests.analyze.scenes import CLASSES, SIZE, SQUARE, analyzer, clock, told, tracks, watch
from tracker.analyze import Analyzer, ZoneSettings


def square(**changes: object):
    return analyzer({"yard": SQUARE.model_copy(update=changes)})


def through(t: float) -> tuple[float, float]:
    """From left to right through the square, 400 to 600: in at 2 s, out at 6 s."""
    return 300 + 50 * t, 500


def test_a_walk_through_enters_and_exits_at_its_moments() -> None:
    one = square()
    events = watch(one, {1: through}, clock(9))
    assert told(events) == ["enter", "exit"]
    assert [event.time_s for event in events] == pytest.approx([2, 6], abs=1e-3)
    assert events[1].value == pytest.approx(4, abs=1e-3)
    assert (events[1].label, events[1].box) == ("left", pytest.approx((580 + 25, 480, 620 + 25, 520), abs=3))
    assert one.counts()["zones"]["yard"] == {
        "entered": 1,
        "exited": 1,
        "occupancy": 0,
        "classes": {"person": {"entered": 1, "exited": 1, "occupancy": 0}},
    }


def test_events_are_told_after_the_hold_not_before() -> None:
    one = square(hold_s=0.5)
    assert watch(one, {1: through}, clock(2.4)) == []
    assert told(watch(one, {1: through}, clock(2.6, start_s=2.44))) == ["enter"]


def test_appearing_inside_counts_as_entered() -> None:
    events = watch(square(), {1: lambda t: (500, 500) if t >= 1 else None}, clock(3))
    assert [(event.kind, event.time_s) for event in events] == [("enter", 1.0)]


def test_a_moment_inside_is_no_entry() -> None:
    """A box that jumps into the zone for one frame, as a wrong match does, rings no alarm."""
    events = watch(square(), {1: lambda t: (500, 500) if abs(t - 1) < 0.01 else (300, 500)}, clock(4))
    assert events == []


def test_trembling_on_the_border_enters_once_and_stays() -> None:
    shake = np.random.default_rng(5).uniform(-3.5, 3.5, 6000)  # margin: 0.1 of 40 pixels

    def path(t: float) -> tuple[float, float]:
        return float(np.interp(t, (0, 4, 6, 30, 32), (300, 450, 400, 400, 300))) + shake[round(25 * t)], 500

    events = watch(square(), {1: path}, clock(35))
    assert told(events) == ["enter", "exit"]
    assert events[1].time_s > 29


def test_trembling_on_the_border_from_outside_does_not_enter() -> None:
    shake = np.random.default_rng(6).uniform(-3.5, 3.5, 2600)
    events = watch(square(), {1: lambda t: (min(300 + 50 * t, 400) + shake[round(25 * t)], 500)}, clock(30))
    assert events == []


def test_a_step_beyond_the_border_is_no_exit_until_it_is_clear() -> None:
    """Three pixels outside for seconds, of a box of 40: still in; eight: out, since it passed the border."""
    stops, places = (0, 1, 2, 3, 6, 7, 9), (500, 500, 590, 603, 603, 608, 608)
    one = square()
    path = {1: lambda t: (float(np.interp(t, stops, places)), 500)}
    assert told(watch(one, path, clock(6.0))) == ["enter"]
    events = watch(one, path, clock(9, start_s=6.04))
    assert [(event.kind, event.time_s) for event in events] == [("exit", pytest.approx(2.77, abs=0.01))]


def test_never_in_while_it_walks_past_the_border() -> None:
    assert watch(square(), {1: lambda t: (300 + 50 * t, 605)}, clock(9)) == []


def test_a_lost_track_leaves_after_the_time_out_and_left_when_last_seen() -> None:
    one = square(lost_s=2)
    path = {1: lambda t: (500, 500) if t <= 5 else None}
    assert told(watch(one, path, clock(6.96))) == ["enter"]
    events = watch(one, path, clock(8, start_s=7))
    assert [(event.kind, event.label, event.time_s, event.value) for event in events] == [("exit", "lost", 5.0, 5.0)]
    assert one.counts()["zones"]["yard"]["occupancy"] == 0


def test_a_short_gap_changes_nothing() -> None:
    events = watch(square(lost_s=2, dwell_s=4.0), {1: lambda t: None if 2 < t < 3.9 else (500, 500)}, clock(6))
    assert [(event.kind, event.time_s) for event in events] == [("enter", 0.0), ("dwell", 4.0)]


def test_ids_that_flicker_are_one_stay() -> None:
    """A new id every 0.4 s, with frames missed between: one entry, one dwell, never two inside."""
    one = square(dwell_s=5.0)
    events, most = [], 0
    for index, time_s in enumerate(clock(8)):
        seen = [] if index % 10 in (8, 9) else [(1 + index // 10, 480 + 5 * time_s, 500.0)]
        events += one.update(tracks(*seen), time_s)
        most = max(most, one.counts()["zones"]["yard"]["occupancy"])
    assert told(events) == ["enter", "dwell"]
    assert most == 1


def test_two_ids_taking_turns_on_one_object_are_one_stay() -> None:
    """The detector says car, truck, car, truck; a tracker that matches within a class makes two tracks of it."""
    one = square(dwell_s=3.0)
    events = []
    for index, time_s in enumerate(clock(6)):
        events += one.update(tracks((1 + index % 2, 500, 500), classes=(1 + index % 2,)), time_s)
    assert told(events) == ["enter", "dwell"]


def test_two_objects_side_by_side_are_two() -> None:
    one = square()
    watch(one, {1: lambda t: (460, 500), 2: lambda t: (540, 500)}, clock(2))
    assert one.counts()["zones"]["yard"]["occupancy"] == 2


def test_a_walker_hidden_for_a_moment_is_looked_for_where_it_would_be() -> None:
    """A new id after 0.8 s behind a pillar, 64 pixels on: more than the box is wide."""
    paths = {1: lambda t: (410 + 80 * t, 500) if t < 1 else None, 2: lambda t: (410 + 80 * t, 500) if t > 1.8 else None}
    events = watch(square(), paths, clock(5))
    assert [(event.kind, event.track_id) for event in events] == [("enter", 1), ("exit", 2)]


def test_of_two_that_were_lost_the_one_of_its_class_goes_on() -> None:
    one = square()
    for time_s in clock(1):
        one.update(tracks((1, 480, 500), (2, 500, 500), classes=(1, 0)), time_s)
    events = []
    for time_s in clock(6, start_s=1.2):
        events += one.update(tracks((3, 488, 500), classes=(0,)), time_s)
    assert [(event.kind, event.class_name, event.label) for event in events] == [("exit", "car", "lost")]


def test_another_one_far_from_where_the_lost_one_was_is_another_one() -> None:
    paths = {1: lambda t: (420, 500) if t < 2 else None, 2: lambda t: (580, 500) if t > 2.2 else None}
    events = watch(square(), paths, clock(6))
    assert sorted((event.kind, event.track_id) for event in events) == [("enter", 1), ("enter", 2), ("exit", 1)]


def test_a_hole_in_the_stream_is_no_absence() -> None:
    """The camera was away for a minute; the parked car has another id after it, and goes on parking."""
    one = square(dwell_s=30.0)
    events = watch(one, {1: lambda t: (500, 500)}, clock(5))
    events += watch(one, {}, clock(66, start_s=65))  # the tracker needs a second to be sure again
    events += watch(one, {2: lambda t: (500, 500)}, clock(70, start_s=66.04))
    assert [(event.kind, event.track_id) for event in events] == [("enter", 1), ("dwell", 2)]


def test_dwell_is_told_once_a_stay_and_again_in_the_next() -> None:
    def path(t: float) -> tuple[float, float]:
        return (500, 500) if t % 10 < 6 else (300, 500)

    events = watch(square(dwell_s=3.0), {1: path}, clock(20))
    assert [event.kind for event in events] == ["enter", "dwell", "exit"] * 2
    assert events[1].value == 3.0


def test_a_dwell_between_two_frames_is_told_at_the_exit() -> None:
    """One frame in 4 s: in at 2 s, out at 6 s, and the stay of 3.5 s ends before a frame could show it."""
    one = square(dwell_s=3.5, hold_s=0.1)
    events = watch(one, {1: through}, [0, 4, 8])
    assert [(event.kind, round(event.time_s, 6)) for event in events] == [("enter", 2), ("dwell", 5.5), ("exit", 6)]


def test_a_leap_over_the_zone_counts_if_the_way_through_took_long_enough() -> None:
    """Never seen inside; on the straight path it was there for 4 s of 8."""
    for hold_s, kinds in ((1.0, ["enter", "exit"]), (5.0, [])):
        events = watch(square(hold_s=hold_s), {1: through}, [0, 8, 16])
        assert told(events) == kinds


def test_occupancy_over_the_limit_is_told_once_and_when_it_is_over() -> None:
    one = square(max_occupancy=1)
    paths = {1: lambda t: (440, 500), 2: lambda t: (560, 500) if 2 <= t <= 5 else (800, 500)}
    events = [event for event in watch(one, paths, clock(8)) if event.kind == "occupancy"]
    assert [(event.label, event.value, event.track_id) for event in events] == [
        ("exceeded", 2.0, None),
        ("cleared", 1.0, None),
    ]


def test_only_wanted_classes_are_in() -> None:
    one = square(classes=("car",))
    for time_s in clock(2):
        one.update(tracks((1, 450, 500), (2, 550, 500), classes=(0, 1)), time_s)
    assert one.counts()["zones"]["yard"]["classes"] == {"car": {"entered": 1, "exited": 0, "occupancy": 1}}


def test_a_foot_below_the_picture_stands_in_a_zone_that_reaches_its_border() -> None:
    """Boxes of the filter reach beyond the picture, and those of the detector end exactly on its border."""
    zone = ZoneSettings(polygon=((0, 0.5), (1, 0.5), (1, 1), (0, 1)))
    for foot in (1000, 1020):
        one = analyzer({"front": zone})
        watch(one, {1: lambda t, foot=foot: (500, foot - 100)}, clock(2), box=(80, 200))
        assert one.counts()["zones"]["front"]["occupancy"] == 1


def test_a_concave_zone_is_left_and_entered_through_its_notch() -> None:
    """A U: through both arms, with the notch between."""
    corners = ((0.2, 0.2), (0.4, 0.2), (0.4, 0.6), (0.6, 0.6), (0.6, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
    one = analyzer({"u": ZoneSettings(polygon=corners, anchor="centre")})
    events = watch(one, {1: lambda t: (100 + 100 * t, 400)}, clock(8.5))
    assert told(events) == ["enter", "exit"] * 2
    assert [event.time_s for event in events] == pytest.approx([1, 3, 5, 7], abs=1e-3)


def test_zones_overlap_without_knowing_each_other() -> None:
    other = ZoneSettings(polygon=((0.5, 0.4), (0.9, 0.4), (0.9, 0.6), (0.5, 0.6)), anchor="centre")
    one = analyzer({"yard": SQUARE, "lane": other})
    events = watch(one, {1: through}, clock(14))
    assert [(event.kind, event.place) for event in events] == [
        ("enter", "yard"),
        ("enter", "lane"),
        ("exit", "yard"),
        ("exit", "lane"),
    ]


def test_another_resolution_in_mid_stream_moves_nothing() -> None:
    """At 3 s the camera sends half the size in both directions, at 5 s another shape; tracks keep their ids."""
    sizes = {0: SIZE, 3: (500, 500), 5: (800, 400)}
    one = Analyzer({"yard": SQUARE}, {}, CLASSES)
    events = []
    for time_s in clock(9):
        size = sizes[max(start for start in sizes if start <= time_s)]
        x, y = (part * to / 1000 for part, to in zip(through(time_s), size, strict=True))
        events += one.update(tracks((1, x, y), box=(0.04 * size[0], 0.04 * size[1])), time_s, size)
    assert [(event.kind, round(event.time_s, 2)) for event in events] == [("enter", 2.0), ("exit", 6.0)]


def test_ids_that_change_with_the_resolution_are_still_one_stay() -> None:
    """Boxes jump in pixels, so a tracker begins anew."""
    one = Analyzer({"yard": SQUARE.model_copy(update={"dwell_s": 4.0})}, {}, CLASSES)
    events = []
    for time_s in clock(6):
        size = 1000 if time_s < 3 else 400
        row = (1 + (time_s >= 3), 0.5 * size, 0.5 * size)
        events += one.update(tracks(row, box=(0.04 * size, 0.04 * size)), time_s, (size, size))
    assert [(event.kind, event.track_id) for event in events] == [("enter", 1), ("dwell", 2)]
