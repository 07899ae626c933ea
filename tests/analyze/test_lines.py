from __future__ import annotations

import numpy as np
import pytest

from tests.analyze.scenes import FENCE, analyzer, clock, told, tracks, watch
from tracker.structures import TENTATIVE, Tracks


def fence(**changes: object):
    return analyzer(lines={"fence": FENCE.model_copy(update=changes)})


def test_a_walk_across_is_one_crossing_at_its_moment() -> None:
    one = fence()
    events = watch(one, {1: lambda t: (500, 400 + 50 * t)}, clock(4))
    assert told(events) == ["cross in"]
    assert events[0].time_s == pytest.approx(2.0, abs=1e-3)
    assert (events[0].track_id, events[0].class_name, events[0].place, events[0].label) == (1, "person", "fence", "in")
    assert one.counts()["lines"]["fence"] == {"in": 1, "out": 0, "classes": {"person": {"in": 1, "out": 0}}}


def test_the_other_way_is_out_and_directions_have_names() -> None:
    events = watch(fence(names=("south", "north")), {1: lambda t: (500, 600 - 50 * t)}, clock(4))
    assert [(event.direction, event.label) for event in events] == [("out", "north")]


def test_there_and_back_counts_both_ways_each_time() -> None:
    events = watch(fence(), {1: lambda t: (500, 500 - 100 * np.cos(np.pi * t))}, clock(4))
    assert told(events) == ["cross in", "cross out"] * 2


def test_trembling_on_the_line_never_counts_twice() -> None:
    """A box that waits on the line, as at a stop sign, trembles over it for a while; then it goes on."""
    shake = np.random.default_rng(3).uniform(-5.5, 5.5, 4000)  # margin: 0.15 of 40 pixels

    def path(t: float) -> tuple[float, float]:
        if t < 2:
            return 500, 400 + 50 * t
        return 500, 500 + shake[round(25 * t)] + (50 * (t - 22) if t > 22 else 0)

    assert told(watch(fence(), {1: path}, clock(25))) == ["cross in"]


def test_trembling_wider_than_the_margin_does_not_hold() -> None:
    """Single frames far on the other side, and back: neither a crossing nor one in the opposite direction."""
    flick = [400.0] * 20 + [600.0] + [400.0] * 20 + [600.0] + [400.0] * 20
    one = fence()
    events = [event for index, y in enumerate(flick) for event in one.update(tracks((1, 500, y)), index / 25)]
    assert events == []


def test_a_real_turn_back_counts_again() -> None:
    stops = [(0, 400), (1, 450), (2, 550), (4, 550), (5, 450), (7, 450), (8, 550), (10, 600)]
    times, places = zip(*stops, strict=True)
    events = watch(fence(), {1: lambda t: (500, float(np.interp(t, times, places)))}, clock(10))
    assert told(events) == ["cross in", "cross out", "cross in"]


def test_born_on_the_line_it_gets_a_side_and_does_not_cross() -> None:
    for start in (497, 500, 503):
        assert watch(fence(), {1: lambda t, start=start: (500, start + 50 * t)}, clock(2)) == []
        assert watch(fence(), {1: lambda t, start=start: (500, start - 50 * t)}, clock(2)) == []


def test_born_on_the_line_it_crosses_when_it_comes_back() -> None:
    stops, places = (0, 2, 4), (500, 600, 400)
    events = watch(fence(), {1: lambda t: (500, float(np.interp(t, stops, places)))}, clock(5))
    assert told(events) == ["cross out"]


@pytest.mark.parametrize("x", [100, 195, 805, 950])
def test_beyond_the_ends_is_no_crossing(x: float) -> None:
    assert watch(fence(), {1: lambda t: (x, 400 + 50 * t)}, clock(4)) == []


def test_round_the_end_and_back_through_counts_the_way_back_only() -> None:
    corners = [(500, 400), (900, 400), (900, 600), (500, 600), (500, 400)]

    def path(t: float) -> tuple[float, float]:
        leg = min(int(t / 2), 3)
        share = min(t / 2 - leg, 1)
        (x0, y0), (x1, y1) = corners[leg], corners[leg + 1]
        return x0 + share * (x1 - x0), y0 + share * (y1 - y0)

    assert told(watch(fence(), {1: path}, clock(9))) == ["cross out"]


def test_a_slanting_jump_meets_the_line_where_the_path_does() -> None:
    """From (0, 400) to (400, 600) in one frame: through (200, 500), the very end; 10 pixels left of it: beside."""
    for shift, crossings in ((1, 1), (-10, 0)):
        one = fence()
        one.update(tracks((1, shift, 400)), 0.0)
        events = one.update(tracks((1, 400 + shift, 600)), 1.0)
        assert len(events) == crossings


def test_too_fast_for_the_rate_still_crosses() -> None:
    """Two frames in all, one on each side."""
    one = fence()
    one.update(tracks((1, 500, 100)), 0.0)
    events = one.update(tracks((1, 500, 900)), 0.5)
    assert told(events) == ["cross in"]
    assert events[0].time_s == pytest.approx(0.25)


def test_hidden_while_it_crosses() -> None:
    events = watch(fence(), {1: lambda t: None if 1 < t < 2.5 else (500, 400 + 60 * t)}, clock(4))
    assert told(events) == ["cross in"]


def test_predicted_places_prove_nothing() -> None:
    """A coasting box drifts over the line; the object, seen again, had turned back."""
    one = fence()
    assert watch(one, {1: lambda t: (500, 400 + 80 * t)}, clock(1)) == []
    for index in range(10):
        assert one.update(tracks((1, 500, 490 + 8 * index), missed_s=0.1 * (index + 1)), 1.1 + index / 10) == []
    assert watch(one, {1: lambda t: (500, 470)}, clock(4, start_s=2.2)) == []


def test_tentative_tracks_do_not_count() -> None:
    one = fence()
    for index in range(20):
        row = tracks((1, 500, 400 + 10 * index))
        tentative = np.full(1, TENTATIVE, np.int64)
        row = Tracks(row.ids, row.boxes, row.scores, row.class_ids, row.missed_s, tentative)
        assert one.update(row, index / 25) == []


def test_vanishing_right_behind_a_door_has_crossed() -> None:
    """Seen beyond the line for less than `hold_s`, then never again."""
    path = {1: lambda t: (500, 400 + 100 * t) if t <= 1.12 else None}
    assert watch(fence(), path, clock(2)) == []
    events = watch(one := fence(), path, clock(8))
    assert told(events) == ["cross in"]
    assert events[0].time_s == pytest.approx(1.0, abs=1e-3)
    assert one.counts()["lines"]["fence"]["in"] == 1


def test_an_id_that_changes_on_the_line_neither_doubles_nor_loses_the_count() -> None:
    """The detector falters at the line and the tracker gives a new id every 0.4 s; one object, one crossing."""
    one = fence()
    events = []
    for index, time_s in enumerate(clock(6)):
        seen = [] if index % 10 in (8, 9) else [(1 + index // 10, 500.0, 440 + 20 * time_s)]
        events += one.update(tracks(*seen), time_s)
    assert told(events) == ["cross in"]


def test_without_rejoining_ids_that_change_lose_the_count() -> None:
    """What the test before would show if the hand-over did nothing."""
    one = analyzer(lines={"fence": FENCE}, rejoin_s=0)
    events = []
    for index, time_s in enumerate(clock(6)):
        events += one.update(tracks((1 + index // 3, 500.0, 440 + 20 * time_s)), time_s)
    assert events == []


def test_only_wanted_classes_count_and_a_class_is_the_one_seen_most() -> None:
    one = fence(classes=("car",))
    events = []
    for index, time_s in enumerate(clock(4)):
        y = 400 + 50 * time_s
        flicker = 2 if index % 4 == 0 else 1  # a car that is now and then called a truck
        events += one.update(tracks((1, 400, y), (2, 600, y), classes=(flicker, 0)), time_s)
    assert [(event.track_id, event.class_name) for event in events] == [(1, "car")]
    assert one.counts()["lines"]["fence"]["classes"] == {"car": {"in": 1, "out": 0}}


def test_tracks_do_not_share_what_is_known_of_them() -> None:
    """Two objects on opposite sides, taking turns in being seen: nobody crosses."""
    one = fence()
    for index in range(100):
        row = (1, 400, 400) if index % 2 else (2, 600, 600)
        assert one.update(tracks(row), index / 25) == []


def test_foot_and_centre_differ() -> None:
    tall = (40.0, 200.0)
    for anchor, moment in (("foot", 1.0), ("centre", 3.0)):
        events = watch(fence(anchor=anchor), {1: lambda t: (500, 350 + 50 * t)}, clock(6), box=tall)
        assert [round(event.time_s, 2) for event in events] == [moment]


def test_the_margin_goes_with_the_size_of_the_box() -> None:
    """30 pixels beyond the line are far for a small box and nothing for a large one."""
    for box, crossings in (((40.0, 40.0), 1), ((400.0, 400.0), 0)):
        path = {1: lambda t: (500, 400 + min(130, 50 * t))}
        assert len(watch(fence(), path, clock(8), box=box)) == crossings
