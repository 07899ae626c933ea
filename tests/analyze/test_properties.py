"""What must hold for any movement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.analyze.scenes import CLASSES, SQUARE, analyzer, tracks
from tracker.analyze import Analyzer, Event, LineSettings, ZoneSettings
from tracker.analyze.memory import Array

FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CENTRE = np.array((2000.0, 2000.0))
L_SHAPE = np.array([(-300, -300), (300, -300), (300, 0), (0, 0), (0, 300), (-300, 300)], np.float64)
GATE = np.array([(-500, 50), (450, -80)], np.float64)

seeds = st.integers(0, 2**32 - 1)


def smooth_path(seed: int, length_s: float = 20.0, reach: float = 500.0) -> tuple[Array, Array]:
    """A slow random curve around the origin: times of a fine grid and places (K, 2)."""
    rng = np.random.default_rng(seed)
    times = np.arange(0, length_s, 0.01)
    waves = np.arange(1, 5)
    phase, size = rng.uniform(0, 2 * np.pi, (4, 2)), rng.normal(0, 1, (4, 2)) / waves[:, None]
    angles = 2 * np.pi * waves[None, :, None] * times[:, None, None] / length_s + phase
    return times, reach * (np.sin(angles) * size).sum(1)


def run(one: Analyzer, times: Array, places: Array, pick: Sequence[int] | Array) -> list[Event]:
    events = []
    for index in pick:
        events += one.update(tracks((1, *places[index])), float(times[index]))
    return events


def placed(turn: float, shift: Array) -> tuple[Analyzer, Array]:
    """The analyzer of the two shapes turned and shifted in a large picture, and the matrix of the turn."""
    matrix = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    corners, ends = (points @ matrix.T + CENTRE + shift for points in (L_SHAPE, GATE))
    picture = (4000, 4000)
    zone = ZoneSettings(polygon=tuple(map(tuple, corners.tolist())), picture=picture, anchor="centre", dwell_s=3.0)
    line = LineSettings(start=tuple(ends[0]), end=tuple(ends[1]), picture=picture, anchor="centre")
    return Analyzer({"yard": zone}, {"gate": line}, CLASSES, picture), matrix


@FEW
@given(seeds, st.floats(0, 2 * np.pi), st.floats(-700, 700), st.floats(-700, 700))
def test_a_scene_shifted_and_turned_tells_the_same(seed: int, turn: float, across: float, down: float) -> None:
    times, places = smooth_path(seed)
    shift = np.array((across, down))
    told = []
    for angle, offset in ((0.0, np.zeros(2)), (turn, shift)):
        one, matrix = placed(angle, offset)
        events = run(one, times, places @ matrix.T + CENTRE + offset, range(0, len(times), 10))
        told.append([(event.kind, event.direction, event.time_s, event.value) for event in events])
    still, moved = told
    assert [event[:2] for event in moved] == [event[:2] for event in still]
    np.testing.assert_allclose([event[2:] for event in moved], [event[2:] for event in still], atol=2e-2)


@FEW
@given(seeds, st.integers(3, 60))
def test_in_minus_out_is_the_change_of_side(seed: int, stride: int) -> None:
    """Of a line through the whole picture: whatever a track does between, at any rate."""
    line = LineSettings(start=(0, 0.5), end=(1, 0.5), anchor="centre")
    one = analyzer(lines={"gate": line}, rejoin_s=0)
    times, places = smooth_path(seed, reach=150)
    shake = np.random.default_rng(seed).normal(0, 5, places.shape)
    places = places + shake + 500
    places[:, 0] = places[:, 0].clip(1, 999)
    places[0], places[-1] = (500, 300), (500, 700 if seed % 2 else 300)
    picks = [*range(0, len(times) - 1, stride), len(times) - 1]
    run(one, times, places, picks)
    one.update(tracks((1, *places[-1])), float(times[-1]) + 1)
    counts = one.counts()["lines"]["gate"]
    assert counts["in"] - counts["out"] == seed % 2
    assert min(counts["in"], counts["out"]) >= 0


@FEW
@given(seeds)
def test_occupancy_adds_up_and_is_never_negative(seed: int) -> None:
    """Objects that jump about, flicker, change ids and classes, at irregular times, with holes in the stream."""
    rng = np.random.default_rng(seed)
    zone = SQUARE.model_copy(update={"hold_s": 0.1, "lost_s": 0.5, "classes": ("person", "car"), "max_occupancy": 2})
    one = analyzer({"yard": zone, "all": ZoneSettings(polygon=((0, 0), (1, 0), (1, 1), (0, 1)))})
    time_s, numbers, over = 0.0, np.arange(1, 9), False
    inside = {"yard": 0, "all": 0}
    for _ in range(200):
        time_s += float(rng.choice((0.0, 0.04, 0.2, 5.0), p=(0.05, 0.7, 0.2, 0.05)))
        numbers = np.where(rng.random(8) < 0.05, numbers.max() + 1 + np.arange(8), numbers)
        seen = numbers[rng.random(8) < 0.7]
        rows = [(int(number), *rng.normal(500, 90, 2)) for number in seen]
        for event in one.update(tracks(*rows, classes=rng.integers(0, 3, len(rows)).tolist()), time_s):
            inside[event.place] += {"enter": 1, "exit": -1}.get(event.kind, 0)
            over = event.label == "exceeded" if event.kind == "occupancy" else over
        for name, counts in one.counts()["zones"].items():
            assert counts["occupancy"] == inside[name] == counts["entered"] - counts["exited"]
            assert counts["occupancy"] == sum(part["occupancy"] for part in counts["classes"].values())
            assert all(part["occupancy"] >= 0 for part in counts["classes"].values())
            assert 0 <= counts["occupancy"] <= len(one._memory)
        assert over == (inside["yard"] > 2)


def clear_course(seed: int) -> tuple[list[float], Array]:
    """A course of straight legs between places that are clearly in or out, on one side or the other, with rests."""
    rng = np.random.default_rng(seed)
    stations = np.array([(200, 450), (520, 480), (800, 420), (560, 700), (460, 540), (200, 800)], np.float64)
    chosen = stations[rng.permutation(len(stations))][:4]
    times, places = [0.0], [chosen[0]]
    for station in chosen[1:]:
        times += [times[-1] + 1.6, times[-1] + 1.6 + rng.uniform(1.5, 3)]
        places += [places[-1], station]
    return [*times, times[-1] + 3], np.array([*places, places[-1]])


@FEW
@given(seeds)
def test_counts_do_not_depend_on_the_rate(seed: int) -> None:
    """From 30 frames a second to 2: the same events in the same order, at the same moments to half a frame or so."""
    corners, places = clear_course(seed)
    told: list[list[tuple[str, str, float]]] = []
    for rate in (30, 10, 2):
        zone = SQUARE.model_copy(update={"dwell_s": 1.2})
        one = analyzer({"yard": zone}, {"gate": LineSettings(start=(0.05, 0.6), end=(0.95, 0.62), anchor="centre")})
        events = []
        for index in range(int(corners[-1] * rate) + 1):
            x, y = (float(np.interp(index / rate, corners, places[:, axis])) for axis in (0, 1))
            events += one.update(tracks((1, x, y)), index / rate)
        told.append([(event.kind, event.direction, event.time_s) for event in events])
    for other in told[1:]:
        assert sorted(event[:2] for event in other) == sorted(event[:2] for event in told[0])
        for mine, theirs in zip(sorted(told[0]), sorted(other), strict=True):
            assert mine[2] == pytest.approx(theirs[2], abs=0.6)


@FEW
@given(seeds)
def test_the_order_of_tracks_in_a_frame_means_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    line = LineSettings(start=(0, 0.5), end=(1, 0.5), anchor="centre")
    pair = [analyzer({"yard": SQUARE}, {"gate": line}) for _ in range(2)]
    places = rng.normal(500, 120, (6, 2))
    for index in range(60):
        places = places + rng.normal(0, 25, (6, 2))
        rows = [(number + 1, *place) for number, place in enumerate(places.tolist()) if rng.random() < 0.9]
        mixed = [rows[position] for position in rng.permutation(len(rows))]
        one, other = (
            single.update(tracks(*order), index / 10) for single, order in zip(pair, (rows, mixed), strict=True)
        )
        key = [sorted((e.time_s, e.kind, e.place, e.track_id or 0) for e in events) for events in (one, other)]
        assert key[0] == key[1]
    assert pair[0].counts() == pair[1].counts()
