"""A reader that cannot keep up passes over what waits, in place of falling ever further behind."""

from __future__ import annotations

import time
from contextlib import closing

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture.servers import Camera
from tracker.capture.halt import Halt
from tracker.capture.lag import BEHIND_S, Lag
from tracker.capture.live import LiveReader
from tracker.capture.loss import Patience
from tracker.capture.report import Report

STEP_S, GROUP = 0.04, 25


def play(cost_s: float, seconds: float, *, drift: float = 0.0, stall: tuple[float, float] = (0.0, 0.0)) -> list[float]:
    """Read a simulated camera of 25 pictures a second; a key frame each second; true lags of what was decoded.

    cost_s: of decoding a picture. drift: of the camera's clock against ours. stall: (when, how long) nothing arrives,
    then all of it at once.
    """
    lag, now_s, began_s, lags = Lag(STEP_S), 0.0, None, []
    for number in range(round(seconds / STEP_S)):
        made_s = number * STEP_S
        comes_s = stall[0] + stall[1] if stall[0] <= made_s < stall[0] + stall[1] else made_s
        waited_s = max(0.0, comes_s - now_s)
        now_s = max(now_s, comes_s)
        if lag.passes_over(waited_s, now_s, stands_alone=number % GROUP == 0):
            continue
        now_s += cost_s
        began_s = now_s if began_s is None else began_s
        lag.picture(now_s - began_s - made_s * (1 + drift))
        lags.append(now_s - made_s)
    return lags


def test_who_keeps_up_decodes_everything_and_has_no_lag() -> None:
    assert len(play(0.005, 60.0)) == 1500


def test_a_drifting_clock_is_no_lag() -> None:
    """A camera whose clock is 2 % slow is 12 s off after ten minutes."""
    assert len(play(0.005, 600.0, drift=-0.02)) == len(play(0.005, 600.0, drift=0.02)) == 15000


@given(cost_s=st.floats(0.042, 0.5))
@settings(max_examples=25, deadline=None)
def test_who_cannot_keep_up_stays_at_a_flat_lag(cost_s: float) -> None:
    lags = play(cost_s, 600.0)
    assert 100 < len(lags) < 15000
    assert max(lags) < BEHIND_S + 8 * cost_s + 0.1
    assert max(lags[len(lags) // 2 :]) <= max(lags[: len(lags) // 2]) + cost_s


def test_after_a_hole_in_the_network_it_is_at_the_edge_again() -> None:
    lags = play(0.01, 60.0, stall=(10.0, 3.0))
    assert len(lags) > 1350, "what came late is mostly decoded: it is quicker than the camera"
    assert max(lags[-1000:]) < 0.05


def test_a_stream_without_times_counts_by_the_clock() -> None:
    lag, dropped, now_s = Lag(0.0, timed=False), 0, 0.0
    for number in range(200):
        now_s += 0.05
        waited_s = 0.04 if number < 5 else 0.0
        dropped += lag.passes_over(waited_s, now_s, stands_alone=True)
        lag.picture(0.0)
    assert dropped > 150
    assert not lag.passes_over(0.04, now_s, stands_alone=True), "it has caught up"


def test_a_slow_reader_of_a_real_stream_drops_and_says_so() -> None:
    report = Report()
    with Camera(rate=50) as camera:
        reader = LiveReader(camera.url, report, Patience(read_s=2.0))
        with closing(reader.frames(Halt())) as frames:
            until = time.monotonic() + 20
            while not report.dropped.get("behind") and time.monotonic() < until:
                next(frames)
                time.sleep(0.1)
    assert report.dropped["behind"] > 0
