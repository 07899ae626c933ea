"""Our own tracker with pictures: the camera's motion is taken out, looks decide where places do not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.fakes import FakeDetector, ListSource, RecordingSink, detections
from tests.track.scenes import NOTHING, crowd, walk
from tests.track.views import WIDTH, look, painted, seen, world
from tracker.config import SteadySettings, make_settings, parse_assignments
from tracker.pipeline import Pipeline
from tracker.structures import Detections, Frame, Tracks
from tracker.track import ByteTrack, OcSort, Sort, Steady
from tracker.track.cues import NO_CUES, Cues
from tracker.track.link import Linker
from tracker.track.motion import CameraMotion

RED, BLUE, GREEN = (40, 40, 200), (190, 60, 40), (60, 160, 60)
PLAIN = {"learn_scores": False, "warm_s": 0.05}


def panned(k: int, turned: float) -> tuple[Frame, Detections]:
    """Two who stand in the world before a camera that has turned by so many pixels."""
    x = 450 + turned
    rows = [(left - x + WIDTH / 2, 70, left - x + WIDTH / 2 + 30, 150, 0.9, 0) for left in (420, 500)]
    return seen(world(), look((x, 400)), k), detections(*rows)


def test_who_stands_before_a_camera_that_jerks_stands() -> None:
    """With pictures the two keep their ids and have no speed; without, they are taken for others or for each other."""
    for pictures in (True, False):
        tracker, told = Steady(SteadySettings(**PLAIN)), []
        for k, turned in enumerate((0, 70, 5, 80, 75, -10, 60)):
            frame, found = panned(k, turned)
            tracker.update(found, k / 10, frame if pictures else None)
            told.append(tracker.assigned[0].tolist())
        assert (told == [[1, 2]] * 7) == pictures
        if pictures:
            assert np.abs(tracker._table["mean"][:, 4:6]).max() < 10  # of 700 pixels a second


def test_what_coasts_goes_with_the_camera() -> None:
    tracker = Steady(SteadySettings(**PLAIN, coast_s=1.0))
    for k in range(5):
        frame, found = panned(k, 20 * k)
        before = tracker.update(found, k / 10, frame).boxes
    frame, _ = panned(5, 100)
    coasting = tracker.update(NOTHING, 0.5, frame)
    assert coasting.ids.tolist() == [1, 2]
    assert coasting.boxes - before == pytest.approx(np.tile((-20, 0, -20, 0), (2, 1)), abs=1.5)


def test_camera_motion_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CameraMotion, "follow", lambda self, frame, boxes: pytest.fail("the picture was looked at"))
    tracker = Steady(SteadySettings(camera_motion="off"))
    tracker.update(walk(100), 0.0, panned(0, 0)[0])


@pytest.mark.parametrize("appearance", ["auto", "off"])
def test_pictures_of_a_camera_that_stands_change_nothing(appearance: str) -> None:
    """Bit for bit."""
    with_, without = Steady(SteadySettings(appearance=appearance)), Steady()
    image = world()
    for k in range(40):
        one = with_.update(crowd(k), k / 30, seen(image, look((600, 400)), k, 2.0))
        other = without.update(crowd(k), k / 30)
        assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("ids", "boxes", "scores"))


def test_a_crossing_is_settled_by_looks() -> None:
    """Two meet, turn back, and are seen again where each might be the other: only their looks tell."""
    for appearance in ("colour", "off"):
        tracker, ends = Steady(SteadySettings(**PLAIN, appearance=appearance, camera_motion="off")), []
        for k in range(40):
            x = 40 + 4 * min(k, 20) - 4 * max(0, k - 20)
            one, other = (x, 40, x + 30, 140), (240 - x, 40, 270 - x, 140)
            frame = painted((one, RED, BLUE), (other, GREEN, (200, 200, 200)))
            hidden = 17 <= k <= 23
            found = NOTHING if hidden else detections((*one, 0.9, 0), (*other, 0.9, 0))
            tracker.update(found, k / 10, frame)
            if not hidden:
                ends.append(tracker.assigned[0].tolist())
        assert ends[0] == ends[16] == [1, 2]
        assert (ends[-1] == [1, 2]) == (appearance == "colour")


def away(gap_s: float, colours=(RED, BLUE), shift: float = 60.0, **settings: object) -> list[int]:
    """Somebody is seen for 3 s beside another, is gone for `gap_s`, comes back `shift` pixels on: the ids then."""
    tracker = Steady(SteadySettings(**(PLAIN | {"appearance": "colour", "camera_motion": "off"} | settings)))
    still = (250.0, 40.0, 280.0, 140.0)
    steps = round(10 * gap_s)
    for k in range(30 + steps + 1):
        x = 40.0 + (shift if k == 30 + steps else 0)
        box, shown = (x, 40.0, x + 30, 140.0), k < 30 or k == 30 + steps
        clothes = (RED, BLUE) if k < 30 else colours
        things = [(still, GREEN, (200, 200, 200)), *([(box, *clothes)] if shown else [])]
        rows = [(*still, 0.9, 0), *([(*box, 0.9, 0)] if shown else [])]
        tracker.update(detections(*rows), k / 10, painted(*things))
    return tracker.assigned[0].tolist()


@pytest.mark.parametrize(
    ("how", "known"),
    [
        ({"gap_s": 3}, True),
        ({"gap_s": 5.9}, True),
        ({"gap_s": 6.2}, False),
        ({"gap_s": 6.2, "remember_s": 10}, True),
        ({"gap_s": 3, "remember_s": 2}, False),
        ({"gap_s": 3, "colours": (BLUE, GREEN)}, False),
        ({"gap_s": 3, "appearance": "off"}, False),
        ({"gap_s": 1.5, "shift": 140}, False),
        ({"gap_s": 3, "shift": 140}, True),
    ],
)
def test_who_comes_back_is_known_by_looks_near_enough_for_the_time(how: dict, known: bool) -> None:
    assert away(**how) == ([1, 2] if known else [1, 3])


def test_with_looks_too_a_step_longer_than_max_lost_s_is_bridged() -> None:
    """At one picture in two seconds a track seen in the last one is not a lost one."""
    tracker = Steady(SteadySettings(**PLAIN, appearance="colour"))
    box = (100.0, 40.0, 130.0, 140.0)
    for k in range(4):
        tracks = tracker.update(detections((*box, 0.9, 0)), 2.0 * k, painted((box, RED, BLUE)))
    assert tracks.ids.tolist() == [1]


def test_an_unknown_look_neither_helps_nor_harms() -> None:
    """Vectors of zeros, and pictures that come and go: as without, but for the time that tracks are remembered."""
    one, other = Steady(SteadySettings(remember_s=0)), Steady()
    for k in range(60):
        found = crowd(k)
        cues = NO_CUES if k % 3 else Cues(None, np.zeros((len(found), 7), np.float32))
        ours, theirs = one.advance(found, k / 30, cues), other.update(found, k / 30)
        assert ours.ids.tolist() == theirs.ids.tolist() and np.array_equal(ours.boxes, theirs.boxes)


@pytest.mark.parametrize("tracker", [Sort, ByteTrack, OcSort])
def test_the_others_take_a_picture_and_leave_it(tracker: type) -> None:
    one, other = tracker(), tracker()
    for k in range(30):
        ours, theirs = one.update(crowd(k), k / 30, painted()), other.update(crowd(k), k / 30)
        assert ours.ids.tolist() == theirs.ids.tolist() and np.array_equal(ours.boxes, theirs.boxes)


def test_the_pipeline_hands_the_picture_on() -> None:
    class Recording:
        def __init__(self) -> None:
            self.frames: list[tuple[int, float]] = []

        def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
            assert frame is not None and frame.time_s == time_s
            self.frames.append((frame.index, time_s))
            return Tracks.empty()

        def all(self) -> Tracks:
            return Tracks.empty()

    tracker = Recording()
    Pipeline(ListSource(9), FakeDetector(), tracker, RecordingSink(), stride=4).run()
    assert [index for index, _ in tracker.frames] == [0, 4, 8]


def test_a_bare_off_in_yaml_is_off() -> None:
    given = parse_assignments(("tracker.appearance=off", "tracker.camera_motion=off"))
    settings = make_settings(None, given).tracker
    assert (settings.appearance, settings.camera_motion) == ("off", "off")


def test_the_association_alone_needs_no_opencv() -> None:
    code = "import sys; from tracker.track import Steady; Steady(); print('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def followed(gap: range, colours=(RED, BLUE), **settings: object) -> list[Tracks]:
    """The whole video of two before a camera that turns, one of them unseen for a while."""
    linker, image = Linker(SteadySettings(**(PLAIN | settings))), world()
    for k in range(90):
        x = 500 + 3 * k
        places = [(left - x + WIDTH / 2, 60, left - x + WIDTH / 2 + 24, 140) for left in (560 + k, 640)]
        view = seen(image, look((x, 400)), k).bgr.copy()
        for place, clothes in zip(places, ((RED, BLUE) if k < gap.start else colours, (GREEN, RED)), strict=True):
            left, right = (min(max(round(side), 0), WIDTH) for side in (place[0], place[2]))
            view[60:100, left:right], view[100:140, left:right] = clothes
        rows = [(*place, 0.9, 0) for n, place in enumerate(places) if (n or k not in gap) and 0 < place[0] < WIDTH - 24]
        linker.add(detections(*rows), k / 15, Frame.from_bgr(k, k / 15, view))
    return list(linker.tracks())


def test_a_gap_is_filled_where_the_object_stood_in_the_picture_of_each_frame() -> None:
    """It walks in the world while the camera turns; its boxes are where the picture has them."""
    tracks = followed(range(20, 32))
    for k in range(1, 60):
        x = 500 + 3 * k
        left = tracks[k].boxes[tracks[k].ids == 1, 0]
        assert left == pytest.approx([560 + k - x + WIDTH / 2], abs=1.5)
    assert {name for one in tracks for name in one.ids.tolist()} == {1, 2}


def test_offline_looks_count_unless_switched_off() -> None:
    """Whoever comes out where the other was due is dressed otherwise."""
    for appearance, count in (("auto", 3), ("colour", 3), ("off", 2)):
        tracks = followed(range(20, 44), colours=((200, 60, 180), (60, 200, 220)), appearance=appearance)
        assert len({name for one in tracks for name in one.ids.tolist()}) == count
