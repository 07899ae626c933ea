"""What a source is taken for that cannot be read twice."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.capture.test_buffer import Fake, source_of
from tracker.capture.halt import Halt
from tracker.cli import mode
from tracker.cli.mode import STEP_S, decide, sparse_settings
from tracker.config import ByteTrackSettings, Settings
from tracker.errors import SourceLost
from tracker.structures import Frame, StreamInfo

CONFIGS = Path(__file__).parents[2] / "configs"
FLAGS: dict[str, Any] = {"mode": "auto", "interval": None, "source": "rtsp://camera/1"}


class Slow(Fake):
    """A sender of pictures of noise, so many seconds apart; a live one is silent after `count`."""

    def __init__(self, count: int, step_s: float, *, live: bool = True) -> None:
        super().__init__(count, live=live)
        self.step_s = step_s

    def frames(self, halt: Halt) -> Iterator[Frame]:
        self.info = StreamInfo("fake", 64, 48, None, None, live=self.live)
        rng = np.random.default_rng(1)
        for index in range(self.count):
            yield Frame.from_bgr(index, index * self.step_s, rng.integers(0, 255, (48, 64, 3), np.uint8))
            while self.live and not halt.is_set() and index == self.count - 1:
                self.hang.wait(0.02)


@pytest.mark.parametrize(
    ("count", "step_s", "wanted"), [(8, 0.04, "video"), (8, 30.0, "timelapse"), (2, 30.0, "timelapse")]
)
def test_a_camera_is_judged_by_its_first_pictures(
    monkeypatch: pytest.MonkeyPatch, count: int, step_s: float, wanted: str
) -> None:
    monkeypatch.setattr(mode, "WAIT_S", 0.5)
    with source_of(Slow(count, step_s), live_depth=8) as source:
        found = decide(source, FLAGS)
        assert found.cadence.mode == wanted and found.step_s is None
        frames = iter(source)
        assert [next(frames).index for _ in range(count)] == list(range(count))


def test_the_users_word_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode, "WAIT_S", 60.0)
    with source_of(Slow(1, 30.0)) as source:
        source.wait_open()
        assert not decide(source, FLAGS | {"mode": "video"}).sparse
        assert decide(source, FLAGS | {"mode": "timelapse"}).sparse


def test_a_pipe_is_judged_by_its_beginning_and_its_times_are_not_the_worlds() -> None:
    with source_of(Slow(40, 0.04, live=False)) as source:
        found = decide(source, FLAGS | {"source": "-"})
        assert found.sparse and found.step_s == STEP_S, "noise cannot be followed from picture to picture"
        assert len(list(source)) == 40
    with source_of(Slow(40, 0.04, live=False)) as source:
        assert decide(source, FLAGS | {"source": "-", "interval": 60.0}).step_s is None


def test_an_address_of_a_file_is_judged_by_its_beginning() -> None:
    with source_of(Slow(40, 60.0, live=False)) as source:
        found = decide(source, FLAGS | {"source": "http://user:secret@host/lapse.mp4"})
    assert found.sparse and found.step_s is None, "its times are those of the world"


def test_forced_or_found_the_times_of_the_world_are_believed() -> None:
    class Minutes(Slow):
        def frames(self, halt: Halt) -> Iterator[Frame]:
            for frame in super().frames(halt):
                self.info = StreamInfo("fake", 64, 48, Fraction(1, 60), None, live=False)
                yield frame

    forced = FLAGS | {"source": "lapse.mp4", "mode": "timelapse"}
    with source_of(Minutes(3, 60.0, live=False)) as source:
        source.wait_open()
        assert decide(source, forced).step_s is None
    with source_of(Slow(3, 0.04, live=False)) as source:
        source.wait_open()
        assert decide(source, forced).step_s == STEP_S


def settings_with(**flags: Any) -> Settings:
    named = {"config": None, "assignments": (), "tracker_name": None, "model": None, "require": None, "mode": "auto"}
    return sparse_settings(named | flags)[0]


def test_what_the_mode_sets_depends_on_the_model_asked_for() -> None:
    usual, file = settings_with(), settings_with(config=CONFIGS / "timelapse.yaml")
    assert usual.detect.model == "street6-rcnn" and usual == file == settings_with(model="street6-rcnn")
    for other in (settings_with(model="street6"), settings_with(assignments=("detect.model=street6",)),
                  settings_with(require="tensorrt", model="street6")):  # fmt: skip
        assert other.detect.model == "street6" and other.detect.tiles == "auto"
        assert other.tracker.name == "sparse" and other.tracker.learn_scores
    assert settings_with(require="tensorrt").detect.model == settings_with(runtime="torch").detect.model == "street6"
    assert settings_with(tracker_name="bytetrack").tracker == ByteTrackSettings()


def test_a_camera_that_is_lost_at_once_is_not_called_slow() -> None:
    with source_of(Fake(count=2, live=True, error=SourceLost("gone"))) as source:
        assert not decide(source, FLAGS).sparse
        frames = iter(source)
        assert [next(frames).index for _ in range(2)] == [0, 1]
