"""Whole videos: what is linked and what not, noise, and how the work grows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from tests.fakes import detections
from tests.track.scenes import NOTHING, SETTINGS, behind_a_pole, ids, linked, path_of, walk
from tracker.config import SteadySettings
from tracker.structures import CONFIRMED
from tracker.track import link as module
from tracker.track.looks import Looks
from tracker.track.steady import Steady
from tracker.track.tracklets import Path


def test_a_walker_behind_a_pole_is_one_track() -> None:
    frames = behind_a_pole(2.0)
    online = Steady()
    assert ids([online.update(*frame) for frame in frames]) == {1, 2}
    tracks = linked(frames)
    assert ids(tracks) == {1}
    assert [len(one) for one in tracks] == [len(found) for found, _ in frames]  # longer than offline_gap_s


@pytest.mark.parametrize("other", ["same", "size", "class", "far", "late", "back", "turned"])
def test_only_what_may_be_the_same_is_linked(other: str) -> None:
    changes = {"size": {"height": 150}, "class": {"label": 1}}.get(other, {})
    begin = 5.1 if other == "late" else 4.0
    frames = []
    for k in range(240):
        time_s = k / 30
        x = 100 + 60 * time_s + (70 if other == "far" else 0)
        x = 100 + 60 * 4 - 60 * (time_s - 4) if other == "back" else x
        x = 100 + 60 * 2 - 60 * (time_s - 2) if other == "turned" else x
        if time_s < 2:
            frames.append((walk(100 + 60 * time_s), time_s))
        else:
            frames.append((walk(x, **changes) if time_s >= begin else NOTHING, time_s))
    assert len(ids(linked(frames))) == (1 if other == "same" else 2)


def test_of_two_that_went_on_the_one_that_fits_better_is_linked() -> None:
    frames = []
    for k in range(180):
        time_s = k / 30
        shift = ((-9, 9), (7, 130))[0] if time_s < 2 else (4, 36)
        rows = [(100 + 60 * time_s + dx, 100 + dx, 140 + 60 * time_s + dx, 200 + dx, 0.9, 0) for dx in shift]
        rows = rows[1:] if time_s < 2 else rows
        frames.append((detections(*rows) if not 2 <= time_s < 3.5 else NOTHING, time_s))
    last = linked(frames)[-1]
    assert last.boxes[last.ids == 1, 0] == pytest.approx([100 + 60 * 179 / 30 + 4], abs=1)


def test_a_link_is_worth_less_the_longer_the_gap_and_the_worse_the_fit() -> None:
    path = path_of([1, 1, 1, 1], times=np.array([0.0, 1.0, 2.0, 1.0]))
    path.boxes[:] = (100, 100, 40, 100)
    path.boxes[3, 0] += 20
    still = path.boxes, np.zeros((4, 4))
    near, late, beside = module._continuity(path, still, np.zeros(3, np.int64), np.array([1, 2, 3]))
    assert near == pytest.approx(np.exp(-module.GAP_COST))
    assert late == pytest.approx(near**2)
    assert 0 < beside < late


def test_weak_detections_are_sights_too() -> None:
    frames = [(walk(100, score=0.4 if 20 <= k < 50 else 0.9), k / 30) for k in range(70)]
    tracks = linked(frames, SteadySettings(learn_scores=False))
    assert all(one.state.tolist() == [CONFIRMED] for one in tracks)
    assert tracks[30].scores == pytest.approx([0.4])


def test_one_sight_is_no_track_whatever_the_settings() -> None:
    settings = SteadySettings(learn_scores=False, offline_confirm=0.5)
    assert sum(map(len, linked([(walk(100), 0.0), (NOTHING, 0.1)], settings))) == 0


def test_the_one_to_one_choice_is_the_best() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        matrix = rng.random((6, 8)) * (rng.random((6, 8)) < 0.4)
        rows, columns = np.nonzero(matrix)
        shuffled = rng.permutation(len(rows))
        one, other = module._choose(rows[shuffled] * 10, columns[shuffled] * 7, matrix[rows, columns][shuffled])
        best = matrix[linear_sum_assignment(matrix, maximize=True)].sum()
        assert matrix[one // 10, other // 7].sum() == pytest.approx(best)
        assert len(set(one)) == len(set(other)) == len(one)
        assert np.all(matrix[one // 10, other // 7] > 0)


def test_pairs_are_looked_at_in_groups_with_one_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, frames = np.random.default_rng(4), []
    for k in range(400):
        rows = [(x, 100, x + 40, 200, 0.9, 0) for x in range(0, 2000, 100) if rng.random() < 0.9 and (k + x) % 70 < 30]
        frames.append((detections(*rows), k / 30))
    results = []
    for at_once in (1, 50, 10**9):
        monkeypatch.setattr(module, "LINK_AT_ONCE", at_once)
        results.append([(one.ids.tolist(), one.boxes.tolist()) for one in linked(frames)])
    assert results[0] == results[1] == results[2]
    assert len({identity for names, _ in results[0] for identity in names}) < 45


def test_tracks_begin_at_their_first_sight() -> None:
    """Where the online tracker waits for more evidence."""
    frames = [(walk(100 + k) if k >= 20 else NOTHING, k / 30) for k in range(60)]
    online = Steady()
    assert [len(online.update(*frame)) for frame in frames].index(1) > 20
    assert [len(one) for one in linked(frames)].index(1) == 20


@pytest.mark.parametrize(("sights", "score", "kept"), [(2, 0.6, False), (1, 0.9, False), (2, 0.95, True),
                                                       (9, 0.55, False), (9, 0.9, True)])  # fmt: skip
def test_what_has_too_little_evidence_is_dropped(sights: int, score: float, kept: bool) -> None:
    settings = SteadySettings(learn_scores=False)
    frames = [(walk(100, score=score) if 20 <= k < 20 + sights else NOTHING, k / 30) for k in range(60)]
    assert sum(map(len, linked(frames, settings))) == (sights if kept else 0)


def test_the_evidence_of_a_chain_counts_together() -> None:
    """Twice two sights of 0.8: neither half is worth a track, both are."""
    settings = SteadySettings(learn_scores=False)
    first, second = {20, 21}, {70, 71}
    for shown, count in ((first, 0), (second, 0), (first | second, 4)):
        frames = [(walk(100, score=0.8) if k in shown else NOTHING, k / 30) for k in range(100)]
        assert sum(map(len, linked(frames, settings))) == count


def flicker(count: int) -> Path:
    """What is seen twice every 1.3 s in one place, `count` times: one chain in which each may follow two others."""
    times = np.repeat(np.arange(count) * 1.3, 2) + np.tile([0.0, 0.07], count)
    path = path_of([2] * count, times=times)
    path.boxes[:] = (100, 100, 40, 100)
    return path


def test_a_chain_of_a_day_is_linked_in_little_memory() -> None:
    """As a matrix it would be 4000 x 4000."""
    import tracemalloc

    path = flicker(4000)
    tracemalloc.start()
    rows, columns = module._links(path, Looks(), SETTINGS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert columns.tolist() == (rows + 1).tolist()
    assert len(rows) == 3999
    assert peak < 30e6
    assert len(np.unique(module._joined(path, (rows, columns)).ids)) == 1


def test_work_grows_with_the_frames_not_with_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs looked at for links, by the length of the video."""
    looked, pairs = module._continuity, {}
    for count in (2000, 8000):
        pairs[count] = 0

        def counted(path, smooth, end, begin, count=count):
            pairs[count] += len(end)
            return looked(path, smooth, end, begin)

        monkeypatch.setattr(module, "_continuity", counted)
        module._links(flicker(count), Looks(), SETTINGS)
    assert pairs[2000] > 2000
    assert pairs[8000] < 4.2 * pairs[2000]
