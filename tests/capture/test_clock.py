"""From timestamps to seconds: exact where they are good, never decreasing where they are not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from tracker.capture.clock import FileClock, LiveClock, in_order
from tracker.capture.report import Report

MS = Fraction(1, 1000)


def file_times(ticks: list[int | None], durations: list[int] | None = None) -> tuple[list[float], int]:
    report = Report()
    clock = FileClock(MS, Fraction(25), report)
    durations = durations or [40] * len(ticks)
    return [clock.time_s(tick, each) for tick, each in zip(ticks, durations, strict=True)], report.repaired_timestamps


def test_good_timestamps_are_taken_as_they_are() -> None:
    assert file_times([500, 540, 545, 900]) == ([0.0, 0.04, 0.045, 0.4], 0)


def test_one_missing_or_backward_timestamp_does_not_move_the_others() -> None:
    assert file_times([0, 40, None, 120]) == ([0.0, 0.04, 0.08, 0.12], 1)
    assert file_times([0, 40, 10, 120]) == ([0.0, 0.04, 0.08, 0.12], 1)
    assert file_times([None, 40, 80]) == ([0.0, 0.04, 0.08], 1)


def test_joined_recordings_go_on() -> None:
    """The second part begins at 0 again, and keeps its own rhythm."""
    times, repaired = file_times([0, 1000, 2000, 0, 30, 100])
    np.testing.assert_allclose(times, [0.0, 1.0, 2.0, 2.04, 2.07, 2.14])
    assert repaired == 1


def test_equal_timestamps_are_no_error() -> None:
    assert file_times([0, 40, 40, 80]) == ([0.0, 0.04, 0.04, 0.08], 0)


def test_missing_timestamps_follow_the_duration_of_the_picture() -> None:
    np.testing.assert_allclose(file_times([0, None, None], [100, 20, 0])[0], [0.0, 0.1, 0.12])
    np.testing.assert_allclose(file_times([None, None, None], [0, 0, 0])[0], [0.0, 0.04, 0.08])


def test_gaps_of_a_steady_stream_are_counted_and_those_of_another_are_not() -> None:
    clock = FileClock(MS, Fraction(25), Report())
    for index in [*range(10), *range(13, 30)]:
        clock.time_s(40 * index)
    assert clock.missing() == 3
    for index in range(30, 60, 3):
        clock.time_s(40 * index)
    assert clock.missing() == 0


def test_times_out_of_order_are_sorted_within_the_window() -> None:
    ticks = [1, 3, 4, 2, 7, 6, 8, 5, 10, 11, 9, 12]
    assert list(in_order(zip("abcdefghijkl", ticks, strict=True), 8)) == list(
        zip("abcdefghijkl", range(1, 13), strict=True)
    )
    assert list(in_order(zip("ab", (5, 3), strict=True), 0)) == [("a", 5), ("b", 3)]
    assert list(in_order([("a", 2), ("b", None), ("c", 1)], 8)) == [("a", 2), ("b", None), ("c", 1)]


class Live:
    """A LiveClock in milliseconds."""

    def __init__(self) -> None:
        self.report = Report()
        self.clock = LiveClock(self.report)

    def __call__(self, ticks: int | None, arrival_s: float, step_s: float = 0.04) -> float:
        return round(self.clock.time_s(ticks, MS, arrival_s, step_s), 6)


def test_jitter_of_the_network_does_not_move_live_times() -> None:
    live = Live()
    assert [live(tick, at) for tick, at in ((9000, 5.0), (9040, 5.3), (9080, 5.3), (9120, 5.31))] == [
        0,
        0.04,
        0.08,
        0.12,
    ]


def test_a_new_connection_is_placed_by_its_arrival() -> None:
    live = Live()
    live(9000, 5.0), live(9040, 5.04)
    live.clock.reconnected()
    assert [live(77, 65.0), live(117, 65.9)] == [60.0, 60.04]
    assert live.report.repaired_timestamps == 0


def test_time_never_runs_back_over_a_reconnect() -> None:
    """HLS is handed over in bursts: its times are ahead of its arrival."""
    live = Live()
    live(0, 5.0), live(8000, 5.1)
    live.clock.reconnected()
    assert live(3, 5.5) == 8.04


def test_a_clock_that_is_set_starts_a_new_time_line() -> None:
    live = Live()
    times = [
        live(0, 5.0),
        live(40, 5.04),
        live(3_600_040, 5.08),
        live(3_600_080, 5.12),
        live(100, 5.16),
        live(140, 5.2),
    ]
    assert times == [0, 0.04, 0.08, 0.12, 0.16, 0.2]
    assert live.report.repaired_timestamps == 2


def test_a_camera_that_records_nothing_for_a_while_leaves_a_gap() -> None:
    live = Live()
    assert [live(0, 5.0), live(30_000, 35.0)] == [0, 30]
    assert live.report.repaired_timestamps == 0


def test_without_timestamps_arrival_counts() -> None:
    live = Live()
    assert [live(None, 5.0), live(None, 5.3), live(None, 5.3)] == [0, 0.3, 0.3]
