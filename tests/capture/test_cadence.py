"""Ordinary video or sparse footage: from pictures, from times, from detections."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.capture.clips import Clip
from tests.fakes import detections
from tracker.capture import open_source
from tracker.capture.cadence import Probe, probe
from tracker.capture.sample import probe_file, probe_pictures
from tracker.errors import SourceError
from tracker.structures import Detections, Frame

WIDTH, HEIGHT = 320, 180
Place = Callable[[int, int], tuple[float, float]]


def texture(seed: int, width: int, height: int) -> np.ndarray:
    """Blotches of a few pixels, which corners can be found on."""
    coarse = np.random.default_rng(seed).integers(20, 236, (height // 4 + 1, width // 4 + 1), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def scene(count: int, place: Place, *, size: int = 36, things: int = 3, camera: int = 0) -> list[np.ndarray]:
    """(H, W, 3) pictures of textured things before a textured wall; `camera`: pixels that it shakes."""
    wall = texture(0, WIDTH + 2 * camera, HEIGHT + 2 * camera)
    shifts = np.random.default_rng(9).integers(0, 2 * camera + 1, (count, 2))
    pictures = []
    for index in range(count):
        picture = wall.copy()
        for thing in range(things):
            x, y = (round(value) + camera for value in place(index, thing))
            picture[y : y + size, x : x + size] = texture(1 + thing, size, size)
        left, top = shifts[index]
        pictures.append(cv2.cvtColor(picture[top : top + HEIGHT, left : left + WIDTH], cv2.COLOR_GRAY2BGR))
    return pictures


def walk(index: int, thing: int) -> tuple[float, float]:
    return 20 + 2.0 * index, 10 + 55 * thing


def leap(index: int, thing: int) -> tuple[float, float]:
    rng = np.random.default_rng(100 * index + thing)
    return rng.uniform(10, WIDTH - 60), rng.uniform(10, HEIGHT - 60)


def frames(pictures: Sequence[np.ndarray], step_s: float = 0.04) -> list[Frame]:
    return [Frame.from_bgr(index, index * step_s, bgr) for index, bgr in enumerate(pictures)]


@pytest.mark.parametrize("count", [5, 12, 24])
def test_what_moves_is_video_and_what_leaps_is_sparse(count: int) -> None:
    video, sparse = (probe(frames(scene(count, place))) for place in (walk, leap))
    assert (video.mode, sparse.mode) == ("video", "timelapse")
    assert video.figures["score"] < 0.7 and sparse.figures["score"] > 1.2
    assert video.figures["lost"] < 0.2 and sparse.figures["lost"] > 0.5
    assert video.figures["decorrelation"] < 0.6 and sparse.figures["decorrelation"] > 0.8


def test_a_shaking_camera_is_neither_made_sparse_nor_hides_it() -> None:
    assert probe(frames(scene(24, walk, camera=6))).mode == "video"
    assert probe(frames(scene(24, leap, camera=6))).mode == "timelapse"


def test_hard_cuts_are_not_sparse() -> None:
    pictures = scene(24, walk, things=1)
    for start, turned in ((5, np.flipud), (11, np.fliplr), (17, np.flipud)):
        pictures[start:] = [np.ascontiguousarray(turned(bgr)) for bgr in pictures[start:]]
    found = probe(frames(pictures))
    assert found.mode == "video" and found.figures["lost"] < 0.2


def test_slow_motion_is_video_and_repeated_pictures_of_sparse_footage_hide_nothing() -> None:
    for place, mode in ((walk, "video"), (leap, "timelapse")):
        found = probe(frames([bgr for bgr in scene(16, place) for _ in range(4)]))
        # The first picture of a run has none before it that it could repeat.
        assert found.mode == mode and found.figures["repeated"] >= 40
        assert any("repeat" in text for text in found.evidence)


@pytest.mark.parametrize("kind", ["still", "grain", "noise", "one"])
def test_where_nothing_can_be_told_it_is_video_and_says_so(kind: str) -> None:
    rng = np.random.default_rng(1)
    still = scene(1, walk)[0]
    pictures = {
        "still": [still] * 20,
        "grain": [np.clip(still + rng.normal(0, 10, still.shape), 0, 255).astype(np.uint8) for _ in range(20)],
        "noise": [rng.integers(0, 256, (4 * HEIGHT, 4 * WIDTH, 3), np.uint8) for _ in range(20)],
        "one": [still],
    }[kind]
    found = probe(frames(pictures))
    assert found.mode == "video" and found.figures["score"] == 0
    assert "too little changes" in found.line


def test_no_picture_at_all() -> None:
    found = probe([])
    assert (found.mode, found.figures["pictures"], found.figures["gap_s"]) == ("video", 0, None)


def test_flicker_of_a_lamp_is_not_sparse() -> None:
    pictures = [(bgr * (1.0 if index % 2 else 0.6)).astype(np.uint8) for index, bgr in enumerate(scene(24, walk))]
    found = probe(frames(pictures))
    assert found.mode == "video" and found.figures["jump"] > 20


def test_exposure_that_shifts_the_whole_picture_is_taken_out() -> None:
    steady = [bgr // 2 for bgr in scene(24, walk)]
    shifted = [bgr + np.uint8(60 * (index % 2)) for index, bgr in enumerate(steady)]
    one, other = (probe(frames(pictures)).figures for pictures in (steady, shifted))
    assert other["decorrelation"] == pytest.approx(one["decorrelation"], abs=0.02)
    assert other["lost"] == pytest.approx(one["lost"], abs=0.05) and other["jump"] > 40


@pytest.mark.parametrize(("step_s", "mode"), [(1.9, "video"), (2.0, "timelapse"), (60.0, "timelapse")])
def test_pictures_seconds_apart_are_sparse_whatever_is_in_them(step_s: float, mode: str) -> None:
    found = probe(frames(scene(20, walk), step_s))
    assert found.mode == mode
    assert found.figures["gap_s"] == pytest.approx(step_s)
    assert (f"every {step_s:.3g} s" in found.line) == (mode == "timelapse")


def test_true_times_of_a_quick_sender_outweigh_the_pictures() -> None:
    pictures = frames(scene(20, leap), 0.1)
    assert probe(pictures, true_times=True).mode == "video"
    assert probe(pictures).mode == "timelapse"


def test_bursts_with_pauses_are_sparse_by_true_times() -> None:
    times_s = [3600 * (index // 4) + 0.3 * (index % 4) for index in range(16)]
    bursts = [
        Frame.from_bgr(i, time_s, bgr) for (i, time_s), bgr in zip(enumerate(times_s), scene(16, walk), strict=True)
    ]
    assert probe(bursts, true_times=True).mode == "timelapse"
    assert probe(bursts).mode == "video"


def test_feeding_ends_by_itself() -> None:
    taken = []
    still = scene(1, walk)[0]

    def endless(pictures: list[np.ndarray]):
        index = 0
        while True:
            taken.append(index)
            yield Frame.from_bgr(index, index * 0.04, pictures[index % len(pictures)])
            index += 1

    assert probe(endless([still])).mode == "video" and len(taken) == 120
    taken.clear()
    assert probe(endless(scene(32, walk))).mode == "video" and len(taken) <= 32


class Boxes:
    """A detector that knows."""

    class_names = ("thing",)

    def __init__(self, boxes: Callable[[int], Sequence[tuple[float, float]]]) -> None:
        self.boxes = boxes

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        return [detections(*((x, y, x + 20, y + 20, 0.9, 0) for x, y in self.boxes(frame.index))) for frame in frames]

    def close(self) -> None:
        pass


def test_boxes_that_leap_where_their_count_stays_are_sparse() -> None:
    still = scene(1, walk)[0]
    # A picture that differs enough not to be a repeated one, and shows nothing to follow.
    pictures = [np.clip(still.astype(int) + 6 * (index % 2), 0, 255).astype(np.uint8) for index in range(20)]
    parked = (10.0, 10.0)

    def found(place: Place):
        return probe(frames(pictures), Boxes(lambda index: [parked, place(index, 0), place(index, 1)]))

    assert found(walk).figures["leapt"] == 0 and found(walk).mode == "video"
    assert found(leap).figures["leapt"] > 0.8 and found(leap).mode == "timelapse"
    assert "leap" in found(leap).line
    only_parked = probe(frames(pictures), Boxes(lambda index: [parked]))
    assert only_parked.figures["leapt"] is None
    changing = probe(frames(pictures), Boxes(lambda index: [leap(index, t) for t in range(1 + index % 2)]))
    assert changing.figures["leapt"] is None and changing.mode == "video"


def test_the_answer_is_the_same_again_and_goes_into_json() -> None:
    one, other = (probe(frames(scene(24, leap))) for _ in range(2))
    assert one == other
    summary = json.loads(json.dumps(one.summary()))
    assert summary["mode"] == "timelapse" and summary["mode_evidence"] == list(one.evidence)
    assert one.line.startswith("sparse footage (time-lapse): ")


def test_a_jump_is_no_neighbour() -> None:
    sample = Probe()
    for index, frame in enumerate(frames(scene(12, leap), 5.0)):
        if index:
            sample.jump()
        sample.add(frame)
    found = sample.decision()
    assert found.mode == "video" and found.figures["gap_s"] is None and found.figures["lost"] is None


def write(path: Path, pictures: Sequence[np.ndarray], **options) -> Path:
    return Clip(pictures=pictures, rate=Fraction(30), **options).write(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
def test_files_are_sampled_wherever_they_can_be_sought(name: str, tmp_path: Path) -> None:
    for place, mode in ((walk, "video"), (leap, "timelapse")):
        path = write(tmp_path / name, scene(60, place), options={"g": "15", "bf": "2"})
        found = probe_file(str(path))
        assert found.mode == mode and found.figures["pictures"] <= 32


def test_a_file_that_is_busy_only_later_is_judged_by_that_part(tmp_path: Path) -> None:
    pictures = [*[scene(1, walk)[0]] * 90, *scene(30, leap)]
    path = write(tmp_path / "a.mp4", pictures, options={"g": "10"})
    assert probe(frames(pictures[:32])).mode == "video"
    assert probe_file(str(path)).mode == "timelapse"


def test_places_of_a_file_are_no_neighbours(tmp_path: Path) -> None:
    pictures = [bgr for bgr in scene(4, leap) for _ in range(40)]
    path = write(tmp_path / "a.mp4", pictures, options={"g": "40", "sc_threshold": "0", "crf": "10"})
    figures = probe_file(str(path)).figures
    assert figures["pictures"] >= 4 and figures["lost"] is None and figures["decorrelation"] is None


def test_a_file_with_one_key_frame_is_sampled_beyond_its_start(tmp_path: Path) -> None:
    pictures = [*scene(30, walk), *scene(90, leap)]
    path = write(tmp_path / "a.mp4", pictures, options={"g": "250", "sc_threshold": "0"})
    assert probe(frames(pictures)).mode == "video"
    assert probe_file(str(path)).mode == "timelapse"


def test_a_file_with_slow_times(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", scene(12, walk), ticks=[index * 60 for index in range(12)], time_base=Fraction(1))
    found = probe_file(str(path))
    assert found.mode == "timelapse" and found.figures["gap_s"] == 60


def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0" * 4000)
    for name in ("a.mp4", "missing.mp4"):
        with pytest.raises(SourceError, match=name) as caught:
            probe_file(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_damage_does_not_stop_the_probe(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", scene(60, walk), options={"g": "15"})
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(2)
    for place in rng.integers(2000, len(data) // 2, 60):
        data[place] ^= 0xFF
    path.write_bytes(data)
    assert probe_file(str(path)).figures["pictures"] > 0


def test_folders_by_their_times_and_by_their_pictures(tmp_path: Path) -> None:
    for place, mode in ((walk, "video"), (leap, "timelapse")):
        paths = []
        for index, bgr in enumerate(scene(40, place)):
            paths.append(tmp_path / f"{mode}{index:03}.jpg")
            paths[-1].write_bytes(cv2.imencode(".jpg", bgr)[1].tobytes())
        (tmp_path / f"{mode}004.jpg").write_bytes(b"broken")
        assert probe_pictures(paths).mode == mode
        assert probe_pictures(paths, [60.0 * index for index in range(40)]).mode == "timelapse"
    assert probe_pictures([]).mode == "video"


@pytest.mark.data
@pytest.mark.parametrize("name", ["breakdance_480p", "office_cctv_360p", "one_person_432p", "cars_overhead_432p"])
def test_real_clips_are_ordinary(name: str, data: Path) -> None:
    found = probe_file(str(data / "videos" / f"{name}.mp4"))
    assert found.mode == "video" and found.figures["score"] < 0.95


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "start"), [("cars_overhead_432p", 102), ("cars_overhead_432p", 234), ("breakdance_480p", 62)]
)
def test_excerpts_of_things_that_rush_in_or_whirl_are_ordinary(name: str, start: int, data: Path) -> None:
    with open_source(str(data / "videos" / f"{name}.mp4")) as source:
        excerpt = [frame for frame in source if start <= frame.index < start + 12]
    assert probe(excerpt).mode == "video"


@pytest.mark.data
def test_walkers_three_times_a_second_are_sparse(data: Path) -> None:
    """All else in these pictures is as in a video: only what is small tells."""
    with open_source(str(data / "videos" / "street_1080p.mp4")) as source:
        found = probe(frame for frame in source if frame.index % 10 == 0)
    assert found.mode == "timelapse" and "small" in found.line
    assert found.figures["disorder"] < 0.6
