"""Pictures seconds to hours apart, online and offline: what is the same, what is real, and what always holds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.fakes import detections
from tests.track.scenes import NOTHING, Frames, ids, walk
from tracker.config import SparseSettings
from tracker.structures import CONFIRMED, LOST, Detections, Tracks
from tracker.track import Sparse, make_tracker
from tracker.track.sparse_link import SparseLinker
from tracker.track.whole import link_whole

PLAIN = SparseSettings(learn_scores=False)


def online(frames: Frames, settings: SparseSettings = PLAIN) -> list[Tracks]:
    tracker = Sparse(settings)
    return [tracker.update(*frame) for frame in frames]


def offline(frames: Frames, settings: SparseSettings = PLAIN) -> list[Tracks]:
    return list(link_whole(settings, frames))


Way = Callable[..., list[Tracks]]


@pytest.fixture(params=[online, offline], ids=["online", "offline"])
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


def both(*found: Detections) -> Detections:
    """The detections of several, in one picture."""
    return Detections(
        np.concatenate([one.boxes for one in found]),
        np.concatenate([one.scores for one in found]),
        np.concatenate([one.class_ids for one in found]),
    )


def street(k: int, count: int = 12) -> Detections:
    """Parked objects of two classes that are missed at times, and passers-by that are there once."""
    rng = np.random.default_rng(k)
    place = np.random.default_rng(1).uniform(0, 1500, (count, 2)) + rng.normal(0, 2, (count, 2))
    passing = rng.uniform(0, 1500, (3, 2))
    corner = np.concatenate((place[rng.random(count) < 0.8], passing))
    boxes = np.concatenate((corner, corner + np.array([50, 100])), 1).astype(np.float32)
    return Detections(boxes, rng.uniform(0.4, 1, len(boxes)).astype(np.float32), np.arange(len(boxes)) % 2)


def of(tracks: Tracks, x: float) -> int:
    """The id of the one whose left side is at x, give or take 20."""
    (row,) = np.flatnonzero(np.abs(tracks.boxes[:, 0] - x) < 20)
    return int(tracks.ids[row])


def test_its_name_chooses_it() -> None:
    made = make_tracker(SparseSettings(remember=7))
    assert isinstance(made, Sparse)
    assert made.settings.remember == 7


@pytest.mark.parametrize("step_s", [1.0, 60.0, 3600.0])
def test_what_stands_is_one_track_at_any_pace(way: Way, step_s: float) -> None:
    frames = [(both(walk(100 + k % 3), walk(600 - k % 2, 300)), k * step_s) for k in range(12)]
    tracks = way(frames)
    assert ids(tracks) == {1, 2}
    assert all(len(one) == 2 for one in tracks)


@pytest.mark.parametrize("step_s", [1.0, 60.0, 3600.0])
def test_what_is_gone_is_not_what_comes_elsewhere(way: Way, step_s: float) -> None:
    """A picture wide enough that the place means something: four others stand in its corners."""
    corners = [walk(x, y) for x in (0, 1900) for y in (0, 1000)]
    frames = [(both(walk(300 if k < 4 else 1400, 500), *corners), k * step_s) for k in range(8)]
    tracks = way(frames)
    assert of(tracks[0], 300) == of(tracks[3], 300) != of(tracks[4], 1400) == of(tracks[7], 1400)


def test_two_that_walk_side_by_side_keep_their_ids(way: Way) -> None:
    """A picture a second, 0.6 heights a second: more than they are apart."""
    frames = [(both(walk(100 + 60 * k), walk(150 + 60 * k)), float(k)) for k in range(15)]
    tracks = way(frames)
    first, last = tracks[3], tracks[-1]
    assert of(first, 280) == of(last, 940)
    assert of(first, 330) == of(last, 990)


def test_what_was_parked_behind_a_lorry_is_known_again(way: Way) -> None:
    hidden = range(6, 20)
    others = both(walk(900, 400), walk(1500, 700))
    frames = [(others if k in hidden else both(walk(200), others), 60.0 * k) for k in range(26)]
    tracks = way(frames)
    assert of(tracks[0], 200) == of(tracks[-1], 200)
    assert ids(way(frames, SparseSettings(learn_scores=False, remember=5))) == {1, 2, 3, 4}


def test_a_place_taken_by_another_class_is_another_track(way: Way) -> None:
    frames = [(walk(100, label=int(k >= 3)), float(k)) for k in range(6)]
    tracks = way(frames)
    assert len(ids(tracks)) == 2
    assert {(i, c) for one in tracks for i, c in zip(one.ids.tolist(), one.class_ids.tolist(), strict=True)} == {
        (1, 0), (2, 1),
    }  # fmt: skip


def test_sure_single_sights_are_shown_and_weak_ones_are_not(way: Way) -> None:
    frames = [(NOTHING, 0.0), (walk(100, score=0.9), 60.0), (NOTHING, 120.0), (walk(800, score=0.3), 180.0)]
    assert [len(one) for one in way(frames)] == [0, 1, 0, 0]


def test_what_stood_before_and_after_is_shown_while_it_was_missed() -> None:
    frames = [(NOTHING if k in (3, 4) else walk(100 + k), 10.0 * k) for k in range(8)]
    tracks = offline(frames)
    assert [one.state.tolist() for one in tracks] == [[CONFIRMED]] * 3 + [[LOST]] * 2 + [[CONFIRMED]] * 3
    assert [round(float(one.boxes[0, 0])) for one in tracks] == list(range(100, 108))
    assert [one.missed_s.tolist() for one in tracks][2:6] == [[0.0], [10.0], [20.0], [0.0]]


def test_a_place_that_another_took_is_not_filled() -> None:
    """Behind something of its class a car is not shown, beside it it is."""
    for lorry, shown in ((walk(115), 1), (walk(400), 2)):
        frames = [(lorry if k in (3, 4) else both(walk(100), lorry), 60.0 * k) for k in range(8)]
        assert [len(one) for one in offline(frames)] == [2] * 3 + [shown] * 2 + [2] * 3


@pytest.mark.parametrize("learn", [True, False])
def test_what_always_holds(way: Way, learn: bool) -> None:
    """Ids are unique in a picture, one of a class for ever; what is seen is what was detected."""
    frames = [(street(k), 7.0 * k) for k in range(25)]
    tracks = way(frames, SparseSettings(learn_scores=learn))
    assert len(tracks) == len(frames)
    classes: dict[int, int] = {}
    for one, (found, _) in zip(tracks, frames, strict=True):
        assert len(set(one.ids.tolist())) == len(one)
        for i, label in zip(one.ids.tolist(), one.class_ids.tolist(), strict=True):
            assert classes.setdefault(i, label) == label
        seen = one.boxes[one.state == CONFIRMED]
        nearest = np.abs(seen[:, None] - found.boxes[None]).max(2).min(1)
        assert (nearest < 0.01).all()
    assert len(classes) > 12
    again = way(frames, SparseSettings(learn_scores=learn))
    assert [one.ids.tolist() for one in again] == [one.ids.tolist() for one in tracks]


def test_ids_never_come_back() -> None:
    tracker = Sparse(SparseSettings(learn_scores=False, max_missed=0, remember=0, max_lost_s=0))
    seen: list[int] = []
    for k in range(20):
        new = tracker.update(walk(100) if k % 2 == 0 else NOTHING, 100.0 * k).ids.tolist()
        assert not set(new) & set(seen)
        seen += new
        assert len(tracker.all()) <= 1
    assert len(seen) == 10


def test_nothing_at_all(way: Way) -> None:
    assert way([]) == []
    assert [len(one) for one in way([(NOTHING, 0.0)] * 3)] == [0, 0, 0]
    weird = detections((5, 5, 5, 9, 0.9, 0), (0, 0, np.inf, 10, 0.9, 0), (1, 1, 9, 9, np.nan, 0))
    assert [len(one) for one in way([(weird, 0.0), (NOTHING, 1.0), (weird, 1.0)])] == [0, 0, 0]


def test_duplicate_pictures_are_one_time(way: Way) -> None:
    frames = [(both(walk(100), walk(400)), float(k // 2)) for k in range(8)]
    assert ids(way(frames)) == {1, 2}


def test_time_never_goes_back(way: Way) -> None:
    with pytest.raises(ValueError, match="backwards"):
        way([(walk(100), 5.0), (walk(100), 4.0)])


def test_the_work_grows_with_the_number_of_boxes_not_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair costs the same whatever the crowd, so pairs are counted."""
    import tracker.track.sparse_link as module

    def pairs(side: int) -> int:
        x, y = np.meshgrid(np.arange(side) * 60.0, np.arange(side) * 120.0)
        corner = np.column_stack((x.ravel(), y.ravel()))
        boxes = np.concatenate((corner, corner + np.array((40, 100))), 1).astype(np.float32)
        found = Detections(boxes, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int64))
        counts: list[int] = []
        real = module.candidates

        def counted(*args: object) -> object:
            result = real(*args)  # type: ignore[arg-type]
            counts.append(len(result[0]))
            return result

        with monkeypatch.context() as patch:
            patch.setattr(module, "candidates", counted)
            tracks = offline([(found, 60.0 * k) for k in range(3)])
        assert ids(tracks) == set(range(1, side * side + 1))
        return sum(counts)

    small, large = pairs(20), pairs(40)
    assert large < 4.5 * small


def test_the_linker_takes_pictures_one_by_one() -> None:
    linker = SparseLinker(PLAIN)
    for k in range(4):
        linker.add(walk(100), 60.0 * k)
    assert [one.ids.tolist() for one in linker.tracks()] == [[1]] * 4


def test_pairs_in_small_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import tracker.track.sparse_link as module

    frames = [(street(k), 7.0 * k) for k in range(12)]
    whole = offline(frames)
    monkeypatch.setattr(module, "AT_ONCE", 17)
    assert [one.ids.tolist() for one in offline(frames)] == [one.ids.tolist() for one in whole]
