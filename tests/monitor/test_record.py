"""Recordings: files that play, clips around events, limits that hold."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import cv2
import pytest

from tests.monitor.fakes import wait_for
from tests.monitor.saving import NOON_S, Told, entry, event, feed, frames_of, may_mount
from tests.write.scenes import gray_frame, read_back, tracks
from tracker.errors import OutputError
from tracker.monitor.clips import Piece, cut
from tracker.monitor.keeper import Keeper
from tracker.monitor.output_settings import RecordSettings
from tracker.monitor.recordings import Recordings
from tracker.monitor.shelf import Shelf
from tracker.monitor.snapshots import Snapshots, tracks_of
from tracker.monitor.stored import Entry, StoredEvent
from tracker.monitor.walltime import DAY_S, SteadyClock
from tracker.structures import Tracks
from tracker.write import VideoOptions, VideoSink

RATE = 20.0


class Clips(list[tuple[tuple[int, ...], str]]):
    """What was attached."""

    def __call__(self, ids: Any, path: str) -> None:
        self.append((tuple(ids), path))


@contextmanager
def recording(folder: Path, say: Any = None, **values: Any) -> Iterator[tuple[Recordings, Clips]]:
    """Recordings of a folder; `values`: of the settings, and wall and free."""
    keywords = {"wall": lambda: NOON_S} | {key: values.pop(key) for key in ("wall", "free") if key in values}
    settings = RecordSettings(**({"mode": "continuous", "annotate": False, "segment_s": 2, "min_free_gb": 0} | values))
    clips = Clips()
    made = Recordings(settings, folder, say or Told(), clips, **keywords)  # type: ignore[arg-type]
    try:
        yield made, clips
    finally:
        assert made.close(30)


def happened(number: int, time_s: float, camera: str = "gate") -> StoredEvent:
    return StoredEvent(number, "store", Entry(camera, NOON_S + time_s, event(time_s)))


def files(folder: Path, below: str = "footage") -> list[Path]:
    return sorted((folder / below).glob("*/*"))


def test_segments_follow_each_other_and_play(tmp_path: Path) -> None:
    with recording(tmp_path) as (recordings, _):
        feed(recordings, range(100))
        assert recordings.figures()["cameras"]["gate"]["dropped"] == 0
    found = files(tmp_path)
    assert [path.name for path in found] == [
        "000000001-20251009T085320Z.mp4", "000000002-20251009T085322Z.mp4", "000000003-20251009T085324Z.mp4",
    ]  # fmt: skip
    assert [number for path in found for number in read_back(path)[1]] == list(range(100))
    assert [round(read_back(path)[2], 2) for path in found] == [2.0, 2.0, 1.0]
    with recording(tmp_path) as (recordings, _):
        feed(recordings, range(5))
    assert files(tmp_path)[-1].name.startswith("000000004-")


def test_a_gap_a_silence_and_a_new_life_end_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.monitor.record.GAP_S", 0.3)
    with recording(tmp_path, segment_s=60) as (recordings, _):
        feed(recordings, range(10))
        feed(recordings, range(30, 40))  # a second is missing
        wait_for(lambda: recordings.keeper.size and not list(tmp_path.glob("footage/*/*.partial.mp4")))
        feed(recordings, range(0, 10))  # the camera's time begins anew
        feed(recordings, range(10, 20), size=(64, 128))  # another size is fitted in
    assert [read_back(path)[1] for path in files(tmp_path)[:2]] == [list(range(10)), list(range(30, 40))]
    assert len(read_back(files(tmp_path)[2])[1]) == 20


def test_a_clip_has_the_seconds_before_and_after(tmp_path: Path) -> None:
    with recording(tmp_path, before_s=1, after_s=1.5) as (recordings, clips):
        feed(recordings, range(100))
        recordings.plan([happened(1, 5.0)])
        feed(recordings, range(100, 180))
        wait_for(lambda: clips)
        ((ids, path),) = clips
    times, numbers, seconds = read_back(tmp_path / path)
    assert ids == (1,)
    assert path.startswith("moments/gate/")
    assert numbers == list(range(numbers[0], 131))
    assert 80 - 2 * RATE <= numbers[0] <= 80, "it begins at the keyframe before"
    assert times == pytest.approx([(number - numbers[0]) / RATE for number in numbers], abs=1e-3)
    assert seconds == pytest.approx(len(numbers) / RATE, abs=0.1)


def test_events_in_a_row_share_a_clip_up_to_its_limit(tmp_path: Path) -> None:
    with recording(tmp_path, before_s=0.5, after_s=0.5, clip_most_s=3) as (recordings, clips):
        feed(recordings, range(60))
        recordings.plan([happened(number, number / 2) for number in range(1, 9)])
        feed(recordings, range(60, 130))
        wait_for(lambda: len(clips) == 2)
    assert [ids for ids, _ in clips] == [(1, 2, 3, 4, 5), (6, 7, 8)]
    for ids, path in clips:
        shown = read_back(tmp_path / path)[1]
        assert {round(number / 2 * RATE) for number in ids} <= set(shown)


def test_clips_only_leave_no_footage(tmp_path: Path) -> None:
    with recording(tmp_path, mode="events", before_s=1, after_s=1, segment_s=1) as (recordings, clips):
        feed(recordings, range(60))
        recordings.plan([happened(1, 2.0)])
        feed(recordings, range(60, 100))
        wait_for(lambda: clips)
        recordings.plan([happened(2, 4.8)])
        most = len(files(tmp_path))
        feed(recordings, range(1000, 1040))  # the ring is left far behind
        wait_for(lambda: len(files(tmp_path)) < most)
    assert [ids for ids, _ in clips] == [(1,), (2,)], "what is still to come is cut at the end"
    assert files(tmp_path) == []
    assert {99} <= set(read_back(tmp_path / clips[1][1])[1])


def test_only_the_cameras_that_are_wanted(tmp_path: Path) -> None:
    with recording(tmp_path, cameras=("gate",)) as (recordings, clips):
        recordings.write("yard", gray_frame(0, 0.0), Tracks.empty(), NOON_S)
        recordings.plan([happened(1, 0.0, "yard")])
        feed(recordings, range(3))
    assert {path.parent.name for path in files(tmp_path)} == {"gate"}
    assert clips == []


def test_pictures_coded_differently_are_not_joined(tmp_path: Path) -> None:
    pieces = []
    for number, size in enumerate(((128, 64), (160, 96))):
        path = tmp_path / f"{number}.mp4"
        sink = VideoSink(path, _info(size), options=VideoOptions(keyframe_s=1))
        for index in range(40):
            sink.write(gray_frame(index, index / RATE, size=size), Tracks.empty())
        sink.close()
        pieces.append(Piece(path, 2.0 * number))
    assert cut(pieces, 1.0, 3.0, tmp_path / "clip.mp4") > 1
    assert read_back(tmp_path / "clip.mp4")[1] == list(range(21))
    assert cut(pieces, 9.0, 10.0, tmp_path / "none.mp4") == 0.0
    assert cut([Piece(tmp_path / "gone.mp4", 0.0)], 0, 1, tmp_path / "none.mp4") == 0.0
    assert not (tmp_path / "none.mp4").exists()


def _info(size: tuple[int, int]) -> Any:
    from tests.write.scenes import info

    return info(None, size)


def test_whoever_gives_frames_never_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk hangs: frames are dropped and counted."""
    free, write = Event(), VideoSink.write

    def hanging(self: VideoSink, frame: Any, found: Tracks) -> None:
        free.wait(60)
        write(self, frame, found)

    monkeypatch.setattr(VideoSink, "write", hanging)
    with recording(tmp_path) as (recordings, _):
        for index in range(100):
            recordings.write("gate", gray_frame(index, index / RATE), Tracks.empty(), NOON_S)
        wait_for(lambda: recordings.figures()["cameras"]["gate"]["dropped"] >= 91)
        free.set()
    figures = recordings.figures()["cameras"]["gate"]
    assert figures["frames"] + figures["dropped"] == 100


def total(folder: Path) -> int:
    """Bytes of all recordings now."""
    size = 0
    for path in folder.rglob("*.*"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size if path.suffix in (".mp4", ".jpg") else 0
    return size


@pytest.mark.slow
def test_the_limit_holds_at_every_moment_of_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.monitor.recordings.TICK_S", 0.01)
    limit = 300_000
    seen: list[int] = []
    stop = Event()

    def watch() -> None:
        while not stop.wait(0.005):
            seen.append(total(tmp_path))

    watcher = Thread(target=watch)
    watcher.start()
    with recording(tmp_path, max_gb=limit / 1e9, segment_s=1, crf=0, before_s=1, after_s=1) as (recordings, clips):
        for begin in range(0, 640, 40):
            feed(recordings, range(begin, begin + 40))
            if begin % 120 == 0:
                recordings.plan([happened(begin, begin / RATE)])
        assert recordings.keeper.removed > 10
        assert len(clips) > 3
    stop.set()
    watcher.join()
    assert 0.5 * limit < max(seen) < limit
    assert [number for number in read_back(files(tmp_path)[-1])[1]][-1] == 639 % 256, "the newest are kept"


def shelved(folder: Path, kind: str, count: int, size: int = 1000, wall_s: float = NOON_S) -> Shelf:
    """A shelf with files in it."""
    shelf = Shelf(folder / kind)
    for number in range(1, count + 1):
        path = shelf.path("gate", number, wall_s + number, ".mp4")
        path.write_bytes(bytes(size))
        shelf.add(path)
    return shelf


def keeper(folder: Path, footage: Shelf, moments: Shelf, **values: Any) -> Keeper:
    free = values.pop("free", lambda folder: 1e12)
    clock = values.pop("clock", None) or SteadyClock(None, lambda: NOON_S)
    return Keeper(RecordSettings(**({"min_free_gb": 0} | values)), footage, moments, Told(), clock, free=free)


def test_neither_footage_nor_moments_starve_the_other(tmp_path: Path) -> None:
    footage, moments = shelved(tmp_path, "footage", 50), shelved(tmp_path, "moments", 50)
    keeper(tmp_path, footage, moments, max_gb=20_000 / 1e9).tick(0)
    assert (footage.size, moments.size) == (9000, 10_000)
    assert min(item.number for item in footage) == 42
    assert len(files(tmp_path)) == 9
    assert not keeper(tmp_path, footage, moments, max_gb=20_000 / 1e9).tick(30_000)
    assert footage.size + moments.size == 0


def test_age_counts_by_a_clock_that_does_not_jump(tmp_path: Path) -> None:
    footage, moments = shelved(tmp_path, "footage", 10), shelved(tmp_path, "moments", 10)
    now = [NOON_S]
    clock = SteadyClock(footage.newest_s, lambda: now[0])
    kept = keeper(tmp_path, footage, moments, clock=clock, keep_days=1, keep_event_days=2)
    for jump_s in (1e9, -1e9, -NOON_S):
        now[0] = NOON_S + jump_s
        kept.tick(0)
    assert len(footage) == 10
    late = keeper(tmp_path, footage, moments, clock=SteadyClock(None, lambda: NOON_S + DAY_S + 5.5), keep_days=1)
    late.tick(0)
    assert (len(footage), len(moments)) == (5, 10)


def test_the_order_is_that_of_making_whatever_the_clock_said(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for number, wall_s in ((1, NOON_S), (2, 0.0), (3, 4e9), (4, NOON_S - 50)):
        shelf.path("gate", number, wall_s, ".mp4").write_bytes(b"x")
    again = Shelf(tmp_path)
    assert [item.number for item in again] == [1, 2, 3, 4]
    assert again.last_number == 4


def test_files_of_others_are_never_touched(tmp_path: Path) -> None:
    mine = tmp_path / "footage" / "gate"
    mine.mkdir(parents=True)
    for name in ("holiday.mp4", "1-20251009T000000Z.mp4", "000000001-20251009T000000Z.txt"):
        (mine / name).write_bytes(bytes(100))
    footage = Shelf(tmp_path / "footage")
    keeper(tmp_path, footage, Shelf(tmp_path / "moments"), max_gb=1e-9, keep_days=1e-9).tick(0)
    assert len(list(mine.iterdir())) == 3


def test_too_little_room_pauses_after_own_files_are_gone(tmp_path: Path) -> None:
    told = Told()
    room = [5e9]
    with recording(tmp_path, told, after_s=1, min_free_gb=1, free=lambda folder: room[0]) as (recordings, _):
        feed(recordings, range(60))
        wait_for(lambda: len(files(tmp_path)) >= 2)
        room[0] = 0.2e9
        wait_for(lambda: recordings.keeper.stopped)
        feed(recordings, range(60, 80))
        wait_for(lambda: frames_of(recordings) == 80)
        assert recordings.figures()["cameras"]["gate"]["paused"] == 20
        assert recordings.keep_snapshot("gate", NOON_S, b"jpeg") == ""
        recordings.plan([happened(1, 3.5)])
        feed(recordings, range(80, 140))
        wait_for(lambda: recordings.failed == 1)
        room[0] = 5e9
        wait_for(lambda: not recordings.keeper.stopped)
        feed(recordings, range(140, 160))
    assert "less than 1 GB free; recording is paused, everything else goes on" in told
    assert "recording goes on" in told
    assert [number for path in files(tmp_path) for number in read_back(path)[1]] == list(range(140, 160))


@pytest.mark.skipif(not may_mount(), reason="only root can mount a disk")
def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real one, filled by somebody else."""
    monkeypatch.setattr("tracker.monitor.record.RETRY_S", 0.2)
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk")
    told = Told()
    try:
        with recording(disk, told, crf=0, segment_s=60) as (recordings, _):
            feed(recordings, range(20))
            other = disk / "other"
            with open(other, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(bytes(1024))
            while "No space left on device" not in told:
                feed(recordings, range(frames_of(recordings), frames_of(recordings) + 5))
            assert recordings.figures()["cameras"]["gate"]["trouble"]
            other.unlink()
            while recordings.figures()["cameras"]["gate"]["trouble"]:
                feed(recordings, range(frames_of(recordings), frames_of(recordings) + 5))
        for path in files(disk):
            assert read_back(path)[1]
        first = read_back(files(disk)[0])[1]
        assert first == list(range(len(first)))
        assert len(first) > 20 - 0.5 * RATE
        assert not list(disk.rglob("*.partial.*"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_leftovers_are_finished_or_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "footage" / "gate"
    folder.mkdir(parents=True)
    sink = VideoSink(folder / "000000007-20251009T000000Z.mp4", _info((128, 64)))
    for index in range(40):
        sink.write(gray_frame(index, index / RATE), Tracks.empty())
    os.close(sink._file._fd)  # killed
    (folder / "000000008-20251009T000002Z.partial.mp4").write_bytes(b"nothing that plays")
    moments = tmp_path / "moments" / "gate"
    moments.mkdir(parents=True)
    (moments / "000000009-20251009T000002Z.partial.jpg").write_bytes(b"half a picture")
    told = Told()
    with recording(tmp_path, told):
        pass
    (path,) = files(tmp_path)
    assert path.name == "000000010-20251009T000000Z.mp4"
    numbers = read_back(path)[1]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 40 - 0.5 * RATE
    assert files(tmp_path, "moments") == []
    assert "1 files of a killed process were finished, 1 empty ones removed" in told


def test_a_snapshot_shows_the_event(tmp_path: Path) -> None:
    got: list[Entry] = []
    with recording(tmp_path, mode="off") as (recordings, _):
        snapshots = Snapshots(
            recordings.keep_snapshot, got.append, Told(), class_names=("person",), quality=95, size=100
        )
        found = tracks((20, 8, 60, 56, 0.9, 0), (90, 8, 120, 56, 0.9, 0), first_id=7)
        snapshots.put("gate", gray_frame(0, 9.0), found, [event(8.5), event(9.0)], NOON_S)
        assert snapshots.close(20)
        assert (snapshots.made, snapshots.skipped, recordings.keeper.size > 0) == (1, 0, True)
    assert [each.wall_s for each in got] == [NOON_S - 0.5, NOON_S], "the moment of the event, not of the frame"
    assert got[0].snapshot == got[1].snapshot
    picture = cv2.imread(str(tmp_path / got[0].snapshot))
    assert picture is not None
    assert picture.shape == (64, 128, 3)
    colour = picture.max(2).astype(int) - picture.min(2)
    assert colour[20:50, 20:62].max() > 60, "the box of the track"
    assert colour[20:50, 85:].max() < 40, "and of no other"


def test_a_track_that_is_gone_is_drawn_where_it_was() -> None:
    shown = tracks_of([event()], tracks((1, 2, 3, 4, 0.5, 0), first_id=8))
    assert shown.ids.tolist() == [7]
    assert shown.boxes.tolist() == [[10, 20, 40, 60]]


def test_events_come_without_a_picture_when_there_is_no_time_for_one() -> None:
    free, got = Event(), []  # type: ignore[var-annotated]

    def keep(camera: str, wall_s: float, jpeg: bytes) -> str:
        free.wait(60)
        return "x.jpg"

    snapshots = Snapshots(keep, got.append, Told(), class_names=(), quality=50, size=100)
    for index in range(50):
        snapshots.put("gate", gray_frame(index, index / RATE), Tracks.empty(), [event(index / RATE)], NOON_S)
    free.set()
    assert snapshots.close(30)
    assert [each.event.time_s for each in got] == [index / RATE for index in range(50)]
    assert 16 <= sum(bool(each.snapshot) for each in got) < 20
    assert snapshots.made + snapshots.skipped == 50


def test_a_snapshot_that_fails_costs_no_event(tmp_path: Path) -> None:
    got: list[Entry] = []
    told = Told()

    def keep(camera: str, wall_s: float, jpeg: bytes) -> str:
        raise OutputError("the disk broke")

    snapshots = Snapshots(keep, got.append, told, class_names=(), quality=50, size=100)
    snapshots.put("gate", gray_frame(0, 0.0), Tracks.empty(), [entry().event], NOON_S)
    assert snapshots.close(30)
    assert [each.snapshot for each in got] == [""]
    assert "the disk broke" in told
