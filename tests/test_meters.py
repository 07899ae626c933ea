"""Percentiles within the width of a bin; the bottleneck by share of its threads' time."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.meters import Histogram, Meters, Rate


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_percentiles_are_within_5_per_cent(share: float) -> None:
    durations = np.random.default_rng(0).lognormal(-5, 1, 5000)
    histogram = Histogram()
    for seconds in durations:
        histogram.add(float(seconds))
    assert histogram.percentile(share) == pytest.approx(np.quantile(durations, share), rel=0.06)


def test_zero_and_huge_durations_are_counted() -> None:
    histogram = Histogram()
    histogram.add(0.0)
    histogram.add(1e9)
    assert histogram.count == 2
    assert Histogram().percentile(0.5) == 0.0


def test_bottleneck_divides_by_threads() -> None:
    """Four detector threads busy for 8 s in all are less of a bottleneck than one writer busy for 3 s."""
    meters = Meters()
    meters.observe("infer", 8.0)
    meters.observe("encode", 3.0)
    assert meters.bottleneck({"detect": (("infer",), 4), "write": (("encode",), 1)}) == "write"
    assert meters.bottleneck({"detect": (("infer",), 2), "write": (("encode",), 1)}) == "detect"


def test_rate_over_a_window() -> None:
    rate = Rate(0.0)
    for k in range(1, 200):
        shown = rate.tick(k / 50)
    assert shown == pytest.approx(50, rel=0.02)


def test_a_burst_at_the_start_is_not_a_rate() -> None:
    """Frames that were read ahead come out together; the time they took lies before the first of them."""
    rate = Rate(0.0)
    rate.tick(0.5)
    assert rate.tick(0.5001) == pytest.approx(4, rel=0.01)
