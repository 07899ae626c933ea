"""Times of the pictures of a folder: which source of them is believed, in which order, with what warnings."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.capture.test_exif import OFFSET, ORIGINAL, SUBSECOND, jpeg, tiff
from tracker.capture.taken import picture_times

NOON = datetime(2024, 6, 1, 12, tzinfo=timezone.utc)


def save(
    folder: Path, name: str, seconds: float | None, *, zone: str = "", fraction: str = "", tail: bytes = b""
) -> Path:
    """A picture taken so many seconds after noon; None: it does not say."""
    path = folder / name
    tags = {}
    if seconds is not None:
        tags[ORIGINAL] = (NOON + timedelta(seconds=seconds)).strftime("%Y:%m:%d %H:%M:%S")
    tags |= {OFFSET: zone} if zone else {}
    tags |= {SUBSECOND: fraction} if fraction else {}
    path.write_bytes(jpeg(tiff(tags)) + tail)
    os.utime(path, (0, 0))
    return path


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def test_exif_times_in_order(tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{index}.jpg", 60 * index) for index in range(6)]
    found = picture_times(paths)
    assert found.paths == tuple(paths) and found.times_s == (0, 60, 120, 180, 240, 300)
    assert (found.origin, found.began, found.true_times, found.warnings) == ("EXIF", NOON, True, ())


def test_wrong_order_of_names_is_put_right_and_said(tmp_path: Path) -> None:
    """A counter that began anew at 9999."""
    order = ["DSC_9998.jpg", "DSC_9999.jpg", "DSC_0001.jpg", "DSC_0002.jpg"]
    paths = sorted(save(tmp_path, name, 60 * index) for index, name in enumerate(order))
    found = picture_times(paths)
    assert names(found.paths) == order and found.times_s == (0, 60, 120, 180)
    (warning,) = found.warnings
    assert warning.startswith("4 pictures") and "order of the names" in warning and "DSC_0001.jpg" in warning


def test_zones_count_where_all_have_one(tmp_path: Path) -> None:
    summer = [save(tmp_path, "a.jpg", 7200, zone="+02:00"), save(tmp_path, "b.jpg", 3660, zone="+01:00")]
    assert picture_times(summer).times_s == (0, 60) and picture_times(summer).began == NOON
    mixed = [save(tmp_path, "c.jpg", 0, zone="+02:00"), save(tmp_path, "d.jpg", 60)]
    assert picture_times(mixed).times_s == (0, 60)


def test_bursts_are_spread_over_their_second_unless_fractions_tell(tmp_path: Path) -> None:
    plain = [save(tmp_path, f"{index}.jpg", index // 4, tail=bytes([index])) for index in range(8)]
    assert picture_times(plain).times_s == (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75)
    fine = [save(tmp_path, f"f{index}.jpg", 0, fraction=text) for index, text in enumerate(["10", "35", "9"])]
    assert picture_times(fine).times_s == pytest.approx((0, 0.25, 0.8))


def test_time_never_goes_back_where_only_some_have_fractions(tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{index}.jpg", 0, tail=bytes([index])) for index in range(4)]
    paths.append(save(tmp_path, "4.jpg", 0, fraction="6"))
    assert picture_times(paths).times_s == (0, 0.25, 0.5, 0.75, 0.75)


def test_pictures_there_twice_are_named_and_taken_once(tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{index}.jpg", 60 * index) for index in range(4)]
    paths.append(save(tmp_path, "copy of 2.jpg", 120))
    paths.append(save(tmp_path, "other.jpg", 120, tail=b"another picture"))
    found = picture_times(paths)
    assert names(found.paths) == ["0.jpg", "1.jpg", "2.jpg", "other.jpg", "3.jpg"]
    assert found.times_s == (0, 60, 120, 120.5, 180)
    assert any("'copy of 2.jpg'" in text and "twice" in text for text in found.warnings)


def test_missing_stretches_are_named(tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{index:02}.jpg", 60 * index + 7200 * (index > 7)) for index in range(20)]
    assert picture_times(paths).warnings == ("no picture for 7260 s after '07.jpg' (usual: 60 s)",)


def test_a_camera_that_waits_for_movement_has_no_gaps_but_is_irregular(tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{index:02}.jpg", 2.5**index) for index in range(14)]
    (warning,) = picture_times(paths).warnings
    assert "irregularly" in warning


def test_pictures_without_a_time_go_between_their_neighbours(tmp_path: Path) -> None:
    seconds = [None, 0, 60, None, None, 240, 300, None]
    paths = [save(tmp_path, f"{index}.jpg", value, tail=bytes([index])) for index, value in enumerate(seconds)]
    found = picture_times(paths)
    assert names(found.paths) == [f"{index}.jpg" for index in range(8)]
    assert found.times_s == (0, 0.5, 60, 120, 180, 240, 300, 300.5)
    assert any(text.startswith("4 pictures") and "'3.jpg'" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("pattern", "fraction"),
    [("IMG_%Y%m%d_%H%M%S", 0), ("%Y-%m-%d %H.%M.%S", 0), ("cam3-%Y%m%d%H%M%S250", 0.25), ("%Y-%m-%dT%H-%M-%S_x", 0)],
)
def test_dates_in_names(pattern: str, fraction: float, tmp_path: Path) -> None:
    paths = [save(tmp_path, (NOON + timedelta(minutes=n)).strftime(pattern) + ".jpg", None) for n in range(3)]
    found = picture_times(paths)
    assert (found.origin, found.times_s) == ("names", (0, 60, 120))
    assert found.began == NOON + timedelta(seconds=fraction)


@pytest.mark.parametrize("name", ["20241301_000000", "1234567890123456", "20240230_101010", "img_000123", "20240101"])
def test_other_numbers_are_no_dates(name: str, tmp_path: Path) -> None:
    assert picture_times([save(tmp_path, f"{name}.jpg", None)]).origin == "rate"


def test_times_of_files_count_where_they_go_with_the_names(tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{index}.jpg", None) for index in range(5)]
    for index, path in enumerate(paths):
        os.utime(path, (0, NOON.timestamp() + 30 * index))
    found = picture_times(paths)
    assert (found.origin, found.times_s, found.began) == ("files", (0, 30, 60, 90, 120), NOON)
    assert picture_times(paths[::-1]).origin == "rate"
    for index, path in enumerate(paths):
        os.utime(path, (0, NOON.timestamp() + 1.5 * index))
    assert picture_times(paths).origin == "rate"


def test_otherwise_the_constant_rate(tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{index}.jpg", None) for index in range(4)]
    found = picture_times(paths, 10)
    assert found.times_s == (0, 0.1, 0.2, 0.3) and found.paths == tuple(paths)
    assert (found.origin, found.began, found.true_times) == ("rate", None, False)


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one(count: int, tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{index}.jpg", 5) for index in range(count)]
    assert picture_times(paths).times_s == (0.0,) * count


def test_one_and_the_same_time_everywhere_is_none(tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{index:02}.jpg", 5, tail=bytes([index])) for index in range(31)]
    assert picture_times(paths).origin == "rate"
    assert picture_times(paths[:30]).origin == "EXIF"
