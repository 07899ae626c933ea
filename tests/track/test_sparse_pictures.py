"""Association across large gaps with pictures: looks, and a camera that was bumped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.fakes import detections
from tests.track.views import look, painted, seen, world
from tracker.config import SparseSettings
from tracker.errors import ConfigError
from tracker.structures import CONFIRMED, Detections, Frame, Tracks
from tracker.track import Sparse
from tracker.track.sparse_link import SparseLinker

Pictures = list[tuple[Detections, float, Frame]]
COLOURS = ((40, 40, 220), (220, 60, 30), (40, 200, 60), (30, 220, 230))
STEP_S = 20.0


def online(frames: Pictures, settings: SparseSettings) -> list[Tracks]:
    tracker = Sparse(settings)
    return [tracker.update(*one) for one in frames]


def offline(frames: Pictures, settings: SparseSettings) -> list[Tracks]:
    linker = SparseLinker(settings)
    for one in frames:
        linker.add(*one)
    return list(linker.tracks())


Way = Callable[[Pictures, SparseSettings], list[Tracks]]


@pytest.fixture(params=[online, offline], ids=["online", "offline"])
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


def workers(count: int = 60) -> tuple[Pictures, list[list[int]]]:
    """Four in overalls of their own who shuffle about by half a height; who is who, row by row."""
    frames, who = [], []
    for k in range(count):
        rng = np.random.default_rng(k)
        things = []
        for n, colour in enumerate(COLOURS):
            x, y = 60 + 34 * n + rng.normal(0, 22), 70 + rng.normal(0, 1)
            things.append(((x, y, x + 14, y + 40), colour, (90, 90, 90)))
        order = rng.permutation(4)
        rows = [(*things[n][0], 0.9, 0) for n in order]
        frames.append((detections(*rows), STEP_S * k, painted(*things, index=k)))
        who.append(order.tolist())
    return frames, who


def mistakes(tracks: list[Tracks], frames: Pictures, who: list[list[int]]) -> float:
    """Of the sights of one id after another, the share that are of another person than the last."""
    last: dict[int, int] = {}
    wrong = []
    for one, (found, *_), names in zip(tracks, frames, who, strict=True):
        for box, i in zip(one.boxes, one.ids.tolist(), strict=True):
            name = names[int(np.abs(found.boxes - box).max(1).argmin())]
            wrong += [last[i] != name] if i in last else []
            last[i] = name
    assert len(wrong) > 100
    return float(np.mean(wrong))


def test_looks_tell_who_is_who(way: Way) -> None:
    frames, who = workers()
    plain = mistakes(way(frames, SparseSettings(learn_scores=False, appearance="off")), frames, who)
    looked = mistakes(way(frames, SparseSettings(learn_scores=False)), frames, who)
    assert looked < 0.6 * plain
    assert plain > 0.2


def test_a_camera_that_was_bumped_is_followed(way: Way) -> None:
    """All that stands moves by more than its own width at once, and stays who it is."""
    image, frames = world(), []
    spots = np.array(((300, 300), (330, 300), (360, 310), (280, 320)), np.float64)
    for k in range(10):
        camera = look((320.0, 300.0) if k < 5 else (350.0, 300.0))
        corner = spots @ camera[:, :2].T + camera[:, 2]
        rows = [(x, y, x + 16, y + 32, 0.9, 0) for x, y in corner]
        frames.append((detections(*rows), STEP_S * k, seen(image, camera, k)))
    tracks = way(frames, SparseSettings(learn_scores=False, appearance="off"))
    assert {i for one in tracks for i in one.ids.tolist()} == {1, 2, 3, 4}
    for one, (found, *_) in zip(tracks, frames, strict=True):
        assert one.boxes[np.argsort(one.ids)] == pytest.approx(found.boxes, abs=0.5)


def test_an_appearance_that_cannot_be_had_is_refused(way: Way) -> None:
    with pytest.raises(ConfigError, match="appearance"):
        way([], SparseSettings(appearance="smell"))


def test_some_pictures_may_be_missing(way: Way) -> None:
    frames, _ = workers(8)
    half = [(found, time_s, None if k % 3 == 1 else frame) for k, (found, time_s, frame) in enumerate(frames)]
    tracks = way(half, SparseSettings(learn_scores=False))  # type: ignore[arg-type]
    assert [int((one.state == CONFIRMED).sum()) for one in tracks] == [4] * 8
