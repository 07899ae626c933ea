"""What a source is taken for that cannot be read twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.capture.test_buffer import Fake, source_of
from tracker.capture.halt import Halt
from tracker.cli import mode
from tracker.cli.mode import STEP_S, decide
from tracker.structures import Frame, StreamInfo

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
