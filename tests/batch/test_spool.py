"""Detections on the disk: what is read is what was written, and a killed writer leaves whole segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from tests.fakes import detections
from tracker.batch import spool as module
from tracker.batch.sights import Sight, packed, unpacked
from tracker.batch.spool import About, Spool
from tracker.errors import TrackerError, WriteError

ABOUT = About(160, 120, "30000/1001", ("person", "ünï <car>"), ("one warning",))


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT", 4)


def sights(count: int) -> list[Sight]:
    rng = np.random.default_rng(count)
    made = []
    for index in range(count):
        rows = int(rng.integers(0, 4))
        found = detections(*((*rng.random(4), rng.random(), 1) for _ in range(rows)))
        motion = rng.random((2, 3)) if index % 2 else None
        looks = packed(rng.random((rows, 6))) if rows else None
        made.append(
            Sight(index, index / 30, 1 / 30, found if index % 3 else None, motion, looks if index % 3 else None)
        )
    return made


def same(one: Sight, other: Sight) -> bool:
    arrays = [(one.motion, other.motion), (one.looks, other.looks)]
    if one.found is not None and other.found is not None:
        arrays += [(getattr(one.found, key), getattr(other.found, key)) for key in ("boxes", "scores", "class_ids")]
    equal = all(np.array_equal(a, b) if a is not None and b is not None else a is b for a, b in arrays)
    return equal and (one.index, one.time_s, one.duration_s) == (other.index, other.time_s, other.duration_s)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    spool, given = Spool(tmp_path, "a clip"), sights(10)
    for start in range(0, 10, 4):
        spool.add(given[start : start + 4])
        assert spool.reached() == min(start + 4, 10) and not spool.whole
    spool.finish(ABOUT, spool.reached())
    assert spool.whole and spool.reached() == 10 and spool.about() == ABOUT
    for one, other in zip(given, spool, strict=True):
        assert same(one, other) and (one.found is None) == (other.found is None)
    assert [path.name for path in tmp_path.iterdir()] == ["a clip.parquet"]


def test_two_spools_of_one_content_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        spool = Spool(tmp_path, name)
        spool.add(sights(4))
        spool.finish(ABOUT, spool.reached())
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_only_segments_without_a_gap_before_them_count(tmp_path: Path) -> None:
    spool, given = Spool(tmp_path, "v"), sights(12)
    spool.add(given[:4])
    spool.add(given[8:])
    assert spool.reached() == 4
    (tmp_path / "v" / "000000004.partial").write_bytes(b"half a segment")
    assert spool.reached() == 4


def test_the_last_sight_is_the_last_that_the_detector_saw(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "v")
    assert spool.last() is None and spool.reached() == 0
    given = [Sight(k, k / 30, 0.0, detections((0, 0, 5, 5, 0.5, 0)) if k == 1 else None) for k in range(8)]
    spool.add(given[:4])
    spool.add(given[4:])
    last = spool.last()
    assert last is not None and last.index == 1


def test_a_damaged_segment_is_named(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "v")
    spool.add(sights(4))
    (tmp_path / "v" / "000000000.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(TrackerError, match=r"000000000\.parquet cannot be read"):
        spool.reached()


def test_a_disk_that_refuses_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, "v")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(WriteError, match="No space left on device"):
        spool.add(sights(4))
    assert not list((tmp_path / "v").iterdir())


def test_looks_keep_their_direction() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[3] = 0.0
    again = unpacked(packed(vectors))
    assert again is not None and not again[3].any()
    kept = [0, 1, 2, 4]
    assert (np.einsum("nd,nd->n", vectors[kept], again[kept]) > 0.999).all()
    assert packed(None) is None and unpacked(None) is None


def test_what_the_segments_were_begun_with_is_kept_until_all_are_there(tmp_path: Path) -> None:
    spool, first = Spool(tmp_path, "v"), {"model": "m", "threads": 1}
    assert spool.begun_with(first) == first
    spool.add(sights(4))
    assert Spool(tmp_path, "v").begun_with({"model": "other"}) == first
    spool.finish(ABOUT, spool.reached())
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet"]


def test_segments_that_a_kill_left_beside_the_whole_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, "v")
    spool.add(sights(4))
    with monkeypatch.context() as killed:
        killed.setattr(module.shutil, "rmtree", lambda *_, **__: None)
        spool.finish(ABOUT, spool.reached())
    assert (tmp_path / "v").is_dir() and spool.whole
    spool.tidy()
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet"]


def test_segments_that_somebody_else_takes_away_are_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "v")
    spool.add(sights(4))
    with pytest.raises(TrackerError, match="holds 4 frames in place of 8"):
        spool.finish(ABOUT, 8)
    assert not spool.whole and spool.reached() == 4
