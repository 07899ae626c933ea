"""The log of the first of two passes: exact, whole, and never of something else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import squares
from tracker.cli.first_pass import FirstPass, log_path, stamp_of
from tracker.errors import UsageError
from tracker.structures import Detections, Frame

ABOUT = {"the model": {"sha256": "ab"}, "--stride": 1}


class Counting:
    """Finds squares, with scores that no short decimal holds, and remembers what it was asked."""

    class_names = ("person", "bicycle", "car")

    def __init__(self) -> None:
        self.asked: list[int] = []

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        self.asked += [frame.index for frame in frames]
        found = [squares(frame.index) for frame in frames]
        return [Detections(one.boxes / np.float32(3), one.scores / np.float32(7), one.class_ids) for one in found]

    def close(self) -> None:
        pass


def frame(index: int) -> Frame:
    return Frame.from_bgr(index, index / 10, np.zeros((4, 4, 3), np.uint8))


def found(log: FirstPass, *indices: int) -> list[bytes]:
    every = [log.detect([frame(index)])[0] for index in indices]
    return [one.boxes.tobytes() + one.scores.tobytes() + one.class_ids.tobytes() for one in every]


def test_what_is_known_is_not_asked_again_and_is_the_same_to_the_bit(tmp_path: Path) -> None:
    path = log_path(tmp_path / "out.mp4")
    assert path.name == "out.first-pass.partial.jsonl"
    first = FirstPass(Counting(), path, ABOUT, resume=False)
    before = found(first, 0, 2, 1)
    first.close()
    detector = Counting()
    second = FirstPass(detector, path, ABOUT, resume=True)
    assert second.known == 3
    assert found(second, 0, 2, 1, 3)[:3] == before and detector.asked == [3]
    second.close()
    assert FirstPass(Counting(), path, ABOUT, resume=True).known == 4


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_that_is_cut_short_is_written_anew(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log"
    log = FirstPass(Counting(), path, ABOUT, resume=False)
    before = found(log, 0, 1, 2)
    log.close()
    path.write_bytes(path.read_bytes()[:-cut])
    detector = Counting()
    again = FirstPass(detector, path, ABOUT, resume=True)
    assert again.known == 2 and found(again, 0, 1, 2) == before and detector.asked == [2]
    again.close()
    assert [json.loads(line).get("index") for line in path.read_text().splitlines()] == [None, 0, 1, 2]


def test_a_log_of_something_else_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = FirstPass(Counting(), path, ABOUT, resume=False)
    found(log, 0)
    log.close()
    kept = path.read_bytes()
    with pytest.raises(UsageError, match="the model changed"):
        FirstPass(Counting(), path, ABOUT | {"the model": {"sha256": "cd"}}, resume=True)
    assert path.read_bytes() == kept
    path.write_text('{"a": 1}\n{"no": "index"}\n')
    with pytest.raises(UsageError, match="no log of a first pass"):
        FirstPass(Counting(), path, ABOUT, resume=True)


def test_without_resume_it_begins_anew_and_an_empty_one_goes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = FirstPass(Counting(), path, ABOUT, resume=False)
    found(log, 0)
    log.close()
    assert path.exists()
    again = FirstPass(Counting(), path, ABOUT, resume=False)
    assert again.known == 0
    again.close()
    assert not path.exists()


def test_a_source_is_known_again_by_its_pictures_and_by_nothing_else(tmp_path: Path) -> None:
    for name in ("b.jpg", "c.jpg", "d.jpg"):
        (tmp_path / name).write_bytes(b"one")
    sources = (str(tmp_path), str(tmp_path / "*.jpg"), str(tmp_path / "b.jpg"), (tmp_path / "b.jpg").as_uri())
    before = [stamp_of(source) for source in sources]
    (tmp_path / "out.first-pass.partial.jsonl").write_text("our own log")
    assert [stamp_of(source) for source in sources] == before
    (tmp_path / "c.jpg").rename(tmp_path / "a.jpg")
    assert [stamp_of(source) == old for source, old in zip(sources, before, strict=True)] == [False, False, True, True]
    (tmp_path / "b.jpg").write_bytes(b"two, longer")
    assert all(stamp_of(source) != old for source, old in zip(sources, before, strict=True))
    assert "secret" not in str(stamp_of("rtsp://user:secret@camera/1"))
