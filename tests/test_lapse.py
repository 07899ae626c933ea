"""Rendered time-lapse: the same again by its seed, times that can be read back, and a truth that holds together."""

from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from samples.street.__main__ import main
from samples.street.lapse import ZONE, Shots, exif
from tracker.capture.exif import read_taken
from tracker.capture.taken import picture_times
from tracker.evaluate import read_mot

SIZE, PICTURES = "320x180", 8


def render(folder, *words):
    words = ("timelapse", "--seed", "3", "--pictures", str(PICTURES), "--size", SIZE, *words)
    assert main([*words, "--output", str(folder / "pictures"), "--truth", str(folder / "truth")]) == 0
    return sorted((folder / "pictures").iterdir()), read_mot(folder / "truth" / "gt" / "gt.txt", truth=True)


@pytest.fixture(scope="module")
def lapse(tmp_path_factory):
    return render(tmp_path_factory.mktemp("lapse"))


def test_the_same_again_by_the_seed_also_when_pictures_are_missing(lapse, tmp_path):
    paths, truth = lapse
    again, rows = render(tmp_path, "--gap", "2", "4")
    assert [path.name for path in again] == [paths[k].name for k in (0, 1, 6, 7)]
    assert [path.read_bytes() for path in again] == [paths[k].read_bytes() for k in (0, 1, 6, 7)]
    for frame, whole in ((1, 1), (2, 2), (3, 7), (4, 8)):
        assert np.array_equal(rows[rows[:, 0] == frame, 1:], truth[truth[:, 0] == whole, 1:])
    assert "seqLength=4\n" in (tmp_path / "truth" / "seqinfo.ini").read_text()


def test_times_are_read_back_one_interval_apart(lapse):
    times = picture_times(lapse[0])
    assert times.origin == "EXIF" and times.true_times and not times.warnings
    assert times.times_s == tuple(60.0 * k for k in range(PICTURES))
    taken = read_taken(lapse[0][-1])
    assert taken.local == Shots(pictures=PICTURES).moment(PICTURES)
    assert taken.offset_s == 7200.0 and ZONE == "+02:00"


def test_parts_of_a_second_are_told(tmp_path):
    shots = Shots(pictures=3, interval_s=2.5)
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8" + exif(shots.moment(2), ZONE) + b"\xff\xd9")
    assert read_taken(path).local == shots.moment(2) == shots.moment(1) + timedelta(seconds=2.5)
    assert read_taken(path).fine


def test_truth_holds_together(lapse):
    paths, truth = lapse
    assert len(paths) == PICTURES and set(truth[:, 0]) == set(range(1, PICTURES + 1))
    for ident in np.unique(truth[:, 1]):
        mine = truth[truth[:, 1] == ident]
        assert len(set(mine[:, 7])) == 1 and len(set(mine[:, 0])) == len(mine)
    assert (truth[:, 2] >= 0).all() and (truth[:, 2] + truth[:, 4] <= 320.01).all()
    assert (truth[:, 3] >= 0).all() and (truth[:, 3] + truth[:, 5] <= 180.01).all()
    sights = np.unique(truth[:, 1], return_counts=True)[1]
    assert (sights == 1).sum() > 10 and (sights >= 3).sum() > 10  # who passes, and what stays


def test_what_parks_keeps_its_place_and_another_may_take_it_later(tmp_path):
    words = ("--pictures", "12", "--interval", "1500", "--size", "160x90")
    _, truth = render(tmp_path, *words)
    spots: dict[tuple[int, int], set[int]] = {}
    for ident in np.unique(truth[truth[:, 7] == 3, 1]):
        mine = truth[(truth[:, 1] == ident) & (truth[:, 8] > 0.95)]
        if len(mine) > 1:
            spread = np.ptp(mine[:, 2:6], axis=0)
            assert (spread <= 1.5).all(), "the camera is moved by the wind only"
            place = (mine[:, 2:4].mean(0) // 8).astype(int)
            spots.setdefault((place[0], place[1]), set()).add(int(ident))
    assert spots and max(map(len, spots.values())) > 1


def test_a_knock_moves_everything_from_then_on(lapse, tmp_path):
    _, truth = lapse
    _, knocked = render(tmp_path, "--bump", "5")
    shifts: dict[int, list[float]] = {frame: [] for frame in range(1, PICTURES + 1)}
    known = {(row[0], row[1]): row for row in truth}
    for row in knocked:
        old = known.get((row[0], row[1]))
        inside = row[2] > 5 and row[2] + row[4] < 315 and row[3] + row[5] < 175
        if old is not None and inside and row[8] > 0.9:
            shifts[int(row[0])].append(float(old[2] - row[2]))
    assert all(not shifts[frame] or max(map(abs, shifts[frame])) < 0.01 for frame in range(1, 5))
    assert all(5 < np.median(shifts[frame]) < 15 for frame in range(5, PICTURES + 1))


def test_pictures_are_whole_and_grow_dark(lapse):
    first, last = (cv2.imread(str(Path(lapse[0][k]))) for k in (0, -1))
    assert first.shape == last.shape == (180, 320, 3)
    assert last.mean() < first.mean()
